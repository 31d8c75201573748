"""Graphs in a lower precision: which layers, and how; see `ganspect.export.precision.lowering`."""
