"""`ganspect new-key`, `ganspect sign`, and what `ganspect verify --key` demands.

sign_and_tell(Path("bundle"), Path("line.pem"))
"""

from pathlib import Path

from rich.console import Console

from ganspect.bundle import Check
from ganspect.errors import ConfigError
from ganspect.progress import print_warning
from ganspect.runtime.secret import secret_of
from ganspect.runtime.trust.keys import fingerprint, read_private_key, read_public_key, write_key_pair
from ganspect.runtime.trust.signature import SIGNATURE, Trust, read_signature, sign_bundle, unsigned_parts


def make_key(path: Path, passphrase_env: str | None) -> None:
    """Make a key pair and say where it is.

    Args:
        path: of the private key.
        passphrase_env: environment variable with its passphrase; None: it is not encrypted.

    Raises:
        ConfigError: the variable is not set.
        OutputError: a file is there already, or cannot be written.
    """
    public = write_key_pair(path, secret_of(passphrase_env, exactly=True))
    _print(f"private key, for whoever signs and nobody else: {path}")
    _print(f"public key, for every station: {public}, fingerprint {fingerprint(read_public_key(public))}")


def sign_and_tell(folder: Path, key: Path, *, calibration: bool = False, passphrase_env: str | None = None) -> None:
    """Sign a bundle and say what the signature covers.

    Args:
        folder: the bundle.
        key: file of the private key.
        calibration: sign its calibration too.
        passphrase_env: environment variable with the key's passphrase; None: it is not encrypted.

    Raises:
        ConfigError: the key or its passphrase cannot be used.
        BundleError: the bundle is damaged, or has no calibration that is to be signed.
        OutputError: the bundle cannot be written.
    """
    private = read_private_key(key, secret_of(passphrase_env, exactly=True))
    signature = sign_bundle(folder, private, calibration=calibration)
    covered = "everything that export wrote" + (" and the calibration in force" if calibration else "")
    _print(f"{folder / SIGNATURE}: {covered}, signed with the key {signature.key_sha256}")
    _tell_unsigned(folder)


def told_trust(key: Path | None, *, signed_calibration: bool) -> Check:
    """Return what demands a signature and says whose it found.

    Raises:
        ConfigError: there is no key to check with, or it cannot be used.
    """
    if key is None:
        raise ConfigError("--signed-calibration asks for a signature and needs --key PUBLIC.pem to check it with")
    trust = Trust.of_key(key, signed_calibration=signed_calibration, warn=_warn)

    def check(folder: Path, manifest: bytes, calibration: bytes | None) -> None:
        trust(folder, manifest, calibration)
        signature = read_signature(folder)
        created = "" if signature is None else signature.created
        _print(f"signed with the key {fingerprint(trust.key)} at {created}")
        _tell_unsigned(folder)

    return check


def _tell_unsigned(folder: Path) -> None:
    if parts := unsigned_parts(folder, read_signature(folder)):
        _warn(f"not covered by the signature, of this device's own: {', '.join(parts)}")


def _warn(sentence: str) -> None:
    print_warning(sentence, Console(stderr=True))


def _print(sentence: str) -> None:
    Console().print(sentence, highlight=False, markup=False, soft_wrap=True)
