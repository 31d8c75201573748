import pytest
from station_rig.receivers import web_server

from ganspect.runtime.history import History
from ganspect.runtime.sinks.forwarder import Forwarder
from ganspect.runtime.sinks.webhook import Webhook
from tests.runtime.history.entries import entry
from tests.runtime.sinks.owed import owed
from tests.runtime.waiting import wait_for


def taken(server) -> list[int]:
    return [record["sequence"] for answer, record, _ in server.requests if answer == 200]


def test_each_verdict_is_a_post_with_its_id_and_the_token():
    with web_server() as server:
        given = owed(*range(3))
        Webhook(server.url, timeout_s=5, token="t0ken").send(given)
    assert taken(server) == [0, 1, 2]
    headers = [headers for _, _, headers in server.requests]
    assert [one["Idempotency-Key"] for one in headers] == [one.uid for one in given]
    assert {one["Authorization"] for one in headers} == {"Bearer t0ken"}
    assert {one["Content-Type"] for one in headers} == {"application/json"}


@pytest.mark.parametrize("answer", [500, 503, 429, 401, 404, 302, "close", "hang"])
def test_what_failed_is_an_error_without_secrets_and_can_be_sent_again(answer):
    with web_server(answer) as server:
        webhook = Webhook(server.url, timeout_s=0.3)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            webhook.send(owed(*range(2)))
        assert "hunter2" not in str(caught.value)
        assert "key" not in str(caught.value)
        webhook.send(owed(*range(2)))
        assert taken(server) == [0, 1]


def test_a_user_in_the_address_is_basic_authorization():
    with web_server() as server:
        Webhook(server.url, timeout_s=5).send(owed(*range(1)))
    assert server.requests[0][2]["Authorization"] == "Basic dXNlcjpodW50ZXIy"


def test_what_the_server_refuses_for_good_does_not_hold_up_the_rest():
    with web_server(422) as server:
        webhook = Webhook(server.url, timeout_s=5)
        webhook.send(owed(*range(3)))
    assert taken(server) == [1, 2]
    assert webhook.refused == 1


def test_what_is_refused_for_good_is_counted_apart_and_fills_no_log(tmp_path, caplog):
    with web_server(*[422] * 50) as server, History.open(tmp_path / "history.sqlite") as history:
        webhook = Webhook(server.url, timeout_s=5)
        forwarder = Forwarder("mes", history, webhook.send, batch=1, refused=lambda: webhook.refused)
        history.append([entry(number) for number in range(53)])
        forwarder.notify()
        wait_for(lambda: forwarder.status().owed == 0, "all are sent")
        forwarder.close()
    status = forwarder.status()
    assert (status.delivered, status.refused, status.failures) == (3, 50, 0)
    assert len([line for line in caplog.messages if "refuses verdict" in line]) == 3
