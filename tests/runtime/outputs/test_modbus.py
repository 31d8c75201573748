import time

import pytest
from station_rig.plc import Plc

from ganspect.runtime.outputs.medium import Part
from ganspect.runtime.outputs.modbus import Modbus
from ganspect.runtime.outputs.output import Output, Rules
from tests.runtime.waiting import wait_for


def modbus(plc, **settings) -> Modbus:
    return Modbus("127.0.0.1", **{"port": plc.port, "coil": 3, "heartbeat_register": 7, **settings})


def part() -> Part:
    return Part("left", "anomalous", "7", "", time.perf_counter_ns())


def test_a_coil_is_set_for_a_pulse_and_a_register_counts(plc):
    output = Output("plc", "modbus", modbus(plc), Rules(pulse_ms=30.0, heartbeat_ms=20.0))
    output.feed()
    wait_for(lambda: plc.beats()[:3] == [1, 2, 3], "it beats")
    output.offer(part())
    wait_for(lambda: plc.coil()[-2:] == [1, 0], "it pulses")
    output.close()


def test_the_register_begins_again_after_its_last_number(plc):
    medium = modbus(plc)
    medium.connect()
    medium.beat(65_536 + 5)
    medium.close()
    wait_for(lambda: 5 in plc.beats(), "it is written")


def test_a_plc_that_was_away_gets_its_safe_level_and_the_next_part(plc, caplog):
    output = Output("plc", "modbus", modbus(plc), Rules(pulse_ms=20.0, heartbeat_ms=20.0, give_up_ms=300.0))
    output.feed()
    wait_for(lambda: plc.beats(), "it beats")
    plc.kill()
    wait_for(lambda: not output.status().connected, "it notices")
    begin_s = time.perf_counter()
    output.offer(part())
    assert time.perf_counter() - begin_s < 0.05, "nobody waits for a PLC"
    wait_for(lambda: output.status().failed == 1, "the part has passed")
    plc.writes.clear()
    plc.start()
    output.feed()
    wait_for(lambda: plc.coil() == [0], "the level is written anew")
    output.feed()
    output.offer(part())
    wait_for(lambda: plc.coil() == [0, 1, 0], "the next part is rejected")
    assert output.status().rejected == 1
    assert "output plc does not work: the PLC at 127.0.0.1" in caplog.text
    assert "output plc works again" in caplog.text
    output.close()


def test_an_address_that_the_plc_refuses(plc):
    medium = modbus(plc, coil=99, heartbeat_register=98)
    medium.connect()
    with pytest.raises(ConnectionError, match=r"refuses to write coil 99 \(exception 2\); correct the address"):
        medium.set_level(True)
    with pytest.raises(ConnectionError, match="refuses to write register 98"):
        medium.beat(1)
    medium.close()


def test_no_plc():
    plc = Plc()
    medium = modbus(plc)
    medium.connect()
    plc.kill()
    with pytest.raises(ConnectionError, match="does not answer when coil 3 is written"):
        medium.set_level(True)
    with pytest.raises(ConnectionError, match=f"the PLC at 127.0.0.1:{plc.port} cannot be reached"):
        medium.connect()
