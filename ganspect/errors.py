"""Every error that ganspect raises on purpose; each message is one sentence that a user can act on.

    GanspectError
    ├── ConfigError               a recipe: unknown key, wrong type, impossible size
    ├── DataError                 a data set: missing, empty, no normal images
    │   └── ImageError            one image: corrupt, too large, wrong channels or bit depth
    ├── RunError                  a training run: other settings than before, unfinished, damaged
    ├── BundleError               a bundle: missing or changed file, newer schema, path outside it
    │   └── CalibrationError      a threshold: absent, or too few images for the rate asked
    ├── SourceError               a camera or video: absent, empty, ended early
    ├── SignalError               a signal of the line: no such camera, or one that takes none this way
    ├── OutputError               an output folder: not writable, or the disk is full
    │   └── EntryError            one verdict that no history can hold, however often it is tried
    ├── DeviceError               a GPU, NPU or accelerator that was asked for: not there, or of another kind
    ├── MissingDependencyError    an optional package: names the pip command that brings it
    └── VerificationError         exported graphs do not agree with PyTorch (exit status 1, not 2)

A message says what was given, what was expected and what to do about it. The command line prints it
without a traceback and ends with status 2 (1 for VerificationError). Whatever was given, a message is one line that
a terminal can show, of bounded length, and without credentials.
"""

from ganspect.redaction import redacted

_HEAD, _TAIL = 1_000, 400
"""Signs that are kept of a message that is longer: what is wrong stands at its start, what to do at its end."""

_READ = 10_000
"""Signs at either end in which credentials are looked for; more, so that none is cut in two where it is shown."""


def one_line(error: BaseException, most: int = 300) -> str:
    """Return what another package's error says on one line without credentials, for a sentence of ours."""
    # Hidden before it is cut: half a password is none that would be recognized.
    return redacted(" ".join(str(error)[:_READ].split()))[:most] or type(error).__name__


def printable(text: str) -> str:
    """Return a text on one line, without credentials: control signs and halves of surrogates are written as escapes."""
    if len(text) > 2 * _READ:
        text = f"{text[:_READ]} … {text[-_READ:]}"
    shown = redacted(text)
    if not shown.isprintable():
        shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in shown)
    return shown if len(shown) <= _HEAD + _TAIL else f"{shown[:_HEAD]} … {shown[-_TAIL:]}"


class GanspectError(Exception):
    """Base of every error raised on purpose; catch this one to catch them all."""

    def __str__(self) -> str:
        """Return the message as it may be shown; names and values in it may come from anywhere."""
        return printable(super().__str__())


class ConfigError(GanspectError):
    """A recipe cannot be used as it stands."""


class DataError(GanspectError):
    """A data set cannot be used as it stands."""


class ImageError(DataError):
    """One image or frame cannot be used; inside a folder it is skipped and counted."""


class RunError(GanspectError):
    """A run folder cannot be continued or exported."""


class BundleError(GanspectError):
    """A bundle is damaged, incomplete, or made by a newer ganspect."""


class CalibrationError(BundleError):
    """A bundle has no usable threshold, or too few images were given to make one."""


class SourceError(GanspectError):
    """A camera, stream or video gave no frames."""


class SignalError(GanspectError):
    """A signal was given to a camera that is not there, or that is not triggered this way."""


class OutputError(GanspectError):
    """Results cannot be written where they were asked for."""


class EntryError(OutputError):
    """A verdict can never be written: its values break a rule of the history or of JSON."""


class DeviceError(GanspectError):
    """A device that was asked for is not there, or an engine was built for another kind of it."""


class MissingDependencyError(GanspectError):
    """An optional package is not installed; the message holds the pip command."""


class VerificationError(GanspectError):
    """Exported graphs do not compute what PyTorch computes; nothing was shipped."""
