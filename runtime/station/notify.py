"""What systemd is told of the station: that it is ready, what it does, and that its loop still turns.

supervisor = Supervisor.of_environment()
supervisor.ready()
supervisor.alive("2 cameras")      # from the loop, and from nowhere else: a thread of its own would outlive a hung loop

Without $NOTIFY_SOCKET nothing is sent. The protocol is sd_notify's: lines of KEY=VALUE in a datagram.
"""

import contextlib
import os
import socket
import time


class Supervisor:
    """Sends notifications; may be used from several threads, never waits and never fails."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """Open a socket.

        Args:
            address: path of systemd's socket, or `@name` of an abstract one; empty: nobody listens.
            watchdog_s: it kills the process that was silent for so long; None: it never does.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        self._every_s = None if watchdog_s is None else watchdog_s / 2
        self._next_s = 0.0
        self._status = ""
        self._ends = False

    @classmethod
    def of_environment(cls) -> "Supervisor":
        """Return one as systemd's variables say."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        limit_us = os.environ.get("WATCHDOG_USEC", "")
        # Variables that a parent process left are of its own watchdog.
        is_meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        known = address.startswith(("/", "@"))
        return cls(address if known else "", int(limit_us) / 1e6 if limit_us.isdecimal() and is_meant else None)

    def ready(self) -> None:
        """Say that inspection has begun, or goes on with what was loaded."""
        if not self._ends:
            self._send("READY=1")

    def reloading(self) -> None:
        """Say that another bundle is being loaded; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> None:
        """Say that what was captured is still judged, and then it ends."""
        self._ends = True
        self._send("STOPPING=1\nSTATUS=stopping: frames that were captured are still judged")

    def alive(self, status: str | None = None) -> None:
        """Feed the watchdog where it is time to, and show a status where it has changed."""
        if status is not None and status != self._status:
            self._status = status
            self._send(f"STATUS={' '.join(status.split())}")
        now_s = time.monotonic()
        if self._every_s is not None and now_s >= self._next_s:
            self._next_s = now_s + self._every_s
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # nobody listens any more, which must cost no verdict
                self._socket.sendto(message.encode(), self._address)
