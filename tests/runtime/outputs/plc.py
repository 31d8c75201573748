"""A real Modbus TCP server in a process of its own, which can be killed and started again at the same port.

python tests/runtime/outputs/plc.py PORT       # prints a line for each write: time, function, address, value
"""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple


class Write(NamedTuple):
    """A coil (function 5) or register (function 6) that was written, at `time.perf_counter_ns()` of this machine."""

    at_ns: int
    function: int
    address: int
    value: int


class Plc:
    """Coils and registers 0 to 31; the others are refused."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.writes: list[Write] = []
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "ready\n"
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        self._process.stdout.close()

    def coil(self, address: int = 3) -> list[int]:
        return [write.value for write in self.writes if (write.function, write.address) == (5, address)]

    def beats(self, address: int = 7) -> list[int]:
        return [write.value for write in self.writes if (write.function, write.address) == (6, address)]

    def _read(self, lines) -> None:
        for line in lines:
            self.writes.append(Write(*map(int, line.split())))


async def _serve(port: int) -> None:
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    def note(sending, pdu):
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
