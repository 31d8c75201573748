"""Ports for servers that go away and come back at the same one.

port = lasting_port()
with listening(port) as server: ...     # and again, after it was closed

A port that the system chose for one server is free again while that is away, and the system then gives it to whichever
connection asks next. These are from below that range, and none is given out twice.

A process that another thread starts has all our sockets until its program runs, also those that we have closed since:
as long as that is, nobody can listen where it listened. So nothing listens to find out whether a port is free, and who
listens again tries again.
"""

import contextlib
import os
import random
import socket
import threading
import time

_FROM, _TO = 15_000, 32_000
_lock = threading.Lock()
_given: set[int] = set()
_random = random.Random(os.getpid())


def lasting_port() -> int:
    """Return a port that is free now, and that no connection of anybody's gets by itself (as Linux is set up)."""
    with _lock:
        while True:
            port = _random.randrange(_FROM, _TO)
            if port in _given:
                continue
            _given.add(port)
            with contextlib.suppress(OSError), socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(("127.0.0.1", port))
                return port


def listening(port: int, within_s: float = 5.0) -> socket.socket:
    """Return a socket that listens at a port of this machine.

    Raises:
        OSError: another one does, for so long.
    """
    end_s = time.monotonic() + within_s
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.01)
