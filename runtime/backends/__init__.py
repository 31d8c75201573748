"""What runs a bundle's graphs: one small protocol, one module for each inference engine.

with open_backend("onnxruntime", bundle) as backend:
    outputs = backend.run("score", {"image": tiles})
"""

from ganspect.runtime.backends.backend import Arrays, Backend
from ganspect.runtime.backends.selection import BACKENDS, find_engine, offered_precisions, open_backend

__all__ = ["BACKENDS", "Arrays", "Backend", "find_engine", "offered_precisions", "open_backend"]
