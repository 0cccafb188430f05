"""Prints to a terminal: tables by Rich, in colour if the terminal supports it."""

import io
import re
from collections.abc import Sequence
from typing import IO

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from pulumi_cf_invoice.billing.cleaning import in_one_line
from pulumi_cf_invoice.report.tables import Table as DecidedTable

NARROWEST = 12
"""The minimum width of a column of text."""
_WIDTH = 100
_LONGEST = 1000


def render(parts: Sequence[RenderableType]) -> str:
    """Return *parts*, one below the other, as plain text that is 100 columns wide."""
    buffer = io.StringIO()
    # Without these, FORCE_COLOR and TTY_COMPATIBLE would make it a terminal.
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
    # Amounts do not wrap, and Rich would cut off digits if the terminal is too narrow.
    needed = (_least_width(part) for part in parts if isinstance(part, Table))
    console.width = max(console.width, *needed, 0)
    console.print(Group(*parts))


def _least_width(table: Table) -> int:
    """Return the width of a table whose amounts are whole, and whose words are folded."""
    widths = [_least_width_of_column(column) for column in table.columns]
    return sum(widths) + 2 * (len(widths) - 1)


def _least_width_of_column(column: Column) -> int:
    if not column.no_wrap:
        return column.min_width or 1
    cells = [column.header, *column.cells]
    return max((cell_len(str(cell)) for cell in cells), default=0)


def inert(text: str, style: str = "") -> Text:
    """Return *text* that others wrote as a line that no log reader takes for a command."""
    # At the start of a line, where it may be folded to, this is a command to GitHub's runner.
    return Text(re.sub(":(?=:)", ": ", in_one_line(text, _LONGEST)), style=style)


def drawn(table: DecidedTable) -> Table:
    """Return a table as Rich draws it: sums are bold, and a change has a colour."""
    made = Table(
        title=table.title, title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    made.show_header = any(column.title for column in table.columns)
    for number, column in enumerate(table.columns):
        made.add_column(
            column.title,
            justify="left" if column.is_text else "right",
            overflow="fold",
            no_wrap=not column.is_text,
            min_width=NARROWEST if column.is_text and not number else None,
        )
    for number, row in enumerate(table.rows):
        is_sum = number >= len(table.rows) - table.sums
        # Others' words never stand at the start of a line.
        dash = "- " if made.show_header and not is_sum else ""
        cells = [f"{dash}{row[0]}", *row[1:]]
        made.add_row(
            *(
                inert(cell, _style(cell, column.title, is_sum))
                for cell, column in zip(cells, table.columns, strict=True)
            )
        )
    if table.left_out:
        made.add_row(f"- {table.left_out}")
    return made


def _style(cell: str, title: str, is_sum: bool) -> str:
    if title == "Change" and cell[:1] in ("+", "-"):
        colour = "yellow" if cell.startswith("+") else "green"
        return f"bold {colour}" if is_sum else colour
    return "bold" if is_sum else ""
