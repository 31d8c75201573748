"""docs/station_reference.md, every key of a station file, made from the settings' own classes and docstrings.

python scripts/station_reference.py       # writes the page; a test holds it equal
"""

import re
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ganspect.runtime.capture.triggers.settings import HttpTriggerSettings, MqttTriggerSettings, PinTriggerSettings
from ganspect.runtime.drift.settings import DriftSettings
from ganspect.runtime.good_period.settings import GoodPeriodSettings
from ganspect.runtime.history.settings import HistorySettings
from ganspect.runtime.outputs.settings import ModbusOutputSettings, MqttOutputSettings, PinOutputSettings
from ganspect.runtime.page.settings import PageSettings
from ganspect.runtime.sinks.settings import JsonLinesSettings, MqttSettings, PicturesSettings, WebhookSettings
from ganspect.runtime.station.settings import CameraSettings, InspectionSettings, StationSettings, TrustSettings

PAGE = Path(__file__).parents[1] / "docs/station_reference.md"

_HEAD = """# The station file, key by key

Made by `python scripts/station_reference.py` from the settings' classes; do not edit. The guide is
[station.md](station.md). A key that is unknown or a value that is impossible ends `ganspect run` with one sentence that
names it, before anything starts.
"""

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("The file", StationSettings),
    ("`inspection`", InspectionSettings),
    ("`trust`", TrustSettings),
    ("`history`", HistorySettings),
    ("`cameras`, a list", CameraSettings),
    ("`trigger` of a camera: `kind: mqtt`", MqttTriggerSettings),
    ("`trigger`: `kind: http`", HttpTriggerSettings),
    ("`trigger`: `kind: pin`", PinTriggerSettings),
    ("`sinks`, a list: `kind: jsonl`", JsonLinesSettings),
    ("`sinks`: `kind: pictures`", PicturesSettings),
    ("`sinks`: `kind: webhook`", WebhookSettings),
    ("`sinks`: `kind: mqtt`", MqttSettings),
    ("`page`", PageSettings),
    ("`outputs`, a list: `kind: modbus`", ModbusOutputSettings),
    ("`outputs`: `kind: pin`", PinOutputSettings),
    ("`outputs`: `kind: mqtt`", MqttOutputSettings),
    ("`drift`", DriftSettings),
    ("`good_period`", GoodPeriodSettings),
)


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(_section(title, model) for title, model in _SECTIONS)])


def _section(title: str, model: type[BaseModel]) -> str:
    meanings = _meanings(model)
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for key, field in model.model_fields.items():
        if key == "kind":
            continue
        meaning = " ".join(part for part in (meanings[key], _choices(field.annotation)) if part)
        lines.append(f"| `{key}` | {_default(field.default)} | {meaning} |")
    return f"## {title}\n\n{_summary(model)}\n\n" + "\n".join(lines) + "\n"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each attribute."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        _, _, attributes = (one.__doc__ or "").partition("Attributes:\n")
        for name, text in re.findall(r"^        (\w+): (.*(?:\n            .*)*)", attributes, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "(needed)"
    if value is None or value == ():
        return ""
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`".replace("'", "")


def _choices(annotation: Any) -> str:
    """Return the values of a Literal; the docstring says the rest."""
    values = [value for part in (annotation, *get_args(annotation)) for value in get_args(part)]
    texts = [value for value in values if isinstance(value, str)]
    return f"One of {', '.join(texts)}." if len(texts) > 1 else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
