"""A forecast as plain data, as the plugin's function and JSON have it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pulumi_cf_invoice.billing.models import adapter
from pulumi_cf_invoice.forecast.forecast import Forecast

DERIVED = ("method_text", "text", "amount_due_text", "amount_due_p10_text", "amount_due_p90_text")
"""The figures of a `Forecast` that follow from its fields."""
# The band itself is drawn; what it is made of is nobody's business but the method's.
_INTERNAL = "bands"


def to_figures(forecast: Forecast) -> dict[str, Any]:
    """Return the fields and what follows from them (`DERIVED`), by name, without what is none."""
    figures: dict[str, Any] = _plain(adapter(Forecast).dump_python(forecast, exclude_none=True))
    figures.get("track_record", {}).pop(_INTERNAL, None)
    if forecast.runway is not None:
        figures["runway"]["text"] = forecast.runway.text
    derived = {name: getattr(forecast, name) for name in DERIVED}
    return figures | {name: text for name, text in derived.items() if text is not None}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `to_figures`, with a description of each figure and its unit."""
    made: dict[str, Any] = adapter(Forecast).json_schema(mode="serialization")
    definitions = made["$defs"]
    definitions["TrackRecord"]["properties"].pop(_INTERNAL)
    _add(definitions["Runway"], "text", "The runway for people. A top-up that failed comes first.")
    for name in DERIVED:
        _add(made, name, " ".join((getattr(Forecast, name).__doc__ or "").split()))
    for model in (made, *definitions.values()):
        # What is none is left out.
        model["required"] = [
            name for name, spec in model["properties"].items() if not _may_be_none(spec)
        ]
    for name in ("amount_due_text", "amount_due_p10_text", "amount_due_p90_text"):
        made["required"].remove(name)
    return made


def _plain(value: Any) -> Any:
    # pydantic's own way to JSON would make floats of whole amounts.
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _add(model: dict[str, Any], name: str, description: str) -> None:
    model["properties"][name] = {"type": "string", "description": description}


def _may_be_none(spec: Mapping[str, Any]) -> bool:
    return any(one.get("type") == "null" for one in spec.get("anyOf", ()))
