import json
import threading
import time

import pytest

from ganspect.runtime.capture.backoff import Backoff
from ganspect.runtime.history import History
from ganspect.runtime.sinks.forwarder import Forwarder
from tests.runtime.history.entries import entry

QUICK = {"backoff": Backoff(0.005, 0.02)}


@pytest.fixture
def history(tmp_path):
    with History.open(tmp_path / "history.sqlite") as opened:
        yield opened


class Receiver:
    """Takes batches, or fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.got: list[int] = []
        self._failures = list(failures)

    def __call__(self, owed) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.got += [json.loads(one.line)["sequence"] for one in owed]


def wait_for(condition, what):
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.005)


def test_what_comes_is_delivered_in_order_through_failures(history):
    receiver = Receiver(OSError("http://u:hunter2@host/ is away"), ValueError("odd"))
    forwarder = Forwarder("orders", history, receiver, **QUICK)
    history.append([entry(number) for number in range(250)])
    forwarder.notify()
    wait_for(lambda: len(receiver.got) == 250, "all are delivered")
    forwarder.close()
    assert receiver.got == list(range(250))
    status = forwarder.status()
    assert (status.delivered, status.owed, status.failures, status.error) == (250, 0, 2, "")


def test_an_error_is_told_without_credentials_and_what_is_owed_is_counted(history):
    away = [OSError("http://u:hunter2@host/ is away")] * 10_000
    forwarder = Forwarder("orders", history, Receiver(*away), **QUICK)
    history.append([entry(number) for number in range(3)])
    forwarder.notify()
    wait_for(lambda: forwarder.status().failures > 2, "it fails")
    assert forwarder.status().error == "http://***@host/ is away"
    assert forwarder.status().owed == 3
    forwarder.close()


def test_what_was_owed_at_a_stop_is_delivered_after_the_next_start(history):
    first = Forwarder("orders", history, Receiver(*[OSError("away")] * 10_000), **QUICK)
    history.append([entry(number) for number in range(5)])
    first.notify()
    wait_for(lambda: first.status().failures > 0, "it fails")
    first.close()
    receiver = Receiver()
    second = Forwarder("orders", history, receiver, **QUICK)
    wait_for(lambda: len(receiver.got) == 5, "it is delivered")
    second.close()


def test_only_the_wanted_kinds_go(history):
    receiver = Receiver()
    forwarder = Forwarder("orders", history, receiver, verdicts=("anomalous",), **QUICK)
    history.append([entry(number, verdict="anomalous" if number % 3 == 0 else "normal") for number in range(10)])
    forwarder.notify()
    wait_for(lambda: len(receiver.got) == 4, "they are delivered")
    wait_for(lambda: forwarder.status().owed == 0, "nothing is owed")
    assert receiver.got == [0, 3, 6, 9]
    forwarder.close()


def test_a_sink_that_hangs_holds_up_nobody(history):
    hanging, receiver = threading.Event(), Receiver()
    slow = Forwarder("slow", history, lambda owed: hanging.wait(20), **QUICK)
    quick = Forwarder("quick", history, receiver, **QUICK)
    for number in range(20):
        history.append([entry(number)])
        quick.notify()
    wait_for(lambda: len(receiver.got) == 20, "the other one delivers")
    hanging.set()
    slow.close()
    quick.close()


def test_a_new_sink_owes_nothing_of_the_past(history):
    history.append([entry(0)])
    receiver = Receiver()
    forwarder = Forwarder("new", history, receiver, **QUICK)
    history.append([entry(1)])
    forwarder.notify()
    wait_for(lambda: receiver.got == [1], "only the new one")
    forwarder.close()


def test_new_verdicts_do_not_shorten_the_waits_after_failures(history):
    tries = []

    def fail(owed):
        tries.append(time.monotonic())
        raise OSError("away")

    forwarder = Forwarder("orders", history, fail, backoff=Backoff(0.2, 0.2))
    end_s = time.monotonic() + 0.7
    number = 0
    while time.monotonic() < end_s:
        history.append([entry(number)])
        forwarder.notify()
        number += 1
    forwarder.close()
    assert 2 <= len(tries) <= 9


def test_a_sink_that_is_still_sending_when_the_station_ends_says_nothing_and_ends(history, caplog):
    forwarder = Forwarder("slow", history, lambda owed: time.sleep(0.05), batch=1, **QUICK)
    history.append([entry(number) for number in range(50)])
    forwarder.notify()
    forwarder.close(timeout_s=0.2)
    assert not forwarder._thread.is_alive()
    delivered = forwarder.status().delivered
    assert 0 < delivered < 50
    assert history.delivered("slow") == delivered
    assert caplog.text == ""


def test_what_nobody_wants_is_noted_now_and_then_and_at_the_end_so_that_it_may_be_removed(history, monkeypatch):
    noted = []
    note = history.note_delivered
    monkeypatch.setattr(history, "note_delivered", lambda name, number: (noted.append(number), note(name, number)))
    forwarder = Forwarder("mes", history, Receiver(), verdicts=["anomalous"], **QUICK)
    for number in range(5):
        history.append([entry(number)])
        forwarder.notify()
    time.sleep(0.1)
    assert noted == [], "each would cost a commit"
    monkeypatch.setattr("ganspect.runtime.sinks.forwarder._NOTE_S", 0.0)
    forwarder.notify()
    wait_for(lambda: noted == [5], "it is noted")
    history.append([entry(6)])
    monkeypatch.setattr("ganspect.runtime.sinks.forwarder._NOTE_S", 1000.0)
    forwarder.close()
    assert history.delivered("mes") == 6
