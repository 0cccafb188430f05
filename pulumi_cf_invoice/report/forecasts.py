"""Forecasts on their own: as tables for a terminal, and as JSON (``forecast.schema.json``)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from rich.text import Text

from pulumi_cf_invoice.billing.cleaning import inert_json, shown
from pulumi_cf_invoice.billing.models import iso
from pulumi_cf_invoice.billing.settings import foreign
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.forecast.result import json_schema, to_figures
from pulumi_cf_invoice.report import tables, terminal
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.report import make_report
from pulumi_cf_invoice.report.terminal import drawn, inert
from pulumi_cf_invoice.state import origin

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
                "names": list(made.names),
                "account_id": made.snapshot.account_id,
                "read_at": iso(made.snapshot.read_at.timestamp()),
                "last_month_text": _last_month_text(made),
                **({"base_url": address} if (address := foreign(made.snapshot.base_url)) else {}),
                **to_figures(made.forecast),
            }
            for made in forecasts
        ],
    }
    return f"{inert_json(json.dumps(content, indent=2, ensure_ascii=False))}\n"


def schema() -> str:
    """Return the JSON Schema of `to_json`, made from the model."""
    of_one = json_schema()
    definitions = of_one.pop("$defs")
    own = {
        "names": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The value of --name.",
        },
        "account_id": {"type": "string", "description": "32 hex digits."},
        "read_at": {"type": "string", "description": "The time of reading, ISO 8601 in UTC."},
        "last_month_text": {
            "type": ["string", "null"],
            "description": "This period compared with the previous one; null if unknown.",
        },
    }
    base_url = {
        "type": "string",
        "description": "Where the figures came from, if not from Cloudflare.",
    }
    of_one["properties"] = {**own, "base_url": base_url, **of_one["properties"]}
    of_one["required"] = [*own, *of_one["required"]]
    made: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The output of `cf-invoice forecast --format json`",
        "type": "object",
        "required": ["version", "forecasts"],
        "properties": {
            "version": {
                "const": VERSION,
                "description": "Changes when readers of this version would break.",
            },
            "forecasts": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Forecast"}},
        },
        "$defs": {"Forecast": of_one, **definitions},
    }
    return json.dumps(made, indent=2) + "\n"


def write(forecasts: Sequence[AccountForecast], file: IO[str]) -> None:
    """Write *forecasts* to *file* as tables, each with its days."""
    parts: list[Any] = []
    for forecast in forecasts:
        parts += [*([Text()] if parts else []), *_parts(forecast)]
    terminal.write(parts, file)


def _report(of_account: AccountForecast) -> InvoiceReport:
    """Return the report on the invoice that is forecast, with that forecast."""
    snapshot = of_account.snapshot
    report = make_report([Found.of_snapshot(snapshot)], at=snapshot.read_at).invoices[0]
    account = AccountReport(snapshot, report.invoice.currency, of_account.forecast)
    return replace(report, account=account, names=of_account.names)


def _last_month_text(of_account: AccountForecast) -> str | None:
    against = _report(of_account).against_last_month
    return shown(against.text) if against else None


def _parts(of_account: AccountForecast) -> list[Any]:
    snapshot, forecast, report = of_account.snapshot, of_account.forecast, _report(of_account)
    figures, days = tables.forecast(report), tables.forecast_days(forecast)
    return [
        *([] if report.forecast_text else [inert(f"{forecast.text}.")]),
        *map(inert, report.summary),
        inert(f"{report.title}, as of {snapshot.read_at:%Y-%m-%d %H:%M} UTC."),
        *([inert(origin(base_url))] if (base_url := foreign(snapshot.base_url)) else []),
        *([Text(), drawn(figures)] if figures else []),
        *([Text(), drawn(days)] if days else []),
    ]
