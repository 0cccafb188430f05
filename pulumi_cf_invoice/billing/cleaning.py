"""Text written by others, made safe to show in a line of ours."""

import re
import sys
import unicodedata
from collections.abc import Iterator

LONGEST = 200
"""The default maximum length of a text that others wrote, in characters."""
LONGEST_NAME = 100
"""The maximum length of a name that others gave, such as an account's, in characters."""
LONGEST_VALUE = 1000
"""
The maximum length of a text that is kept as others wrote it, in characters.

An honest one has a few hundred at most. Pulumi's engine compares two in the square of their length.
"""
_INNER_QUOTES = str.maketrans("“”", "‘’")  # noqa: RUF001
_FIRST_STRONG, _POP = "\u2068", "\u2069"
# Controls of a terminal, of lines and of the direction of text, what has no meaning of its own, and
# what nobody sees: it could make two names look the same, or carry a text to a machine that reads
# along. Joiners and variation selectors, which scripts and emoji need, are harmless.
HARMFUL = (
    "\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    "\U000f0000-\U000ffffd\U00100000-\U0010fffd"
)
"""The characters that `inert` replaces, for a regular expression's set."""
# The last two of each plane of Unicode, and a few others, are no characters, and Markdown shows
# another in their place.
_LAST_TWO = "".join(
    f"{chr(last - 1)}{chr(last)}" for last in range(0xFFFF, sys.maxunicode + 1, 0x10000)
)
_HARMFUL = re.compile(f"[{HARMFUL}\ud800-\udfff\ufdd0-\ufdef{_LAST_TWO}]")
COLOR = re.compile(r"\x1b(?:\[[\d;]*[Km]|\([0AB])")
"""
What has a terminal change its colour, of which nobody sees anything.

`grep` also clears the rest of the line, and `tput sgr0` selects ASCII.
"""
# Runners take `##[…]` (GitHub), `##vso[…]` (Azure) and `##teamcity[…]` for a command anywhere in a
# line, and `::…` (GitHub) at its beginning. Pulumi's engine takes `<{%…%}>` for a colour.
_COMMAND = re.compile(r"##(?=\w*\[)|^\s*:(?=:)|<(?=\{%)")
MARKERS = (
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
)
"""The texts that the engine reads as unknown values, one for each type."""
LEFT_OUT = re.compile(r"\[(?:link|e-mail address|secret|IBAN|digits)\]")
"""What stands in place of what is private (see `billing.privacy`)."""
# How JSON begins, which the engine decodes before it prints it. YAML it needs in several lines.
_DECODED = re.compile(
    r'\s*(?:\{\s*["}]|'
    rf"\[\s*(?!{LEFT_OUT.pattern})"
    r'(?:["\[\]{]|(?:true|false|null|-?\d[\d.eE+-]*)\s*[,\]])|'
    f"{'|'.join(MARKERS)})"
)


def inert(text: str) -> str:
    """
    Return *text* as one line, without terminal or direction controls or a runner's commands.

    A right-to-left script keeps its own direction; only the controls that could reorder our text
    go.
    """
    return without_commands(_HARMFUL.sub(" ", text))


def inert_value(text: str) -> str:
    """
    Return *text* as `inert` does, for Pulumi to keep as a value of its own.

    What begins like JSON is put in quotation marks: the engine would print what is in it, a line
    for each part, and what was escaped as it is. So is what begins with one of `MARKERS`, which to
    the engine is a value to come. Nothing that begins with such a text is either, however it is
    cut, joined with others or freed of blanks. What is longer than `LONGEST_VALUE` is cut in the
    middle, so that a glob on either end matches it, and first of all freed of what is private: half
    a link can still be one, and `without_private` would not find it.
    """
    line = inert(text)
    # With quotation marks around it, it would be cut.
    if len(line) > LONGEST_VALUE - 2:
        # Hardly any text is so long, and the patterns take time to compile.
        from pulumi_cf_invoice.billing.privacy import without_private

        line = without_commands(without_private(line))
    return cut_in_the_middle(f"“{line}”" if _DECODED.match(line) else line, LONGEST_VALUE)


def may_be_cut(value: str) -> bool:
    """Return whether `inert_value` may have left out a part of *value*."""
    return len(value) >= LONGEST_VALUE


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return *text* as `inert` does, in at most *longest* characters, without repeated blanks."""
    line = " ".join(inert(text[: 2 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def without_commands(line: str) -> str:
    """Return a *line* in which neither a runner nor Pulumi's engine finds a command."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", line)


def inert_json(text: str) -> str:
    """
    Return equivalent JSON that contains no command to a terminal or a runner.

    Such commands only occur in strings, where they can be escaped.
    """
    # Of the control characters, JSON itself escapes only the first 32.
    escaped = re.sub(
        "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]",
        lambda found: f"\\u{ord(found.group()):04x}",
        text,
    )
    return escaped.replace("##", "#\\u0023")


def named(text: str, longest: int = LONGEST) -> str:
    """
    Return a name that others wrote, marked as theirs, to use in a sentence of ours.

    The marks are Unicode's isolates, which `one_line` removes from what others wrote. `parts` finds
    them, and `shown` keeps them only where text direction needs them.
    """
    return f"{_FIRST_STRONG}{one_line(text, longest)}{_POP}"


def quoted(text: str, longest: int = LONGEST) -> str:
    """
    Return a sentence that others wrote in quotation marks, marked like a name by `named`.

    Its own quotation marks become single ones: it must not seem to end before it does.
    """
    return f"“{named(text.translate(_INNER_QUOTES), longest)}”"


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """Return the parts of a sentence, and whether each is what others wrote (`named`)."""
    for number, part in enumerate(re.split(f"{_FIRST_STRONG}(.*?){_POP}", text)):
        if part:
            yield part, number % 2 == 1


def shown(text: str) -> str:
    """Return a sentence for printing, in which only right-to-left scripts stay isolated."""
    return "".join(isolated(part) if theirs else part for part, theirs in parts(text))


def in_one_line(text: str, longest: int = LONGEST) -> str:
    """Return a marked sentence as `one_line` does each of its parts, and as it is `shown`."""
    kept = []
    for part, theirs in parts(text):
        line = one_line(part, longest)
        begin, end = (" " * (line != "" and part[edge].isspace()) for edge in (0, -1))
        kept.append(isolated(line) if theirs else f"{begin}{line}{end}")
    return "".join(kept).strip()


def isolated(text: str) -> str:
    """Return *text* so that a right-to-left script in it does not reorder its surroundings."""
    is_reordering = not text.isascii() and any(
        unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text
    )
    return f"{_FIRST_STRONG}{text}{_POP}" if is_reordering else text


def cut_in_the_middle(text: str, longest: int) -> str:
    """Return *text* of at most *longest* characters: of a name both ends tell it from others."""
    if len(text) <= longest:
        return text
    end = (longest - 1) // 2
    return f"{text[: longest - 1 - end]}…{text[len(text) - end :]}"
