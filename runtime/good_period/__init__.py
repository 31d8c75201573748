"""A period that an operator declares good as a whole: every inspected frame of it is kept, for a new threshold.

touch DATA/good/on; rm DATA/good/on; ganspect calibrate BUNDLE DATA/good/NAME
"""

from ganspect.runtime.good_period.good_period import GoodPeriod, GoodPeriodStatus
from ganspect.runtime.good_period.settings import GoodPeriodSettings

__all__ = ["GoodPeriod", "GoodPeriodSettings", "GoodPeriodStatus"]
