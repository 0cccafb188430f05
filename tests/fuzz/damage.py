"""Ways in which inputs get damaged: as texts, and as JSON at any depth."""

import copy
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.factories import SECRET
from tests.fuzz.oracles import CANARY

_UNKNOWN = ("client_secret", "bank_details", "customer_email", "zzz", "hosted_invoice_url")
_NOISE = (
    "warning: something\n",
    "\n",
    "{\n",
    '{"a": \n',
    "}\n",
    "\x1b[31m",
    "\r",
    "::error::x\n",
    "x",
)
_BEHIND = ("{}", "}", "]", ",", '"a": 1', "warning: something", '{"a": 1}')
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
    """Add an unknown field with `CANARY` to one of the objects in *value*, if it has any."""
    every = (value, *(where[key] for where, key in places(value)))
    objects = [each for each in every if isinstance(each, dict)]
    if objects:
        chosen = data.draw(st.sampled_from(objects))
        chosen[data.draw(st.sampled_from(_UNKNOWN))] = CANARY


def add_token(value: Any, data: st.DataObject) -> None:
    """Add the token of the run to one of the texts in *value*."""
    add_text(value, data.draw(st.sampled_from([SECRET, SECRET.upper()])), data)


def add_text(value: Any, text: str, data: st.DataObject) -> None:
    """Add *text* to one of the texts in *value*, if it has any."""
    texts = [(where, key) for where, key in places(value) if isinstance(where[key], str)]
    if texts:
        where, key = data.draw(st.sampled_from(texts))
        where[key] += f" {text}"


def damage_text(text: str, data: st.DataObject) -> str:
    """Lose either end of *text*, a part or a line break, or insert something."""
    at, to = sorted(data.draw(st.tuples(_places_in(text), _places_in(text))))
    how: Callable[[], str] = data.draw(
        st.sampled_from(
            [
                lambda: text[:at],
                lambda: text[at:],
                lambda: text[:at] + text[to:],
                lambda: text[:at] + data.draw(st.sampled_from(_NOISE)) + text[at:],
                lambda: text[:at] + text[at:].replace("\n", "", 1),
            ]
        )
    )
    return how()


def _places_in(text: str) -> st.SearchStrategy[int]:
    """Return any place in *text*, of which the beginning of a line is as frequent as any other."""
    lines = [0, *(end.end() for end in re.finditer("\n", text))]
    return st.one_of(st.integers(0, len(text)), st.sampled_from(lines))


def lose_lines(text: str, data: st.DataObject) -> str:
    """Lose lines of *text* that follow each other."""
    lines = text.splitlines(keepends=True)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(lines))] * 2)))
    return "".join(lines[:begin] + lines[end:])


def damage_lines(text: str, data: st.DataObject) -> str:
    """Drop, repeat or move up to four lines of *text*."""
    lines = text.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, min(4, len(lines))))):
        at, to = data.draw(st.tuples(*[st.integers(0, len(lines) - 1)] * 2))
        how = data.draw(st.sampled_from(["drop", "drop", "repeat", "move"]))
        line = lines[at]
        if how != "repeat":
            del lines[at]
        if how != "drop":
            lines.insert(to, line)
    return "".join(lines)


def tear_word(text: str, data: st.DataObject) -> str:
    """Write something into a name or another word in *text*, which stays JSON."""
    word = data.draw(st.sampled_from(list(re.finditer(r'"[\w:/-]+"', text))))
    at = data.draw(st.integers(word.start() + 1, word.end() - 1))
    return f"{text[:at]}x{text[at:]}"


def write_name_twice(text: str, data: st.DataObject) -> str:
    """Write a name in *text*, which is JSON, twice in its object: only one of them can be read."""
    name = data.draw(st.sampled_from(list(re.finditer(r'"\w+":', text))))
    return f"{text[: name.start()]}{name[0]} 0, {text[name.start() :]}"


def write_behind_object(text: str, data: st.DataObject) -> str:
    """Write something behind an object in *text*, on its last line."""
    ends = [end.start() for end in re.finditer(r"(?<=^\})\n|(?<=\}\})\n", text, re.MULTILINE)]
    at = data.draw(st.sampled_from(ends))
    return f"{text[:at]}{data.draw(st.sampled_from(_BEHIND))}{text[at:]}"


def _lists(value: Any) -> bool:
    return isinstance(value, list)
