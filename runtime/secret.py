"""What an environment variable holds that nobody is to see.

token = secret_of("PAGE_TOKEN")
"""

import os

from ganspect.errors import ConfigError
from ganspect.redaction import hide


def secret_of(variable: str | None) -> str | None:
    """Return what an environment variable holds, and hide it from every message from now on; None: of none.

    Raises:
        ConfigError: it is not set.
    """
    if variable is None:
        return None
    if not (value := os.environ.get(variable, "").strip()):
        raise ConfigError(f"the environment variable {variable} is to hold a secret and is not set; set it")
    if not value.isprintable():
        raise ConfigError(f"the environment variable {variable} holds signs that no password has; set it again")
    hide(value)
    return value
