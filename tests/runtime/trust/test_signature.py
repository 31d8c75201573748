import json
import shutil
import subprocess
import sys

import pytest

from ganspect.bundle import CALIBRATION, MANIFEST, open_bundle
from ganspect.errors import BundleError, CalibrationError
from ganspect.runtime.trust.keys import read_private_key, write_key_pair
from ganspect.runtime.trust.signature import SIGNATURE, Trust, sign_bundle
from tests.runtime.conftest import change_manifest, set_threshold

MAIN = "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()"


@pytest.fixture
def key(tmp_path):
    write_key_pair(tmp_path / "line.pem")
    return tmp_path / "line.pem"


@pytest.fixture
def bundle(copy, tiny_bundle):
    return copy(tiny_bundle)


def trusted(bundle, key, **options):
    return open_bundle(bundle, check=Trust.of_key(key.with_suffix(".pub.pem"), **options))


def refused(bundle, key, **options) -> str:
    with pytest.raises(BundleError) as caught:
        trusted(bundle, key, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment},
    )


def test_a_signed_bundle_is_trusted_and_may_be_calibrated_again(bundle, key):
    sign_bundle(bundle, read_private_key(key))
    trusted(bundle, key)
    set_threshold(bundle, 1.0)
    assert trusted(bundle, key).require_calibration().search.value == 1.0


def test_everything_that_export_wrote_is_covered(bundle, key):
    sign_bundle(bundle, read_private_key(key))
    listed = set(json.loads((bundle / MANIFEST).read_text())["sha256"])
    own = {path.name for path in bundle.iterdir() if path.is_file()} - {MANIFEST, SIGNATURE, CALIBRATION}
    assert own == listed
    for name in sorted(listed):
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert f"{name} was changed" in refused(bundle, key)
        (bundle / name).write_bytes(content)
    trusted(bundle, key)


def test_an_unsigned_bundle(bundle, key):
    assert f"is not signed (it has no {SIGNATURE})" in refused(bundle, key)


def test_a_bundle_of_somebody_else(bundle, key, tmp_path):
    write_key_pair(tmp_path / "other.pem")
    sign_bundle(bundle, read_private_key(tmp_path / "other.pem"))
    assert "use the bundle of whom you trust" in refused(bundle, key)
    # Who only claims another key's name does not have its signature.
    signature = json.loads((bundle / SIGNATURE).read_text())
    own = sign_bundle(bundle, read_private_key(key))
    (bundle / SIGNATURE).write_text(json.dumps({**signature, "key_sha256": own.key_sha256}))
    assert "is no signature of its manifest.json" in refused(bundle, key)


def test_a_changed_manifest(bundle, key):
    sign_bundle(bundle, read_private_key(key))
    change_manifest(bundle, search={"steps": 6})
    assert "is no signature of its manifest.json, so one of the two was changed" in refused(bundle, key)


@pytest.mark.parametrize("value", ["", "no base64!", "AAAA"])
def test_a_signature_that_is_none(bundle, key, value):
    sign_bundle(bundle, read_private_key(key))
    signature = json.loads((bundle / SIGNATURE).read_text())
    (bundle / SIGNATURE).write_text(json.dumps({**signature, "manifest": value}))
    assert "is no signature of its manifest.json" in refused(bundle, key)


@pytest.mark.parametrize(
    "change", [{"algorithm": "none"}, {"created": "2026-11-24T00:00:00\n{"}, {"schema_version": 2}, {"spare": 1}, None]
)
def test_a_damaged_signature_file(bundle, key, change):
    sign_bundle(bundle, read_private_key(key))
    signature = json.loads((bundle / SIGNATURE).read_text())
    (bundle / SIGNATURE).write_text("{" if change is None else json.dumps({**signature, **change}))
    assert f"{SIGNATURE} is damaged; sign the bundle again" in refused(bundle, key)


def test_the_time_is_signed_along(bundle, key):
    sign_bundle(bundle, read_private_key(key))
    signature = json.loads((bundle / SIGNATURE).read_text())
    (bundle / SIGNATURE).write_text(json.dumps({**signature, "created": "2030-01-01T00:00:00+00:00"}))
    assert "is no signature" in refused(bundle, key)


