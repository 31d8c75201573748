"""Drift: whether a camera's frames still score as they did when the bundle was calibrated, before verdicts change.

drift = Drift(inspector, ("left", "right"), DriftSettings(), station.settings.data)
"""

from ganspect.runtime.drift.drift import Drift
from ganspect.runtime.drift.monitor import DriftStatus
from ganspect.runtime.drift.settings import DriftSettings

__all__ = ["Drift", "DriftSettings", "DriftStatus"]
