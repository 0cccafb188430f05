"""
The result: what an invoice will come to, for programs and for people, and as plain data.

Plain data is what the plugin's function and JSON have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.models import Estimate, counted, schema_of
from pulumi_cf_invoice.forecast.last_period import LastPeriod
from pulumi_cf_invoice.forecast.outlook import Method
from pulumi_cf_invoice.forecast.periods import period_name
from pulumi_cf_invoice.forecast.priced import SpentDay
from pulumi_cf_invoice.forecast.record import BAND_FROM, TrackRecord
from pulumi_cf_invoice.forecast.runway import Runway
from pulumi_cf_invoice.forecast.unit import UnitName

DERIVED = ("method_text", "text", "amount_due_text", "amount_due_p10_text", "amount_due_p90_text")
"""The figures of a `Forecast` that follow from its fields."""
# The band itself is drawn; its parts are internal to the method.
_INTERNAL = "bands"
# A band of which so little is on one side of the median has only the other one.
_HARDLY = Decimal("0.1")
_WORDS: dict[Method, str] = {
    "daily-usage": "daily usage",
    "recent-mean": f"the mean of the last days, without a band (under {BAND_FROM} days of history)",
    "straight-line": "straight line",
    "too-early": "too early for a forecast",
    "not-known": "not known",
    "period-over": "the period has ended",
}


@dataclass(frozen=True, kw_only=True)
class ComingDay:
    """The amount due at the end of a coming day, in minor units."""

    date: date
    """The UTC day."""
    median: Estimate
    """The median of the amount due by then, in minor units of the invoice's currency."""
    p10: Estimate | None
    """The 10th percentile, in minor units of the invoice's currency; none without a band."""
    p90: Estimate | None
    """The 90th percentile, in minor units of the invoice's currency; none without a band."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What an invoice will come to. Amounts are in minor units of `currency`."""

    method: Method
    """How the coming spend is estimated."""
    currency: str
    """ISO 4217 code in lower case."""
    period_start: int
    """Start of the invoice's period, in Unix seconds (UTC)."""
    period_end: int
    """End of the invoice's period, in Unix seconds (UTC), not included."""
    amount_due: Estimate | None
    """The median of the amount due at the end of the period, in minor units of `currency`; none if
    it is too early, or unknown."""
    amount_due_p10: Estimate | None
    """The amount due that is exceeded in nine cases out of ten, in minor units of `currency`; none
    without a band."""
    amount_due_p90: Estimate | None
    """The amount due that is exceeded in one case out of ten, in minor units of `currency`; none
    without a band."""
    days_of_history: int
    """Number of days of usage that the forecast is based on, not counting today."""
    track_record: TrackRecord | None
    """The method's error on this account so far; none without a band."""
    unit: UnitName | None
    """The unit of usage; none if it cannot be inferred."""
    spent: tuple[SpentDay, ...]
    """The days of the period until now; none if the history does not have them."""
    coming: tuple[ComingDay, ...]
    """The days from now to the end of the period, today first; none if it is too early or unknown,
    and only the last one for a period of over 400 days."""
    runway: Runway | None
    """How long the credits last; none if no balance was given."""
    last_period: LastPeriod | None
    """The previous period, and what would have been forecast for it; none if the usage history does
    not have all of it, or its days cannot be priced."""
    notes: tuple[str, ...]
    """What a reader should know: the inferred unit, lag, and what was left out and why."""

    @property
    def has_ended(self) -> bool:
        """Whether the period has ended, so that no spend is to come."""
        return self.method == "period-over"

    @property
    def is_too_early(self) -> bool:
        """Whether it is too early to say anything."""
        return self.method == "too-early"

    @property
    def is_not_known(self) -> bool:
        """Whether usage has no price yet: the invoice charges for none of this period."""
        return self.method == "not-known"

    @property
    def is_straight_line(self) -> bool:
        """Whether it is only a straight line, which is no forecast."""
        return self.method == "straight-line"

    @property
    def is_forecast(self) -> bool:
        """Whether the coming spend is forecast from daily usage."""
        return self.method in ("daily-usage", "recent-mean")

    @property
    def method_text(self) -> str:
        """The method for people."""
        return _WORDS[self.method]

    @property
    def text(self) -> str:
        """The forecast in a line, in rough amounts: ``Forecast $392 to $447 for September``."""
        period = period_name(self.period_start, self.period_end)
        if self.method == "not-known":
            why = self.notes[0].partition(":")[0].rstrip(".")
            return f"No forecast for {period}: {why[0].lower()}{why[1:]}"
        if self.amount_due is None:
            return f"Too early for a forecast for {period}"
        median = self._rough(self.amount_due)
        if self.has_ended:
            return f"{money.to_text(self.amount_due, self.currency)} for {period}, which has ended"
        if self.is_straight_line:
            return f"A straight line to {median} for {period}"
        if self.amount_due_p10 is None or self.amount_due_p90 is None:
            days = counted(self.days_of_history, "day")
            return (
                f"Forecast {median} for {period}, with no range yet after {days} of history (a "
                f"range needs {BAND_FROM})"
            )
        low, high = self._rough(self.amount_due_p10), self._rough(self.amount_due_p90)
        if low == high:
            return f"Forecast {median} for {period}"
        one_sided = {
            "low": f"up to {high} and unlikely to be less",
            "high": f"down to {low} and unlikely to be more",
        }
        if self._side:
            return f"Forecast {median} for {period}, {one_sided[self._side]}"
        return f"Forecast {median} for {period} ({low} to {high})"

    @property
    def range_note(self) -> str:
        """What a band does not say by itself, in a sentence; empty if there is nothing to say."""
        if self.track_record is None:
            return ""
        unsettled = [day.date for day in self.spent if not day.is_settled]
        # Today is never complete.
        if len(unsettled) > 1:
            return f"Usage since {unsettled[0]} is not complete yet: the figures may still change."
        side = self._side
        if not side:
            return ""
        at = f"The forecast is at the {side} end of its range"
        low, high = self.track_record.band(len(self.coming))
        if side != ("low" if -low < high else "high"):
            return f"{at}, which is wider because usage and invoice do not agree."
        rarely = "high" if side == "low" else "low"
        return f"{at}: similar ones were sometimes much too {side}, but rarely much too {rarely}."

    @property
    def _side(self) -> Literal["low", "high", ""]:
        """The end of its band that the median is at; empty if it is at none."""
        least, middle, most = self.amount_due_p10, self.amount_due, self.amount_due_p90
        if least is None or middle is None or most is None:
            return ""
        low, median, high = map(money.exact, (least, middle, most))
        hardly = (high - low) * _HARDLY
        if median - low < hardly and self._rough(middle) != self._rough(most):
            return "low"
        if high - median < hardly and self._rough(middle) != self._rough(least):
            return "high"
        return ""

    @property
    def amount_due_text(self) -> str | None:
        """The median for people; none if it is too early, or unknown."""
        return self._text(self.amount_due)

    @property
    def amount_due_p10_text(self) -> str | None:
        """The 10th percentile for people; none without a band."""
        return self._text(self.amount_due_p10)

    @property
    def amount_due_p90_text(self) -> str | None:
        """The 90th percentile for people; none without a band."""
        return self._text(self.amount_due_p90)

    def percentile(self, percent: int) -> float | None:
        """Return the amount due at the 10th, 50th or 90th percentile; None if there is none."""
        percentiles = {10: self.amount_due_p10, 50: self.amount_due, 90: self.amount_due_p90}
        return percentiles[percent]

    def to_figures(self) -> dict[str, Any]:
        """
        Return all figures, by name, as plain data, which a program can export: days as ISO 8601.
        """
        return to_figures(self)

    def _rough(self, amount: float) -> str:
        return money.to_rough_text(amount, self.currency)

    def _text(self, amount: float | None) -> str | None:
        return None if amount is None else money.to_text(amount, self.currency)


