"""Draw docs/preview.svg: the preview of a changed figure, from a run on a real engine."""

import io
import re
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.conftest import pointed_at, september
from tests.engine.harness import Stack, example

ROOT = Path(__file__).parents[1]


def preview() -> str:
    """Return what Pulumi prints, from the changed resource on, and of the lines what moves."""
    with tempfile.TemporaryDirectory() as directory, september() as sandbox:
        project, program = example(ROOT / "examples" / "quickstart")
        stack = Stack(
            Path(directory),
            program,
            project,
            **pointed_at(sandbox),
        )
        stack.up()
        sandbox.amount_due = 20001
        text = stack.preview(diff=True).text
    # Stored for the sandbox only: it says that the figures are not Cloudflare's.
    text = re.sub(r"        base_url +: .*\n", "", text)
    text = re.sub(
        r"(?<=      ~ invoice_lines   : \[\n).*?(?=^ {8}\]\n)", _moving, text, flags=re.M | re.S
    )
    return text[text.index("    ~ pulumi-python") :].rstrip()


def _moving(lines: re.Match[str]) -> str:
    moving = [line for line in lines[0].splitlines() if line.lstrip().startswith("~")]
    return "\n".join([*moving, f"{' ' * 20}…", f"{' ' * 16}}}", ""])


def main() -> None:
    """Draw the picture."""
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    for line in preview().splitlines():
        console.print(Text(line, style="yellow" if line.lstrip().startswith("~") else ""))
    # Remove the web fonts: an image in a README is not allowed to load them.
    form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.S)
    svg = console.export_svg(title="pulumi preview --diff", code_format=form, unique_id="preview")
    (ROOT / "docs" / "preview.svg").write_text(svg)


if __name__ == "__main__":
    main()
