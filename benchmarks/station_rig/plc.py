"""A real Modbus TCP server in a process of its own, which can be killed and started again at the same port.

plc = Plc(); Modbus("127.0.0.1", port=plc.port, coil=3); print(plc.writes)
"""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from station_rig.needed import needed
from station_rig.ports import lasting_port


class Write(NamedTuple):
    """A coil (function 5) or register (function 6) that was written, at `time.perf_counter_ns()` of this machine."""

    at_ns: int
    function: int
    address: int
    value: int


class Plc:
    """Coils and registers 0 to 31; the others are refused.

    Attributes:
        port: on this machine.
        writes: that came so far.
    """

    def __init__(self) -> None:
        """Start at a free port."""
        self.port = lasting_port()
        self.writes: list[Write] = []
        self.start()

    def start(self) -> None:
        """Start at the same port, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "station_rig.plc", str(self.port)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines = needed(self._process.stdout, "the server's output")
        if self._lines.readline() != "ready\n":
            raise RuntimeError("the Modbus server did not start")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """Kill it, as a PLC without power; what it was written to is kept."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        self._lines.close()

    def coil(self, address: int = 3) -> list[int]:
        """Return the values that were written to a coil."""
        return [write.value for write in self.writes if (write.function, write.address) == (5, address)]

    def beats(self, address: int = 7) -> list[int]:
        """Return the values that were written to a register."""
        return [write.value for write in self.writes if (write.function, write.address) == (6, address)]

    def _read(self) -> None:
        for line in self._lines:
            self.writes.append(Write(*map(int, line.split())))


async def _serve(port: int) -> None:
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    def note(sending: bool, pdu: Any) -> Any:
        if not sending and pdu.function_code in (5, 6):
            value = pdu.bits[0] if pdu.function_code == 5 else pdu.registers[0]
            print(time.perf_counter_ns(), pdu.function_code, pdu.address, int(value), flush=True)
        return pdu

    bits = SimData(0, values=[False] * 32, datatype=DataType.BITS)
    registers = SimData(0, count=32, datatype=DataType.REGISTERS)
    device = SimDevice(1, simdata=([bits], [bits], [registers], [registers]))
    server = ModbusTcpServer(device, address=("127.0.0.1", port), trace_pdu=note)
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