def to_figures(forecast: Forecast) -> dict[str, Any]:
    """
    Return the fields and the derived figures (`DERIVED`), by name, without those that are None.
    """
    figures: dict[str, Any] = _plain(forecast)
    figures.get("track_record", {}).pop(_INTERNAL, None)
    if forecast.runway is not None:
        figures["runway"]["text"] = forecast.runway.text
    if forecast.last_period is not None:
        figures["last_period"]["text"] = forecast.last_period.text
    derived = {name: getattr(forecast, name) for name in DERIVED}
    return figures | {name: text for name, text in derived.items() if text is not None}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `to_figures`, with a description of each figure and its unit."""
    made = schema_of(Forecast)
    definitions = made["$defs"]
    definitions["TrackRecord"]["properties"].pop(_INTERNAL)
    _add(definitions["Runway"], "text", "The runway for people. A failed top-up comes first.")
    _add(
        definitions["LastPeriod"],
        "text",
        "What would have been forecast, and what the period came to by usage, for people.",
    )
    for name in DERIVED:
        _add(made, name, " ".join((getattr(Forecast, name).__doc__ or "").split()))
    for model in (made, *definitions.values()):
        # Values that are None are left out.
        model["required"] = [
            name for name, spec in model["properties"].items() if not _may_be_none(spec)
        ]
    for name in ("amount_due_text", "amount_due_p10_text", "amount_due_p90_text"):
        made["required"].remove(name)
    return made


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        known = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(item) for name, item in known if item is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _add(model: dict[str, Any], name: str, description: str) -> None:
    model["properties"][name] = {"type": "string", "description": description}


def _may_be_none(spec: Mapping[str, Any]) -> bool:
    return any(option.get("type") == "null" for option in spec.get("anyOf", ()))
