"""Where a page may be served: each refusal is one sentence."""

import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from ganspect.errors import ConfigError
from ganspect.runtime.page.server import Page
from ganspect.runtime.page.settings import PageSettings, is_own


def test_this_machine_s_own_addresses_need_nothing():
    assert all(is_own(host) for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1"))
    assert not any(is_own(host) for host in ("0.0.0.0", "::", "10.0.0.5", "line3.plant", "localhost.evil.example"))
    assert PageSettings().token() is None


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"host": "0.0.0.0"}, "can be reached from other machines; name an environment variable"),
        ({"host": "10.0.0.5", "token_env": "T"}, "would send its token in the clear; give certificate and key"),
        ({"certificate": Path("a.crt")}, "certificate and key belong together"),
        ({"behind_proxy": True}, "a page behind a proxy can be reached from other machines"),
        ({"port": 70_000}, "less than or equal to 65535"),
    ],
)
def test_what_may_not_be(keys, sentence):
    with pytest.raises(ValidationError, match=sentence):
        PageSettings(**keys)


def test_a_token_that_is_none(monkeypatch):
    settings = PageSettings(token_env="PAGE_TOKEN")
    with pytest.raises(ConfigError, match="PAGE_TOKEN is not set"):
        settings.token()
    monkeypatch.setenv("PAGE_TOKEN", "short")
    with pytest.raises(ConfigError, match="has 5 characters; give 16 or more of ASCII"):
        settings.token()
    monkeypatch.setenv("PAGE_TOKEN", "0123456789abcdef")
    assert settings.token() == "0123456789abcdef"


def test_a_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use; choose another page.port"):
            Page.bound(PageSettings(port=port), tmp_path)


def test_an_address_of_another_machine(tmp_path):
    settings = PageSettings(host="192.0.2.7", token_env="T", behind_proxy=True)
    with pytest.raises(ConfigError, match=r"'192\.0\.2\.7' is no address of this machine"):
        Page.bound(settings, tmp_path)


def test_a_host_that_is_none(tmp_path):
    assert is_own("LOCALHOST")
    settings = PageSettings(host="é..a", token_env="T", behind_proxy=True)
    with pytest.raises(ConfigError, match=r"'é\.\.a' is no address; give one of this machine's"):
        Page.bound(settings, tmp_path)


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "page.crt").write_text("no certificate")
    settings = PageSettings(port=0, certificate=Path("page.crt"), key=Path("page.key"))
    with pytest.raises(ConfigError, match=r"page.crt and page.key .*page.key cannot be used"):
        Page.bound(settings, tmp_path)
