"""Ed25519 keys in PEM files; the only module that needs `cryptography`.

write_key_pair(Path("line.pem"))
signature = read_private_key(Path("line.pem")).sign(message)
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ganspect.errors import ConfigError, OutputError
from ganspect.files import require_writable

_MADE_BY = "make a pair with: ganspect new-key PRIVATE.pem"
_PRIVATE, _PUBLIC = b"PRIVATE KEY-----", b"BEGIN PUBLIC KEY-----"


def write_key_pair(path: Path, passphrase: str | None = None) -> Path:
    """Make a key pair: the private key at `path`, for its owner's eyes only, and the public one beside it.

    Args:
        path: of the private key, PEM with PKCS8; ends in `.pem`.
        passphrase: that the private key is encrypted with; None: it is not.

    Returns:
        The public key's file, `NAME.pub.pem`.

    Raises:
        OutputError: one of the files is there already, or cannot be written.
    """
    public = path.with_suffix(".pub.pem")
    for file in (path, public):
        if file.exists() or file.is_symlink():
            raise OutputError(f"{file} is there already, and a key is never overwritten; choose another name")
    require_writable(path.parent)
    key = Ed25519PrivateKey.generate()
    hidden: KeySerializationEncryption = (
        NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
    )
    _write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden), mode=0o600)
    try:
        _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), mode=0o644)
    except OutputError:
        path.unlink()
        raise
    return public


def read_private_key(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Read the key that signs.

    Args:
        path: PEM.
        passphrase: that it is encrypted with; None: it is not.

    Raises:
        ConfigError: it cannot be read, is encrypted with another passphrase, or is no private Ed25519 key.
    """
    content = _content(path)
    if _PUBLIC in content:
        raise ConfigError(f"{path} holds a public key, which cannot sign; give the private one that belongs to it")
    try:
        key = load_pem_private_key(content, None if passphrase is None else passphrase.encode())
    except TypeError as error:  # how the package says that a passphrase is missing, or is one too many
        needed = "is encrypted; name the variable that holds its passphrase with --passphrase-env"
        spare = "is not encrypted, and a passphrase was given; leave out --passphrase-env"
        raise ConfigError(f"{path} {needed if passphrase is None else spare}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in content:
            raise ConfigError(f"{path} cannot be decrypted with this passphrase; give the one it was made with") from (
                error
            )
        raise ConfigError(f"{path} holds no private key in PEM; {_MADE_BY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} holds a key of another kind, Ed25519 is needed; {_MADE_BY}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read the key that signatures are checked with.

    Raises:
        ConfigError: it cannot be read, or is no public Ed25519 key.
    """
    content = _content(path)
    if _PRIVATE in content:
        raise ConfigError(
            f"{path} holds a private key, which belongs on no machine that only checks; give the public one, "
            f"such as {path.with_suffix('.pub.pem').name}"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no public key in PEM; {_MADE_BY}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} holds a key of another kind, Ed25519 is needed; {_MADE_BY}")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key as `openssl pkey -pubin -outform DER -in FILE | sha256sum` prints it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is of this message by the owner of this key."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}; give a PEM file") from error


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that is not there yet, readable for whom `mode` says from its first byte on."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise OutputError(f"{path} is there already, and a key is never overwritten; choose another name") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another folder") from error
