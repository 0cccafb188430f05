"""Forecasts by themselves: as tables for a terminal, and as JSON (``forecast.schema.json``)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from rich.text import Text

from pulumi_cf_invoice.billing.models import iso
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.forecast.result import json_schema, to_figures
from pulumi_cf_invoice.report import terminal
from pulumi_cf_invoice.report.account import days_of, forecast_figures
from pulumi_cf_invoice.report.terminal import inert, titled_table

VERSION = 1


@dataclass(frozen=True)
class AccountForecast:
    """A forecast, the snapshot that it is made from, and what that is called."""

    snapshot: Snapshot
    forecast: Forecast
    names: Sequence[str] = ()


def to_json(forecasts: Sequence[AccountForecast]) -> str:
    """Return *forecasts* as JSON, which `schema` describes."""
    content = {
        "version": VERSION,
        "forecasts": [
            {
                "names": list(one.names),
                "account_id": one.snapshot.account_id,
                "read_at": iso(one.snapshot.read_at.timestamp()),
                **to_figures(one.forecast),
            }
            for one in forecasts
        ],
    }
    # In a log a runner takes `##[` for a command. It occurs in texts alone, where this is the same.
    return json.dumps(content, indent=2, ensure_ascii=False).replace("##", "#\\u0023") + "\n"


def schema() -> str:
    """Return the JSON Schema of `to_json`, made from the model."""
    of_one = json_schema()
    definitions = of_one.pop("$defs")
    own = {
        "names": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What --name says.",
        },
        "account_id": {"type": "string", "description": "32 hex digits."},
        "read_at": {"type": "string", "description": "The time of reading, ISO 8601 in UTC."},
    }
    of_one["properties"] = {**own, **of_one["properties"]}
    of_one["required"] = [*own, *of_one["required"]]
    made: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The output of `cf-invoice forecast --format json`",
        "type": "object",
        "required": ["version", "forecasts"],
        "properties": {
            "version": {
                "const": VERSION,
                "description": "Changes when a reader of this version would break.",
            },
            "forecasts": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Forecast"}},
        },
        "$defs": {"Forecast": of_one, **definitions},
    }
    return json.dumps(made, indent=2) + "\n"


def write(forecasts: Sequence[AccountForecast], file: IO[str]) -> None:
    """Write *forecasts* to *file* as tables, each with its days."""
    parts: list[Any] = []
    for one in forecasts:
        parts += [*([Text()] if parts else []), *_parts(one)]
    terminal.write(parts, file)


def _parts(one: AccountForecast) -> list[Any]:
    forecast = one.forecast
    runway = [forecast.runway.text] if forecast.runway else []
    before = [f"{forecast.last_period.text}."] if forecast.last_period else []
    title = ", ".join([*one.names, f"account {one.snapshot.account_id}"])
    figures = titled_table("Forecast")
    figures.show_header = False
    figures.add_column(no_wrap=True)
    figures.add_column(overflow="fold")
    for name, value in forecast_figures(forecast):
        figures.add_row(name, value)
    days = titled_table("Day by day", "Day", "Spent", "Due", "10th percentile", "90th percentile")
    for day in days_of(forecast):
        days.add_row(f"- {day.date}", day.spent, day.due, day.p10, day.p90)
    read = f"as of {one.snapshot.read_at:%Y-%m-%d %H:%M} UTC"
    return [
        Text(f"{forecast.text}."),
        *(inert(text) for text in (*runway, *before, f"{title[0].upper()}{title[1:]}, {read}.")),
        *(inert(note) for note in forecast.notes),
        Text(),
        figures,
        *([Text(), days] if days.rows else []),
    ]
