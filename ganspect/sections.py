"""Settings in YAML: read, overridden, checked against a model, with errors that name file, key and nearest match.

    settings = parse(read_yaml(path, ["data.source=images/"]), Recipe, origin=str(path))

Recipes and station files are made of such sections.
"""

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ganspect.bounded_yaml import TEXT_BYTES, load_yaml
from ganspect.errors import ConfigError
from ganspect.records import PRECISIONS, Precision
from ganspect.redaction import redacted


class Section(BaseModel):
    """A part of a recipe; unknown keys and numbers without end are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


def read_yaml(
    path: Path, overrides: list[str], *, what: str = "recipe", such_as: str = "configs/fanogan.yaml"
) -> dict[str, Any]:
    """Read a settings file and apply `section.key=value` overrides, without checking the keys.

    Args:
        path: of the file.
        overrides: `section.key=value`.
        what: it is, for messages.
        such_as: an example of one, for messages.

    Raises:
        ConfigError: the file is missing or no YAML mapping, or an override has no `=`.
    """
    try:
        with path.open("rb") as file:
            content = load_yaml(file.read(TEXT_BYTES + 1))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"cannot read the {what} {path}: {reason}; give a YAML file such as {such_as}") from error
    except yaml.YAMLError as error:
        # Without the line itself, which may hold a password.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigError(f"{path} is not valid YAML{where}: {reason}; mend that line") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no settings; expected 'key: value' lines as in {such_as}")
    return with_overrides(content, overrides)


def with_overrides(content: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return settings with `section.key=value` overrides applied, without checking the keys; they are changed.

    Raises:
        ConfigError: an override has no `=`, or names a value as if it were a section.
    """
    for override in overrides:
        _apply(content, override)
    return content


def parse(content: dict[str, Any], model: type[SectionT], *, origin: str) -> SectionT:
    """Check settings against a model.

    Args:
        content: as read from YAML.
        model: the class of the settings, such as the recipe of the system that `content` names.
        origin: the file's name, for messages.

    Raises:
        ConfigError: the first key that is unknown, or whose value is impossible, in one sentence.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_sentence(error, model, origin)) from error


def nearest(name: str, allowed: list[str]) -> str:
    """Return `; did you mean 'x'?` for a close match, else the list of what is allowed."""
    close = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(allowed)}"


def known_precision(name: str) -> Precision:
    """Return a precision by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"unknown precision {name!r}; {nearest(name, list(PRECISIONS))}")
    return name


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"--set {override!r} has no '=' between a key and its value; write for example --set data.source=images"
        )
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is no section; remove what follows the dot")
    try:
        place[last] = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML; quote it") from error


_REASONS = {
    "tuple_type": "a list was expected, such as [64, 64] or [{…}, {…}]",
    "missing": "a value is missing",
    "union_tag_not_found": "a 'kind' is missing",
    "bool_type": "true or false was expected",
    "finite_number": "a finite number was expected",
    "model_type": "a section of settings was expected, not a value",
    "model_attributes_type": "a section of settings was expected, such as {kind: …}",
    "too_short": "the list has too few entries",
}


def _sentence(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    errors = error.errors()
    # A mistyped key is also missing under its right name; what was typed says more.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    location = [part for part in first["loc"] if not isinstance(part, int)]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "union_tag_invalid":
        kinds = [kind.strip(" '") for kind in first["ctx"]["expected_tags"].split(",")]
        return f"{origin}: {key!r}: unknown kind {first['ctx']['tag']!r}; {nearest(first['ctx']['tag'], kinds)}"
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, [str(part) for part in location[:-1]])
        return f"{origin}: unknown key {key!r}; {nearest(str(location[-1]), known)}"
    reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    given = "" if first["type"] in ("missing", "value_error") else f" (given: {redacted(repr(first['input']))})"
    if not key:
        return f"{origin}: {reason}"  # about several keys, which the reason names
    return f"{origin}: {key!r}: {reason[0].lower()}{reason[1:]}{given}; correct that key"


def _known_keys(model: type[BaseModel], sections: list[str]) -> list[str]:
    for section in sections:
        annotation = model.model_fields[section].annotation if section in model.model_fields else None
        # A section, or several in a tuple.
        inner = [part for part in (annotation, *get_args(annotation)) if isinstance(part, type)]
        found = next((part for part in inner if issubclass(part, BaseModel)), None)
        if found is None:
            break
        model = found
    return list(model.model_fields)
