"""Draws docs/preview.svg: the preview of a figure that moved, from a run on a real engine."""

import io
import re
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.harness import Stack, example

ROOT = Path(__file__).parents[1]
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


def preview() -> str:
    """What Pulumi prints, from the moved resource on, without the lines of the invoice."""
    now = datetime(2026, 9, 15, 12, tzinfo=timezone.utc)
    with tempfile.TemporaryDirectory() as directory, Sandbox(now=now) as sandbox:
        project, program = example(ROOT / "examples" / "quickstart")
        stack = Stack(
            Path(directory),
            program,
            project,
            CLOUDFLARE_BASE_URL=sandbox.base_url,
            CLOUDFLARE_API_TOKEN="sandbox-token",
            CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
        )
        stack.up()
        sandbox.amount_due = 20001
        text = stack.preview(diff=True).text
    text = re.sub(
        r"        invoice_lines   : \[.*?\n        \]",
        "        invoice_lines   : […]",
        text,
        flags=re.S,
    )
    return text[text.index("    ~ pulumi-python") :].rstrip()


def main() -> None:
    """Draw the picture."""
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    for line in preview().splitlines():
        console.print(Text(line, style="yellow" if line.lstrip().startswith("~") else ""))
    # Without the web fonts, which an image in a README may not load.
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)
    svg = console.export_svg(title="pulumi preview --diff", code_format=form, unique_id="preview")
    (ROOT / "docs" / "preview.svg").write_text(svg)


if __name__ == "__main__":
    main()
