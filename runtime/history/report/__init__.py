"""The shift report: what a station saw in a period, in one HTML file without scripts or network.

ganspect history station --since 8h --format report --out shift.html
"""

from ganspect.runtime.history.report.writing import write_report

__all__ = ["write_report"]
