"""Draw the report, its chart and the comment as people see them, for the docs, light and dark."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.snapshot import Snapshot, take
from pulumi_cf_invoice.sandbox import Sandbox
from tests.browser.conftest import executable
from tests.conftest import pointed_at
from tests.factories import ACCOUNT

DOCS = Path(__file__).parents[1] / "docs"
NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)
SCENARIO = "growing"
# The sandbox's usual address, at which nothing has to listen: a snapshot is asked instead.
BASE_URL = "http://127.0.0.1:8787/client/v4"
OWN = {"accountIds": [ACCOUNT], "baseUrl": BASE_URL}
RULES = {
    "near-budget": {"rule": "max-amount-due", "limit": "300 USD", "enforcementLevel": "advisory"},
    "max-forecast": {"limit": "500 USD", **OWN},
    "min-runway": {"days": 3, **OWN},
}
# Just enough of a forge's styling for the picture of the comment, light and dark.
STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1f2328; --soft: #59636e; --rule: #d1d9e0; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --rule: #3d444d; }
}
body { font: 14px/1.5 system-ui, sans-serif; margin: 24px; width: 720px; }
body { background: var(--page); color: var(--ink); }
h3 { font-size: 17px; } sub { color: var(--soft); font-size: 12px; }
table { border-collapse: collapse; margin: 12px 0; }
td, th { border: 1px solid var(--rule); padding: 5px 12px; }
code { font: 12px ui-monospace, monospace; background: #818b981f; padding: 2px 5px; }
"""
SCHEMES = {"light": "", "dark": "-dark"}
"""What a picture's name ends with, by colour scheme."""


def main() -> None:
    """Draw the pictures from the output of `cf-invoice report`, at twice their size."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        where = Path(directory)
        write_inputs(where)
        comment = MarkdownIt("commonmark", {"html": True}).enable("table")
        page = (
            f"<meta charset=utf-8><style>{STYLE}</style>{comment.render(report(where, 'markdown'))}"
        )
        (where / "comment.html").write_text(page, encoding="utf-8")
        (where / "report.html").write_text(report(where, "html"), encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=executable(playwright), chromium_sandbox=os.geteuid() != 0
        )
        for scheme, suffix in SCHEMES.items():
            view = browser.new_page(
                viewport={"width": 768, "height": 400},
                device_scale_factor=2,
                color_scheme=scheme,  # type: ignore[arg-type]
            )
            view.goto((where / "comment.html").as_uri())
            view.screenshot(path=DOCS / f"comment{suffix}.png", full_page=True)
            view.goto((where / "report.html").as_uri())
            # What is below would make a picture of five screens.
            section = view.locator("section", has=view.locator("#lines"))
            end = section.bounding_box()
            if end is None:
                raise RuntimeError("the report has no lines")
            view.screenshot(
                path=DOCS / f"report{suffix}.png",
                full_page=True,
                clip={"x": 0, "y": 0, "width": 768, "height": end["y"] + end["height"] + 10},
            )
            chart = view.locator("section", has=view.locator("#spend"))
            chart.screenshot(path=DOCS / f"forecast{suffix}.png")


def write_inputs(where: Path) -> None:
    """Write what a report reads into the folder *where*."""
    (where / "rules.json").write_text(json.dumps({"rules": RULES}))
    for name, at in (("baseline", NOW - timedelta(days=1)), ("now", NOW)):
        (where / name).write_text(snapshot(at).to_json())


def snapshot(at: datetime) -> Snapshot:
    """Take a snapshot of the scenario at a time."""
    with Sandbox(SCENARIO, now=at) as sandbox:
        resolved = settings.resolve(None, [settings.environment(pointed_at(sandbox))])
        return replace(take(resolved, at), base_url=BASE_URL)


def report(where: Path, form: str) -> str:
    """Return what `cf-invoice report` prints in the format *form*."""
    command = [str(Path(sys.executable).with_name("cf-invoice")), "report", "--format", form]
    command += ["--snapshot", str(where / "now"), "--baseline", str(where / "baseline")]
    command += ["--at", NOW.isoformat(), "--rules", str(where / "rules.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        raise RuntimeError(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
