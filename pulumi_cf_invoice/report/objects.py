"""
Finds the JSON objects in text that also contains other things, such as warnings.

An object is read whole, or the text is refused: half a preview must never pass for a whole one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_cf_invoice.billing.answers import JSON_DECODER
from pulumi_cf_invoice.report.found import NoInvoiceError

# A brace that begins a line, or one within a line of text that is followed by a name in quotes.
_BRACE = re.compile(r'^[ \t]*\{|\{(?=\s*")', re.MULTILINE)
_ANY_BRACE = re.compile("[{}]")
# What occurs in an object of a preview, but in nothing that is written around one.
_INSIDE = re.compile(r'"(?:steps|newState|\w+Event|amount_?[dD]ue)"[ \t]*:')
_BLANKS = re.compile(r"[^\S\n]*")
_GOES_ON = re.compile(r'[}\]]|,?[^\S\n]*["{\[]')


@dataclass(frozen=True)
class PlacedObject:
    """A JSON object with the number of the line on which it begins."""

    value: Mapping[str, Any]
    line: int


def find_objects(text: str) -> Iterator[PlacedObject]:
    """
    Yield every JSON object in *text*, each by its outermost braces, in one pass.

    Raises `NoInvoiceError` if one cannot be parsed, or if its line continues after it.
    """
    line, counted, position, opened = 1, 0, 0, 0
    while brace := _BRACE.search(text, position):
        start = brace.end() - 1
        opened = _opened(text, position, start, opened)
        line, counted = line + text.count("\n", counted, start), start
        try:
            value, position = JSON_DECODER.raw_decode(text, start)
        except RecursionError:
            raise NoInvoiceError(f"the JSON on line {line} is nested too deeply") from None
        except ValueError as error:
            raise NoInvoiceError(_unreadable(text, line, error)) from None
        _refuse_rest(text, brace.start(), position)
        yield PlacedObject(value, line)
    _opened(text, position, len(text), opened)


def _opened(text: str, start: int, end: int, opened: int) -> int:
    """
    Return how many braces are open after the words between two objects, of which some were before.

    Raises `NoInvoiceError` for one that closes what nobody opened: the end of an object, and for
    a part of one with something before each of its lines.
    """
    inside = _INSIDE.search(text, start, end)
    if inside:
        line = text.count("\n", 0, inside.start()) + 1
        raise NoInvoiceError(
            f"line {line} has part of a preview, without the object that it belongs to: was it cut "
            "off, or quoted?"
        )
    for brace in _ANY_BRACE.finditer(text, start, end):
        opened += 1 if brace[0] == "{" else -1
        if opened < 0:
            line = text.count("\n", 0, brace.start()) + 1
            raise NoInvoiceError(
                f"line {line} ends a JSON object that no line begins: was its beginning cut off?"
            )
    return opened


def _unreadable(text: str, line: int, error: ValueError) -> str:
    begins = f"the JSON object that begins on line {line}"
    if not isinstance(error, json.JSONDecodeError):
        return f"{begins} cannot be read: {error}"
    if "Unterminated string" in error.msg or not text[error.pos :].strip():
        return f"{begins} is cut off at the end of the file"
    return f"{begins} breaks off on line {error.lineno}, column {error.colno}: is it torn?"


def _refuse_rest(text: str, begin: int, end: int) -> None:
    blanks = _BLANKS.match(text, end)
    rest = blanks.end() if blanks else end
    begins_line = begin == 0 or text[begin - 1] == "\n"
    # A line of text may quote an object, but not hold a part of a larger one.
    is_followed = text[rest : rest + 1] not in ("", "\n")
    if is_followed and (begins_line or _GOES_ON.match(text, rest)):
        line = text.count("\n", 0, end) + 1
        raise NoInvoiceError(
            f"something follows the JSON object that ends on line {line}: are two outputs joined, "
            "or is standard error mixed into one?"
        )
