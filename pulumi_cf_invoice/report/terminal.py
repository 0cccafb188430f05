"""What is printed in a terminal: tables by Rich, in colour if the terminal has any."""

import io
import re
from collections.abc import Sequence
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pulumi_cf_invoice.billing.cleaning import one_line

NARROWEST = 12
"""The least width of a column of text."""
_WIDTH = 100
_LONGEST = 1000
_UNBOUNDED = 10_000


def render(parts: Sequence[RenderableType]) -> str:
    """Return *parts*, one below the other, as plain text that is 100 columns wide."""
    buffer = io.StringIO()
    # Without these, FORCE_COLOR and TTY_COMPATIBLE would make a terminal of it.
    plain = Console(
        file=buffer,
        width=_WIDTH,
        highlight=False,
        emoji=False,
        force_terminal=False,
        color_system=None,
    )
    _print(plain, parts)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def write(parts: Sequence[RenderableType], file: IO[str]) -> None:
    """Write *parts* to *file*; on a terminal in its width and colours."""
    if file.isatty():
        _print(Console(file=file, highlight=False, emoji=False), parts)
    else:
        file.write(render(parts))


def _print(console: Console, parts: Sequence[RenderableType]) -> None:
    # Amounts do not wrap, and Rich would cut their digits where a terminal is too narrow.
    unbounded = console.options.update(width=_UNBOUNDED)
    needed = max(console.measure(part, options=unbounded).minimum for part in parts)
    console.width = max(console.width, needed)
    console.print(Group(*parts))


def inert(text: str, style: str = "") -> Text:
    """Return *text* that others wrote as a line that is no command to whoever reads the log."""
    # At the start of a line, where it may be folded to, this is a command to GitHub's runner.
    return Text(re.sub(":(?=:)", ": ", one_line(text, _LONGEST)), style=style)


def titled_table(title: str, *columns: str) -> Table:
    """Return an empty table, whose first column is text and whose others are amounts."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=bool(number),
            min_width=None if number else NARROWEST,
        )
    return table
