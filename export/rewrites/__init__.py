"""Rewrites of finished graphs, exact up to rounding, one to a file; a variant is a graph after some of them.

model = rewrite_phase_convolutions(model)
"""
