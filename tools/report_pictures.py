"""Draw docs/comment.png and docs/report.png: a pull request comment and the HTML report."""

import json
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

from pulumi_cf_invoice.sandbox import SCENARIOS
from tests.browser.conftest import executable

DOCS = Path(__file__).parents[1] / "docs"
NOW = datetime(2026, 9, 15, 12, tzinfo=timezone.utc)
# Just enough of a forge's styling for the picture of the comment.
STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 24px; color: #1f2328; width: 720px; }
h3 { font-size: 17px; } sub { color: #59636e; font-size: 12px; }
table { border-collapse: collapse; margin: 12px 0; }
td, th { border: 1px solid #d1d9e0; padding: 5px 12px; }
code { font: 12px ui-monospace, monospace; background: #818b981f; padding: 2px 5px; }
"""


def main() -> None:
    """Draw both pictures from the output of `cf-invoice report`."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        where = Path(directory)
        for name, call in (("baseline", 0), ("now", 42)):
            result = SCENARIOS["moving"].at(NOW, call).result("invoice-preview")
            (where / name).write_text(json.dumps({"success": True, "result": result}))
        comment = MarkdownIt("commonmark", {"html": True}).enable("table")
        page = (
            f"<meta charset=utf-8><style>{STYLE}</style>{comment.render(report(where, 'markdown'))}"
        )
        (where / "comment.html").write_text(page, encoding="utf-8")
        (where / "report.html").write_text(report(where, "html"), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=executable(playwright))
        for name in ("comment", "report"):
            view = browser.new_page(viewport={"width": 768, "height": 400})
            view.goto((where / f"{name}.html").as_uri())
            view.screenshot(path=DOCS / f"{name}.png", full_page=True)


def report(where: Path, form: str) -> str:
    """Return what `cf-invoice report` prints in the format *form*."""
    command = [str(Path(sys.executable).with_name("cf-invoice")), "report", "--format", form]
    command += ["--from", str(where / "now"), "--baseline", str(where / "baseline")]
    command += ["--at", NOW.isoformat(), "--budget", "250 USD", "--budget-projected", "400 USD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    main()
