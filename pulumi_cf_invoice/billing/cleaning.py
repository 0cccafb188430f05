"""Text that others wrote, made fit to stand in a line of ours."""

import re
import unicodedata

LONGEST = 200
"""The most characters of a text that others wrote, where nobody asks for another number."""
# Other format characters, such as the joiners of scripts and emoji, are harmless.
_BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def one_line(text: str, longest: int = LONGEST) -> str:
    """
    Return *text* as one line of at most *longest* characters, without terminal or direction
    controls.

    A right-to-left script keeps its own direction; only the controls that could reorder our text
    go.
    """
    kept = "".join(
        " " if _is_control(character) else character for character in text[: 2 * longest]
    )
    # GitHub's, Azure's and TeamCity's runners take `##[…]`, `##vso[…]` and `##teamcity[…]` for a
    # command anywhere in a line.
    line = re.sub(r"##(?=\w*\[)", "## ", " ".join(kept.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _is_control(character: str) -> bool:
    return ord(character) in _BIDI_CONTROLS or unicodedata.category(character) in (
        "Cc",
        "Cs",
        "Co",
        "Zl",
        "Zp",
    )
