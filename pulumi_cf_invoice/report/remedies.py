"""What to do about an invoice: about violations, those to come, and those that are possible."""

from datetime import UTC, date, datetime, time, timedelta

from pulumi_cf_invoice.billing.models import instant
from pulumi_cf_invoice.billing.usage_history import DEFAULT_DAYS
from pulumi_cf_invoice.forecast.record import BAND_FROM
from pulumi_cf_invoice.report.headlines import Rank
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import worst_first
from pulumi_cf_invoice.rules.on_forecasts import RUNWAY, to_refill


def remedies(invoice: InvoiceReport) -> list[str]:
    """Return what to do about *invoice*, the most urgent first, each once; empty if nothing."""
    now = [remedy for rule in worst_first(invoice.rules) for remedy in rule.remedies]
    credits = invoice.situation.credits
    if not now and credits and invoice.situation.worst.rank is Rank.CREDITS:
        now.append(to_refill(credits))
    in_time, again = _in_time(invoice), _to_read_again(invoice)
    if invoice.situation.begins_with_age:
        ordered = [*again, *now, *in_time]
    elif invoice.situation.worst.is_hypothetical:
        ordered = [*in_time, *now, *again]
    else:
        ordered = [*now, *in_time, *again]
    if invoice.spike:
        ordered.append("Find out what is spending so much, unless it was intended.")
    return list(dict.fromkeys(ordered)) or _to_watch(invoice)


def _to_read_again(invoice: InvoiceReport) -> list[str]:
    """Return what to do about figures that are too old to rely on, or too early to judge."""
    if invoice.situation.stale:
        when = f"{invoice.as_of:%Y-%m-%d %H:%M} UTC"
        return [f"Take a new snapshot (cf-invoice snapshot): these figures date from {when}."]
    if invoice.verdict != "unknown":
        return []
    if invoice.forecast is not None and invoice.forecast.is_not_known:
        return [
            "Check again in a day: the invoice may be behind, or the usage may be included in it."
        ]
    is_unjudged = not any(rule.violations for rule in invoice.rules)
    if is_unjudged and invoice.as_of.timestamp() >= invoice.invoice.period_end:
        return [
            "Check again when the next period's invoice appears, or add the rule max-amount-due, "
            "which also judges a period that has ended."
        ]
    if is_unjudged:
        return ["Check again later, or add a rule that can be judged now: max-amount-due."]
    return []


def _to_watch(invoice: InvoiceReport) -> list[str]:
    """Return what to do where nothing is wrong, and may be."""
    if invoice.first_hour_text and invoice.rules:
        return ["Today: find out what is spending it, and cap the gateways with spend limits."]
    if invoice.situation.worst.rank is not Rank.WITHIN or not invoice.situation.may_pass:
        return []
    upper, today = invoice.upper_outlook, invoice.as_of.date()
    if upper is not None:
        by = "later today" if upper.date <= today else f"before {upper.date}"
        return [f"No action is needed yet: check again {by}."]
    if invoice.account is None:
        return [
            "For a forecast with a range, give the report a snapshot (cf-invoice snapshot) too."
        ]
    history, forecast = invoice.account.usage_history, invoice.forecast
    if history is None:
        return [
            "For a forecast with a range, read the account again: its usage history could not be "
            "read, for the reason given under “Not available”."
        ]
    start = invoice.invoice.period_start
    is_used = any(entry.aggregated_value for entry in history.entries if entry.start >= start)
    if forecast is not None and forecast.unit is None and history.entries:
        if invoice.as_of - instant(start) > timedelta(days=DEFAULT_DAYS):
            return [
                "Check again every few days: the usage history does not reach back to the period's "
                "start, without which there is no range."
            ]
        none = "the usage history has no usage in this period yet"
        why = "usage has no price yet" if is_used else none
        return [f"Check again in a day: {why}, without which there is no range."]
    days = forecast.days_of_history if forecast else BAND_FROM
    if days < BAND_FROM:
        known = today + timedelta(days=BAND_FROM - days)
        return [f"Check again from {known} on, when there is enough history for a range."]
    return ["Check again every few days: the range is not known."]


def _in_time(invoice: InvoiceReport) -> list[str]:
    """Return what to do before a limit is passed or the credits run out, the earliest first."""
    outlook, upper = invoice.outlook, invoice.upper_outlook
    found = _credits_in_time(invoice)
    for rule in invoice.rules:
        if outlook and rule.name == outlook.rule and not rule.violations and rule.gate:
            is_same = upper is not None and upper.rule == outlook.rule
            earliest = upper.date if upper is not None and is_same else outlook.date
            passed_at = datetime.combine(outlook.date, time.max, UTC)
            limit, is_due = outlook.limit, outlook.is_due
            remedy = rule.gate.rule_remedy(limit, invoice.account_id, passed_at, is_due=is_due)
            found.append((earliest, remedy))
    # The figures may be old.
    today = max(invoice.as_of, invoice.at).date()
    return [
        f"{'Today' if day <= today else f'Before {day}'}: {remedy[0].lower()}{remedy[1:]}"
        for day, remedy in sorted(found)
    ]


def _credits_in_time(invoice: InvoiceReport) -> list[tuple[date, str]]:
    """Return what to do about credits that run out in the period, which violates no rule."""
    runway = invoice.forecast.runway if invoice.forecast else None
    balance = invoice.account.credit_balance if invoice.account else None
    is_violated = any(f.subject == RUNWAY for rule in invoice.rules for f in rule.violations)
    out = runway.runs_out if runway else None
    if runway is None or out is None or balance is None or is_violated:
        return []
    ends = instant(invoice.invoice.period_end).date()
    if balance.topup_is_healthy or balance.balance <= 0 or out >= ends:
        return []
    return [(runway.runs_out_early or out, to_refill(balance))]
