"""The station: cameras in, verdicts out, everything on disk; what runs for months beside a line.

ganspect run station.yaml
"""
