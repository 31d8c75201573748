"""Proof that a backend and a precision change no verdict: the gate, and the record that `--backend auto` reads.

ganspect verify bundle --backend openvino --precision bf16
"""

from ganspect.runtime.verification.command import verify_bundle

__all__ = ["verify_bundle"]
