"""Reports on the sandbox's accounts, as tests of charts, headlines and lengths look at them."""

import dataclasses
import html
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API
from pulumi_cf_invoice.billing.snapshot import Snapshot, take
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import serving
from tests.factories import ACCOUNT, NOW, START, settings_for

FIRST = datetime.fromtimestamp(START, tz=UTC)
"""The beginning of the invoices' period."""
MORNING = datetime(2026, 9, 16, 6, 23, tzinfo=UTC)
"""The morning after a loop ran overnight, at the time of a scheduled job."""
OF_ACCOUNT = {"accountIds": [ACCOUNT]}


@cache
def taken(scenario: str, now: datetime = NOW, account_id: str = ACCOUNT) -> Snapshot:
    """Return a snapshot of an account of the sandbox, as if Cloudflare had answered."""
    with serving(Sandbox(scenario, now=now)) as sandbox:
        snapshot = take(settings_for(sandbox.base_url, account_id), now)
    return dataclasses.replace(snapshot, base_url=CLOUDFLARE_API)


def plain(rendered: str) -> str:
    """Return a rendered report as a reader sees it: on one line, without tags and escapes."""
    inline = re.sub("</?(?:a|b|bdi|code|em|small|span|strong|sub)(?: [^>]*)?>", "", rendered)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", inline)).split())


def report_on(
    *snapshots: Snapshot,
    rules: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    **more: Any,
) -> Report:
    """Return the report on *snapshots*, judged by *rules* from a file called rules.json."""
    at = at or snapshots[0].read_at
    lacking = [MissingInvoice.of_snapshot(snapshot) for snapshot in snapshots]
    missing = [account for account in lacking if account]
    found = [
        dataclasses.replace(Found.of_snapshot(snapshot), **more)
        for snapshot, without in zip(snapshots, lacking, strict=True)
        if without is None
    ]
    declared = parse_rules({"rules": rules}) if rules else []
    of_file = [dataclasses.replace(rule, source="rules.json") for rule in declared]
    reader = AccountReader({}, snapshots=snapshots)
    results = judge(of_file, found, at, reader, missing)
    return make_report(found, at=at, rules=results, missing=missing)


def _charted(
    scenario: str, now: datetime = NOW, rules: Mapping[str, Any] | None = None
) -> Callable[[], Report]:
    limits = rules or {"max-amount-due": {"limit": "450 USD"}}
    return cache(lambda: report_on(taken(scenario, now), rules=limits))


ADVISORY = {"enforcementLevel": "advisory"}
CLOSE = {
    "max-amount-due": {"limit": "400 USD"},
    "near": {"rule": "max-amount-due", "limit": "395 USD", **ADVISORY},
}
SIX = ("usual", "steady", "launch", "quiet-weekend", "future", "yen")
CHARTS: Mapping[str, Callable[[], Report]] = {
    "usual": _charted("usual"),
    "two limits close together": _charted("usual", rules=CLOSE),
    "a limit far above": _charted("usual", rules={"max-amount-due": {"limit": "5000 USD"}}),
    "many limits": _charted(
        "steady",
        rules={
            f"a-rule-whose-name-is-long-{limit}": {
                "rule": "max-amount-due",
                "limit": f"{limit} USD",
            }
            for limit in (390, 400, 410, 420, 430, 440, 450, 460, 470, 480)
        },
    ),
    "a forecast without a band": _charted("new", FIRST + timedelta(days=9, hours=12)),
    "nothing spent": _charted("no-usage"),
    "a refund": _charted("credits-exceed-usage"),
    "an hour into the period": _charted("usual", FIRST + timedelta(minutes=40)),
    "an advisory limit an hour into the period": _charted(
        "usual",
        FIRST + timedelta(minutes=40),
        rules={"near": {"rule": "max-amount-due", "limit": "100 USD", **ADVISORY}},
    ),
    "three days into the period": _charted("usual", FIRST + timedelta(days=2, hours=2)),
    "the period's last day": _charted("usual", FIRST + timedelta(days=29, hours=20)),
    "the period over": cache(
        lambda: report_on(
            taken("usual"),
            rules={"max-amount-due": {"limit": "450 USD"}},
            at=NOW + timedelta(days=20),
        )
    ),
    "behind by two days": _charted("history-two-days-behind"),
    "over its limit": _charted("launch"),
    "a day over its limit": _charted(
        "night-loop",
        MORNING,
        rules={
            "max-amount-due": {"limit": "450 USD"},
            "max-daily-spend": {**OF_ACCOUNT, "limit": "3x", "warnAt": ["50%"]},
        },
    ),
    "ten thousand lines": _charted("ten-thousand-lines"),
    "another currency": _charted("dinar", rules={"max-amount-due": {"limit": "100 KWD"}}),
}
"""Reports with different charts, by what they show. Each is made once."""


def six_accounts() -> Report:
    """Return a report on six accounts of which four are within."""
    snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(SIX, 1)]
    return report_on(*snapshots, rules={"max-amount-due": {"limit": "450 USD"}})
