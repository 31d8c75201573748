"""Ports for servers that go away and come back at the same one.

port = lasting_port()

A port that the system chose for one server is free again while that is away, and the system then gives it to whichever
connection asks next. These are from below that range, and none is given out twice.
"""

import contextlib
import os
import random
import socket
import threading

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
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