def test_a_calibration_that_must_be_signed(bundle, key):
    private = read_private_key(key)
    sign_bundle(bundle, private)
    assert "is not signed, and it must be; look at it, then" in refused(bundle, key, signed_calibration=True)
    sign_bundle(bundle, private, calibration=True)
    trusted(bundle, key, signed_calibration=True)
    set_threshold(bundle, 1e9)
    assert "was changed after it was signed" in refused(bundle, key, signed_calibration=True)
    (bundle / CALIBRATION).unlink()
    assert "is not signed, and it must be" in refused(bundle, key, signed_calibration=True)


def test_a_signed_calibration_is_of_one_bundle(bundle, key, tmp_path):
    private = read_private_key(key)
    sign_bundle(bundle, private, calibration=True)
    other = shutil.copytree(bundle, tmp_path / "other")
    change_manifest(other, search={"steps": 6})
    lent = json.loads((bundle / SIGNATURE).read_text())["calibration"]
    sign_bundle(other, private)
    signature = json.loads((other / SIGNATURE).read_text())
    (other / SIGNATURE).write_text(json.dumps({**signature, "calibration": lent}))
    assert "was changed after it was signed" in refused(other, key, signed_calibration=True)


def test_what_was_checked_is_what_is_used(bundle, key):
    sign_bundle(bundle, read_private_key(key))
    steps = open_bundle(bundle).manifest.search.steps
    trust = Trust.of_key(key.with_suffix(".pub.pem"))

    def check(folder, manifest, calibration):
        trust(folder, manifest, calibration)
        change_manifest(folder, search={"steps": steps + 1})  # as somebody would who waits for just this moment

    assert open_bundle(bundle, check=check).manifest.search.steps == steps


def test_a_damaged_or_uncalibrated_bundle_is_not_signed(bundle, key):
    (bundle / CALIBRATION).unlink()
    with pytest.raises(CalibrationError, match="has no threshold yet"):
        sign_bundle(bundle, read_private_key(key), calibration=True)
    (bundle / "search.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"search\.onnx was changed"):
        sign_bundle(bundle, read_private_key(key))
    assert not (bundle / SIGNATURE).exists()


def test_the_commands_sign_and_verify(bundle, tmp_path):
    key, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    made = command("new-key", key, "--passphrase-env", "LINE_KEY", LINE_KEY="hunter2")
    assert made.returncode == 0, made.stderr
    assert str(public) in made.stdout
    unset = command("sign", bundle, "--key", key, "--passphrase-env", "LINE_KEY")
    assert unset.returncode == 2
    assert "the environment variable LINE_KEY is not set" in unset.stderr
    unsigned = command("verify", bundle, "--key", public)
    assert (unsigned.returncode, unsigned.stderr.count("\n")) == (1, 1)
    signed = command("sign", bundle, "--key", key, "--passphrase-env", "LINE_KEY", LINE_KEY="hunter2")
    assert signed.returncode == 0, signed.stderr
    assert "not covered by the signature, of this device's own: calibration.json" in signed.stderr
    verified = command("verify", bundle, "--key", public, "--backend", "onnxruntime")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith("signed with the key ")
    assert "another one than was signed" not in verified.stderr
    demanding = command("verify", bundle, "--key", public, "--signed-calibration")
    assert (demanding.returncode, "calibration" in demanding.stderr) == (1, True)
    without = command("verify", bundle, "--signed-calibration")
    assert (without.returncode, "needs --key PUBLIC.pem" in without.stderr) == (2, True)


def test_a_threshold_that_was_moved_after_it_was_signed_is_told(bundle, tmp_path):
    key, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    command("new-key", key)
    assert command("sign", bundle, "--key", key, "--calibration").returncode == 0
    path = bundle / CALIBRATION
    path.write_bytes(path.read_bytes() + b"\n")
    told = command("verify", bundle, "--key", public, "--backend", "onnxruntime")
    assert told.returncode == 0, "a device may have a calibration of its own"
    assert "is another one than was signed, so whoever writes there may have moved the threshold" in told.stderr
    refused = command("verify", bundle, "--key", public, "--signed-calibration")
    assert (refused.returncode, "was changed after it was signed" in refused.stderr) == (1, True)
