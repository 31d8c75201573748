import pytest

from ganspect.errors import ConfigError, one_line
from ganspect.runtime.secret import secret_of


def test_blanks_around_a_password_go_and_those_of_a_passphrase_stay(monkeypatch):
    monkeypatch.setenv("LINE_SECRET", " correct horse \n")
    assert secret_of("LINE_SECRET") == "correct horse"
    assert secret_of("LINE_SECRET", exactly=True) == " correct horse \n"
    monkeypatch.setenv("LINE_SECRET", "pass\tphrase")
    assert secret_of("LINE_SECRET", exactly=True) == "pass\tphrase"
    with pytest.raises(ConfigError, match="holds signs that no password has"):
        secret_of("LINE_SECRET")
    monkeypatch.setenv("LINE_SECRET", "")
    for exactly in (False, True):
        with pytest.raises(ConfigError, match="is not set"):
            secret_of("LINE_SECRET", exactly=exactly)


@pytest.mark.parametrize("before", range(270, 300, 3))
def test_no_part_of_a_secret_is_left_where_an_error_is_cut(monkeypatch, before):
    monkeypatch.setenv("LINE_SECRET", "hunter2-long-secret")
    secret_of("LINE_SECRET")
    for told in ("hunter2-long-secret", "rtsp://admin:S3cretPassw0rd@10.0.0.5/x"):
        said = one_line(RuntimeError(f"{'z' * before} {told}"))
        assert "hunter2" not in said
        assert "S3c" not in said
        assert len(said) <= 300
