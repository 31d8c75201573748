import os
from pathlib import Path

import pytest

from ganspect.runtime.bench.energy import Meter, find_meter
from ganspect.runtime.bench.sensors import busy_s, governors, state
from ganspect.runtime.machine import cpu_flags


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_only_instruction_sets_that_matter_are_named(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "processor : 0\nflags : fpu avx2 amx_bf16 rdtscp\n")
    assert cpu_flags(tmp_path) == ["avx2", "amx_bf16"]


def test_arm_calls_them_features(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", "Features : fp asimd asimddp\n")
    assert cpu_flags(tmp_path) == ["asimd", "asimddp"]


def test_clock_governor_and_temperature_are_read_from_the_kernel(tmp_path: Path) -> None:
    for core in (0, 1):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        write(folder / "scaling_governor", "performance\n")
        write(folder / "scaling_cur_freq", "2400000\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "45500\n")
    assert governors(tmp_path) == ["performance"]
    assert state(tmp_path)["clock_mhz"] == [2400, 2400]
    assert state(tmp_path)["temperature_c"] == {"thermal_zone0 x86_pkg_temp": 45.5}


def test_where_the_kernel_tells_nothing_nothing_is_said(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path) == []
    assert state(tmp_path)["clock_mhz"] == []
    with find_meter(tmp_path).reading() as reading:
        pass
    assert reading.energy_j is None


def test_rapl_counts_microjoules_of_all_packages(tmp_path: Path) -> None:
    packages = [tmp_path / f"sys/class/powercap/intel-rapl:{index}" for index in (0, 1)]
    for package in packages:
        write(package / "energy_uj", "1000000")
    meter = find_meter(tmp_path)
    with meter.reading() as reading:
        write(packages[1] / "energy_uj", "3500000")
    assert meter.source is not None
    assert reading.energy_j == pytest.approx(2.5)


def test_a_counter_that_ran_over_says_nothing() -> None:
    counts = iter([5.0, 1.0])
    with Meter("x", counted_j=lambda: next(counts)).reading() as reading:
        pass
    assert reading.energy_j is None


def test_a_jetsons_rails_are_volts_times_amperes(tmp_path: Path) -> None:
    rail = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    write(rail / "in1_input", "5000")
    write(rail / "curr1_input", "2000")
    meter = find_meter(tmp_path)
    assert meter.power_w is not None
    assert meter.power_w() == pytest.approx(10.0)
    with meter.reading() as reading:
        pass
    assert reading.energy_j is not None
    assert reading.energy_j >= 0


def test_busy_time_is_all_but_idle_and_waiting(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    write(tmp_path / "proc/stat", f"cpu  {ticks} {ticks} {ticks} 999999 999999 {ticks} {ticks} {ticks} 0 0\n")
    assert busy_s(tmp_path) == pytest.approx(6.0)
    assert busy_s(tmp_path / "nowhere") is None
