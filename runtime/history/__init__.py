"""The station's own record: every verdict, in SQLite, on disk before it is acknowledged.

with History.open(Path("station/history.sqlite")) as history:
    history.append([entry])
    print(history.count())
"""

from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.query import Query
from ganspect.runtime.history.store import History

__all__ = ["Entry", "History", "Query"]
