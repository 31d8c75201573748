"""Proof that a backend and a precision change no verdict: the gate, and the record that `--backend auto` reads.

ganspect verify bundle --backend openvino --precision bf16

The command is `ganspect.runtime.verification.command.verify_bundle`; it needs ONNX Runtime, which is the reference.
What only reads the record does not.
"""
