"""What an environment variable holds that nobody is to see.

token = secret_of("PAGE_TOKEN")
passphrase = secret_of("KEY_PASSPHRASE", exactly=True)      # blanks around it are part of it
"""

import os

from ganspect.errors import ConfigError
from ganspect.redaction import hide


def secret_of(variable: str | None, *, exactly: bool = False) -> str | None:
    """Return what an environment variable holds, and hide it from every message from now on; None: of none.

    Args:
        variable: its name.
        exactly: as it stands, for what is never typed into a header or a login; else without blanks around it, which
            come with files, and of printable signs only.

    Raises:
        ConfigError: it is not set.
    """
    if variable is None:
        return None
    value = os.environ.get(variable, "")
    if not exactly:
        value = value.strip()
    if not value:
        raise ConfigError(
            f"the environment variable {variable} is not set; set it to the password or token that is meant"
        )
    if not exactly and not value.isprintable():
        raise ConfigError(f"the environment variable {variable} holds signs that no password has; set it again")
    hide(value)
    return value
