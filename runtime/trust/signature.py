"""Signing a bundle, and believing only one that is signed.

sign_bundle(Path("bundle"), read_private_key(Path("line.pem")))
open_bundle(Path("bundle"), check=Trust.of_key(Path("line.pub.pem")))

The manifest holds the SHA-256 of everything that export wrote, so its signature covers every graph and weight. What a
device adds lies outside it: `calibration.json`, which can be signed along, the engines and verification.json.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from ganspect.bundle import CALIBRATION, open_bundle
from ganspect.clock import utc_now
from ganspect.errors import BundleError
from ganspect.files import read_json, write_json
from ganspect.records import Record
from ganspect.runtime.engines import ENGINES_FOLDER
from ganspect.runtime.trust.keys import fingerprint, is_signed, read_public_key
from ganspect.runtime.verification.record import VERIFICATION

SIGNATURE = "signature.json"
_SHOWN = 16
"""Digits of a fingerprint in sentences."""


class Signature(Record):
    """`signature.json`.

    Attributes:
        schema_version: of this file.
        algorithm: Ed25519, without a variant.
        key_sha256: the public key's fingerprint.
        created: time of day, ISO 8601 with zone; signed along.
        manifest: base64, over `manifest_message`.
        calibration: base64, over `calibration_message`; None: the calibration is not signed.
    """

    schema_version: Literal[1] = 1
    algorithm: Literal["ed25519"] = "ed25519"
    key_sha256: str
    # A line of its own in what is signed: with a line break in it, it could take lines of the manifest along.
    created: Annotated[str, Field(pattern="^[0-9T:+Z-]{10,40}$")]
    manifest: str
    calibration: str | None = None


def manifest_message(created: str, manifest: bytes) -> bytes:
    """Return what is signed for a manifest; the first line keeps it from meaning anything elsewhere."""
    return b"ganspect signature 1: manifest\n" + created.encode() + b"\n" + manifest


def calibration_message(created: str, manifest: bytes, calibration: bytes) -> bytes:
    """Return what is signed for a calibration: with the manifest's hash, since it is of this bundle only."""
    head = f"ganspect signature 1: calibration\n{created}\n{hashlib.sha256(manifest).hexdigest()}\n"
    return head.encode() + calibration


def sign_bundle(folder: Path, key: Ed25519PrivateKey, *, calibration: bool = False) -> Signature:
    """Sign a bundle's manifest after checking every hash in it; an older signature is replaced.

    Args:
        folder: the bundle.
        key: that signs.
        calibration: sign calibration.json as it stands as well.

    Raises:
        BundleError: the bundle is damaged.
        CalibrationError: its calibration is to be signed, and it has none.
        OutputError: the bundle cannot be written.
    """
    read: list[tuple[bytes, bytes | None]] = []
    bundle = open_bundle(folder, check=lambda _, manifest, device: read.append((manifest, device)))
    manifest, device = read[0]
    if calibration:
        bundle.pixel_statistics()  # their hash is in what is signed
    created = utc_now()
    signature = Signature(
        key_sha256=fingerprint(key.public_key()),
        created=created,
        manifest=_signed(key, manifest_message(created, manifest)),
        calibration=_signed(key, calibration_message(created, manifest, device)) if calibration and device else None,
    )
    write_json(folder / SIGNATURE, signature.model_dump())
    return signature


@dataclass(frozen=True)
class Trust:
    """Believes bundles that the owner of a key has signed: the `check` of `open_bundle`.

    Attributes:
        key: public, as it was read at the start.
        file: where it came from, for sentences.
        signed_calibration: whether the calibration must be signed too.
        warn: takes a sentence about what is believed all the same.
    """

    key: Ed25519PublicKey
    file: Path
    signed_calibration: bool = False
    warn: Callable[[str], None] = lambda sentence: None

    @classmethod
    def of_key(
        cls, file: Path, *, signed_calibration: bool = False, warn: Callable[[str], None] = lambda sentence: None
    ) -> "Trust":
        """Read the public key.

        Raises:
            ConfigError: it cannot be read, or is no public Ed25519 key.
        """
        return cls(read_public_key(file), file, signed_calibration, warn)

    def __call__(self, folder: Path, manifest: bytes, calibration: bytes | None) -> None:
        """Refuse a bundle that is not signed as demanded.

        Raises:
            BundleError: it is unsigned, signed with another key, or was changed since.
        """
        signature = read_signature(folder)
        if signature is None:
            raise BundleError(
                f"{folder} is not signed (it has no {SIGNATURE}), and only bundles of the key {self.file} are "
                f"trusted; sign it with: ganspect sign {folder} --key PRIVATE.pem"
            )
        own = fingerprint(self.key)
        if signature.key_sha256 != own:
            raise BundleError(
                f"{folder} is signed with the key {signature.key_sha256[:_SHOWN]}, and {self.file} is the key "
                f"{own[:_SHOWN]}; use the bundle of whom you trust, or the public key that belongs to it"
            )
        if not self._is_signed(signature.manifest, manifest_message(signature.created, manifest)):
            raise BundleError(
                f"{folder / SIGNATURE} is no signature of its manifest.json, so one of the two was changed; copy the "
                "bundle again from where it was signed"
            )
        self._check_calibration(folder, signature, manifest, calibration)

    def _check_calibration(
        self, folder: Path, signature: Signature, manifest: bytes, calibration: bytes | None
    ) -> None:
        again = f"look at it, then: ganspect sign {folder} --key PRIVATE.pem --calibration"
        if signature.calibration is None or calibration is None:
            if self.signed_calibration:
                raise BundleError(f"the calibration of {folder} is not signed, and it must be; {again}")
        elif not self._is_signed(signature.calibration, calibration_message(signature.created, manifest, calibration)):
            if self.signed_calibration:
                raise BundleError(f"the calibration of {folder} was changed after it was signed; {again}")
            self.warn(
                f"the calibration of {folder} is another one than was signed, so whoever writes there may have moved "
                "the threshold; only a demand for a signed calibration refuses it"
            )

    def _is_signed(self, signature: str, message: bytes) -> bool:
        try:
            return is_signed(self.key, base64.b64decode(signature, validate=True), message)
        except (binascii.Error, ValueError):
            return False


def read_signature(folder: Path) -> Signature | None:
    """Return what a bundle's signature says, unchecked; None where it has none.

    Raises:
        BundleError: the file is damaged.
    """
    path = folder / SIGNATURE
    if not path.exists():
        return None
    try:
        return Signature.model_validate(read_json(path))
    except (OSError, ValueError, ValidationError) as error:
        raise BundleError(f"{path} is damaged; sign the bundle again with: ganspect sign {folder}") from error


def unsigned_parts(folder: Path, signature: Signature | None) -> list[str]:
    """Return the names of what lies in a bundle, is read on a device, and is covered by no signature."""
    names = [] if signature is not None and signature.calibration is not None else [CALIBRATION]
    return [name for name in (*names, VERIFICATION, ENGINES_FOLDER) if (folder / name).exists()]


def _signed(key: Ed25519PrivateKey, message: bytes) -> str:
    return base64.b64encode(key.sign(message)).decode()
