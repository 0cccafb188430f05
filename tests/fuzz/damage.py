"""Ways in which inputs get damaged: as texts, and as JSON at any depth."""

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

CANARY = "c4n4ry-0f-an-unkn0wn-f1eld"
"""A text in unknown fields, which must not appear in any output."""
_UNKNOWN = ("client_secret", "bank_details", "customer_email", "zzz", "hosted_invoice_url")
_NOISE = ("warning: something\n", "\n", "{\n", '{"a": \n', "}\n", "\x1b[31m", "\r", "::error::x\n")
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [10**400, -1, 0.5, 1e308, [], {}, [[]], "", "x" * 5000, "\ud800", "::error::\n"]
    ),
    st.text(max_size=5),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in *value*, at any depth, with each of its keys."""
    found = []
    keys = list(value) if isinstance(value, dict) else range(len(value)) if _lists(value) else []
    for key in keys:
        found += [(value, key), *places(value[key])]
    return found


def damage_json(value: Any, data: st.DataObject) -> None:
    """Drop, replace, repeat or reorder something in *value*."""
    found = places(value)
    if not found:
        return
    where, key = data.draw(st.sampled_from(found))
    how = data.draw(st.sampled_from(["drop", "odd", "reverse", "repeat"]))
    if how == "drop":
        del where[key]
    elif how == "reverse" and _lists(where[key]):
        where[key].reverse()
    elif how == "repeat" and _lists(where):
        where.append(copy.deepcopy(where[key]))
    else:
        # The next damage may be done to it, and must not be in what is drawn later.
        where[key] = copy.deepcopy(data.draw(ODD))


def add_unknown(value: Any, data: st.DataObject) -> None:
    """Add an unknown field with `CANARY` to some of the objects in *value*."""
    objects = [value, *(place[key] for place, key in places(value) if isinstance(place[key], dict))]
    chosen = data.draw(st.sampled_from(objects))
    chosen[data.draw(st.sampled_from(_UNKNOWN))] = CANARY


def damage_text(text: str, data: st.DataObject) -> str:
    """Truncate *text* at either end, insert something, or remove its line breaks."""
    at = data.draw(st.integers(0, len(text)))
    how: Callable[[], str] = data.draw(
        st.sampled_from(
            [
                lambda: text[:at],
                lambda: text[at:],
                lambda: text[:at] + data.draw(st.sampled_from(_NOISE)) + text[at:],
                lambda: text[:at] + text[at:].replace("\n", "", 1),
            ]
        )
    )
    return how()


def damage_lines(text: str, data: st.DataObject) -> str:
    """Drop, repeat or move up to four lines of *text*."""
    for _ in range(data.draw(st.integers(1, 4))):
        text = _damage_line(text, data)
    return text


def _damage_line(text: str, data: st.DataObject) -> str:
    lines = text.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    to = data.draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    how = data.draw(st.sampled_from(["drop", "repeat", "move"]))
    if how != "repeat":
        del lines[at]
    if how != "drop":
        lines.insert(to, line)
    return "".join(lines)


def _lists(value: Any) -> bool:
    return isinstance(value, list)
