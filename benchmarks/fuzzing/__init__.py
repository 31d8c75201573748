"""Targets of `benchmarks/fuzz.py` and of tests/fuzz: what ganspect reads from outside, each with inputs that are wrong.

A target is a name, a Hypothesis strategy of inputs, and a function that reads one. It raises a `GanspectError` for what
it refuses; any other exception is a finding, and so is a `FaultError` that it raises itself. One more target is a
function that `every.MAKERS` names; `page.py` shows how a web application is one.
"""
