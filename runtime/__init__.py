"""What runs beside the camera, without PyTorch: backends, inspector, capture, screening, evaluation.

from ganspect.runtime import Inspector
with Inspector.load("bundle") as inspector:
    verdict = inspector.inspect(frame)
"""

from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.regions import Region
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verdict import Verdict

__all__ = ["Backend", "Inspector", "LatentSearch", "Region", "Tuning", "Verdict", "open_backend"]
