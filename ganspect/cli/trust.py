"""Commands that say whose a bundle is."""

from pathlib import Path
from typing import Annotated

import typer

from ganspect.cli.options import BundleFolder
from ganspect.extras import extra

PassphraseEnv = Annotated[
    str | None, typer.Option(metavar="NAME", help="Environment variable that holds the private key's passphrase.")
]


def sign(
    bundle: BundleFolder,
    key: Annotated[Path, typer.Option(metavar="PRIVATE.pem", help="That 'ganspect new-key' made.")],
    calibration: Annotated[bool, typer.Option("--calibration", help="Sign the calibration in force too.")] = False,
    passphrase_env: PassphraseEnv = None,
) -> None:
    """Sign a bundle, so that stations can be told to run no other.

    Example: ganspect sign bundle --key line.pem --calibration
    """
    with extra("sign"):
        from ganspect.runtime.trust.command import sign_and_tell

    sign_and_tell(bundle, key, calibration=calibration, passphrase_env=passphrase_env)


def new_key(
    private: Annotated[Path, typer.Argument(metavar="PRIVATE.pem", help="The public key goes beside it.")],
    passphrase_env: PassphraseEnv = None,
) -> None:
    """Make a pair of keys: one that signs bundles, one that stations check them with.

    Example: ganspect new-key line.pem --passphrase-env LINE_KEY
    """
    with extra("sign"):
        from ganspect.runtime.trust.command import make_key

    make_key(private, passphrase_env)
