"""A reject output that is a coil of a PLC, through Modbus TCP.

plc = Modbus("10.0.0.7", coil=16, heartbeat_register=100)
plc.connect(); plc.set_level(True)
"""

import logging
from typing import Any

from pymodbus.client import ModbusTcpClient

from ganspect.runtime.outputs.medium import Medium, Part

# What it has to say comes as an exception too, and that one is logged once instead of with each try.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class Modbus(Medium):
    """Writes a coil and a register."""

    def __init__(
        self,
        host: str,
        *,
        port: int = 502,
        device_id: int = 1,
        coil: int,
        heartbeat_register: int | None = None,
        timeout_s: float = 0.5,
    ) -> None:
        """Take the addresses; nothing is connected yet.

        Args:
            host: of the PLC.
            port: of the PLC.
            device_id: behind a gateway.
            coil: that rejects, from 0.
            heartbeat_register: that counts up, from 0; None: none.
            timeout_s: for the connection and for an answer.
        """
        self._where = f"{host}:{port}"
        self._device_id = device_id
        self._coil = coil
        self._register = heartbeat_register
        # It tries nothing again by itself: an answer to an old request must not be taken for that of a new one.
        self._client: Any = ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)

    def connect(self) -> None:
        """Connect anew.

        Raises:
            ConnectionError: the PLC is not there.
        """
        self._client.close()
        if not self._client.connect():
            raise ConnectionError(f"the PLC at {self._where} cannot be reached")

    def reject(self, part: Part) -> None:
        """Set the coil."""
        self.set_level(True)

    def set_level(self, active: bool) -> None:
        """Write the coil.

        Raises:
            ConnectionError: the PLC does not answer, or refuses.
        """
        self._require(self._client.write_coil(self._coil, active, device_id=self._device_id), f"coil {self._coil}")

    def beat(self, count: int) -> None:
        """Write the register; after 65,535 comes 0.

        Raises:
            ConnectionError: the PLC does not answer, or refuses.
        """
        if self._register is not None:
            answer = self._client.write_register(self._register, count % 65_536, device_id=self._device_id)
            self._require(answer, f"register {self._register}")

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _require(self, answer: Any, what: str) -> None:
        if answer.isError():
            raise ConnectionError(
                f"the PLC at {self._where} refuses to write {what} (exception {answer.exception_code}); correct the "
                "address, or let the PLC have it"
            )
