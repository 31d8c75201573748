"""A reject output that is a coil of a PLC, through Modbus TCP.

plc = Modbus("10.0.0.7", coil=16, heartbeat_register=100)
plc.connect(); plc.set_level(True)
"""

import logging
from collections.abc import Callable
from typing import Any

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

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
        self._ask(f"coil {self._coil}", lambda to: self._client.write_coil(self._coil, active, device_id=to))

    def beat(self, count: int) -> None:
        """Write the register; after 65,535 comes 0.

        Raises:
            ConnectionError: the PLC does not answer, or refuses.
        """
        register = self._register
        if register is not None:
            value = count % 65_536
            self._ask(f"register {register}", lambda to: self._client.write_register(register, value, device_id=to))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _ask(self, what: str, write: Callable[[int], Any]) -> None:
        try:
            answer = write(self._device_id)
        except ModbusException as error:
            raise ConnectionError(f"the PLC at {self._where} does not answer when {what} is written") from error
        if answer.isError():
            raise ConnectionError(
                f"the PLC at {self._where} refuses to write {what} (exception {answer.exception_code}); correct the "
                "address, or let the PLC have it"
            )
