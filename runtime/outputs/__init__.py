"""What acts on a verdict: a coil of a PLC, a pin, a message; with a heartbeat, and a safe state when nobody inspects.

An output has a thread of its own, so a slow or absent PLC never delays a verdict.
"""
