"""
What all models of the API have in common: the types of their fields, and how they parse.

Parsing is strict about money: amounts are required, and one that cannot be represented exactly is
refused. Fields that only name or explain something may be missing or malformed, and are none then.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, cast

from pydantic import (
    ConfigDict,
    Field,
    PlainValidator,
    SkipValidation,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import (
    HARMFUL,
    LONGEST,
    LONGEST_VALUE,
    cut_in_the_middle,
    inert_value,
)
from pulumi_cf_invoice.billing.errors import InvalidDataError

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that datetime can express."""

# Dataclasses, not BaseModels: they parse four times as fast, and Pulumi exports them as a mapping
# of their fields, whereas a BaseModel would silently become a list of pairs.
CONFIG = ConfigDict(extra="ignore", defer_build=True)
"""
The configuration of every model's pydantic dataclass. Its parser is built on first use, because
most programs use only one model.
"""


class Slotted:
    """
    A dataclass with slots, which takes half the time and memory, and can still be exported.

    Pulumi exports an object as its ``__dict__``.
    """

    __slots__ = ()

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return {name: getattr(self, name) for name in type(self).__dataclass_fields__}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Answered:
    """
    How a ``result`` was answered: whether its entries are complete, to which query, and when.

    ``query`` are the parameters of the request by name.
    """

    complete: bool = True
    query: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None


WHOLE = Answered()
"""A complete result about which nothing else is known."""


class Model(Protocol):
    """What a read returns: figures that are parsed from the API's ``result``."""

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> Any:
        """Parse the ``result`` of an answer. Raises `InvalidDataError`."""

    def to_figures(self) -> dict[str, Any]:
        """Return all figures, by name, as plain data."""

    def to_api(self) -> Any:
        """Return the fields that others may see, in the shape of the API's ``result``."""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of a request that it answers."""

    @property
    def is_complete(self) -> bool:
        """Whether all entries of the answer are there."""

    @property
    def text(self) -> str:
        """A summary for people."""


T = TypeVar("T")


def _carried(value: Any) -> float:
    # Pulumi passes whole numbers as floats: by far the most frequent case.
    if isinstance(value, float) and value.is_integer() and abs(value) <= money.LARGEST_AMOUNT:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("not a number")
    exact = value if isinstance(value, Decimal) else money.exact(value)
    try:
        return money.carried(exact)
    except ValueError as error:
        raise ValueError(f"not an amount that can be carried exactly: {error}") from None


def _seconds(value: Any) -> int:
    number = finite(value)
    if number is None or not 0 <= number <= LAST_SECOND:
        raise ValueError("not an instant in Unix seconds")
    return int(number)


def finite(value: Any) -> float | None:
    """Return a number as a 64-bit float, or None if it is not a number, or out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if abs(number) == float("inf") or number != number:
        return None
    return int(number) if number.is_integer() else number


def _text_or_none(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    # A lone surrogate would make protobuf fail. Where a text of several lines differs from an
    # earlier one, Pulumi's engine prints it as it is: in a log, it could act as a command.
    return inert_value(value.encode("utf-8", "replace").decode())


def _whole_or_none(value: Any) -> int | None:
    number = finite(value)
    return None if number is None or not 0 <= number <= LAST_SECOND else int(number)


class ListOrNull:
    """Annotates a list that may be null, and that is refused at its first wrong item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        # pydantic's own FailFast goes with no other validator in some of its versions.
        fail_fast = {**handler(source), "fail_fast": True}
        return core_schema.no_info_before_validator_function(_list_if_null, fail_fast)


class Otherwise:
    """
    Annotates a field that may be malformed: *fallback* interprets such a value.

    The usual form is tried first, without a call into Python.
    """

    def __init__(self, fallback: Callable[[Any], Any]) -> None:
        self._fallback = fallback

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        usual = handler(source)
        other = core_schema.no_info_plain_validator_function(self._fallback)
        return core_schema.union_schema([usual, other], mode="left_to_right")

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        # Another annotation may be around it.
        while "choices" not in schema:
            schema = schema["schema"]
        return handler(schema["choices"][0])


def _none(_: Any) -> None:
    """Return the meaning of a malformed value for a field that may be none."""


OR_NONE = Otherwise(_none)
"""Annotates a field that only names or explains: any malformed value is none."""


def _list_if_null(value: Any) -> Any:
    return [] if value is None else value


# To a type checker these are plain numbers. A union tries the usual case, a JSON integer, without a
# call into Python, before 18846.0 and fractions; text and booleans are never numbers.
if TYPE_CHECKING:
    Estimate = float
    Amount = float
    UnixSeconds = int
    Quantity = float
else:
    # Ours, and already correct: pydantic would turn a whole amount into a float.
    Estimate = SkipValidation[float]
    _Whole = Annotated[int, Strict(), Field(ge=-money.LARGEST_AMOUNT, le=money.LARGEST_AMOUNT)]
    Amount = Annotated[
        _Whole | Annotated[Any, PlainValidator(_carried)],
        Field(union_mode="left_to_right"),
        WithJsonSchema({"type": "number"}),
    ]
    UnixSeconds = Annotated[
        Annotated[int, Strict(), Field(ge=0, le=LAST_SECOND)]
        | Annotated[Any, PlainValidator(_seconds)],
        Field(union_mode="left_to_right"),
        WithJsonSchema({"type": "integer"}),
    ]
    Quantity = Annotated[
        _Whole | Annotated[Any, PlainValidator(finite)],
        Field(union_mode="left_to_right"),
        WithJsonSchema({"type": "number"}),
    ]
# A pattern also makes pydantic refuse a lone surrogate, with which protobuf would fail. The ninth
# character of the engine's markers is a dash.
_Inert = Annotated[
    str,
    StringConstraints(
        strict=True,
        max_length=LONGEST_VALUE,
        pattern=f"^([^\\s:#<{{\\[{HARMFUL}]([^#<{HARMFUL}]{{0,7}}|"
        f"[^#<{HARMFUL}]{{7}}[^-#<{HARMFUL}][^#<{HARMFUL}]*))?$",
    ),
    WithJsonSchema({"type": "string"}),
]
Text = Annotated[_Inert | None, Otherwise(_text_or_none)]
Flag = Annotated[Annotated[bool, Strict()] | None, OR_NONE]
WholeOrNone = Annotated[
    Annotated[int, Strict(), Field(ge=0, le=LAST_SECOND)] | None, Otherwise(_whole_or_none)
]
Currency = Annotated[str, StringConstraints(strict=True, to_lower=True, pattern="^[A-Za-z]{3}$")]
# By pydantic's types of errors, whose own messages are for programmers.
_PROBLEMS = {
    "missing": "missing",
    "dataclass_type": "not an object",
    "list_type": "not a list",
    "string_type": "not a text",
    "string_unicode": "not a text",
    # Of a currency: no other field with a pattern refuses what does not fit.
    "string_pattern_mismatch": "not a currency's three letters, such as usd",
    "bool_type": "neither true nor false",
    "bool_parsing": "neither true nor false",
}


class MajorUnits:
    """A figure of a model in major units of its currency, as an exact decimal ("188.46")."""

    def __init__(self, figure: str) -> None:
        self.figure = figure
        self.description = f"`{figure.lstrip('_')}` in major units of `currency`, an exact decimal."

    def __get__(self, model: Any, owner: type) -> str:
        return format(money.to_major(getattr(model, self.figure), model.currency), "f")


class MoneyText:
    """A figure of a model as text for people ("$188.46")."""

    def __init__(self, figure: str) -> None:
        self.figure = figure
        self.description = f"`{figure.lstrip('_')}` as text for people."

    def __get__(self, model: Any, owner: type) -> str:
        return money.to_text(getattr(model, self.figure), model.currency)


def parsed(model: type[T], values: Any, names: Mapping[str, str] | None = None) -> T:
    """
    Return the *model* of *values*.

    *names* are the API's names of fields that have another one here. Raises `InvalidDataError`,
    which names the field as the API does.
    """
    try:
        return cast(T, adapter(cast(Any, model)).validate_python(values))
    except ValidationError as error:
        raise InvalidDataError(_first_problem(error, model, names or {})) from None


@cache
def adapter(model: Any) -> TypeAdapter[Any]:
    """Return pydantic's adapter of *model*, which is made once."""
    made = TypeAdapter(model)
    made.rebuild()
    return made


class _Described(GenerateJsonSchema):
    """JSON Schema in which docstrings describe plain dataclasses and, on one line, their fields."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        made = super().dataclass_schema(schema)
        # pydantic leaves it out up to version 2.11.
        made["description"] = cleandoc(schema["cls"].__doc__ or "")
        for described in made["properties"].values():
            if "description" in described:
                described["description"] = " ".join(described["description"].split())
        return made


def schema_of(model: type) -> dict[str, Any]:
    """
    Return the JSON Schema of a plain dataclass that is only written, and not parsed.

    The descriptions are read from its source, which would take long on every import.
    """
    # Only a type around a dataclass takes a configuration, and then has it for all that is inside.
    around = TypeAdapter(list[model], config=ConfigDict(use_attribute_docstrings=True))  # type: ignore[valid-type]
    made = around.json_schema(mode="serialization", schema_generator=_Described)
    inside = made["$defs"]
    return {"$defs": inside, **inside.pop(model.__name__)}


def _first_problem(error: ValidationError, model: type, names: Mapping[str, str]) -> str:
    problems = error.errors(include_url=False, include_input=False)
    # The last steps of a union's path name its alternatives, which are not fields of the API.
    path = problems[0]["loc"]
    known = _field_names(model)
    while path and isinstance(path[-1], str) and path[-1] not in known:
        path = path[:-1]
    # The last alternative says why a number was refused, the first one only that it is not whole.
    of_field = [problem for problem in problems if problem["loc"][: len(path)] == path]
    problem = _in_our_words(of_field[-1])
    where = ".".join(names.get(step, step) if isinstance(step, str) else str(step) for step in path)
    return f"{where}: {problem}" if where else problem


def _in_our_words(problem: ErrorDetails) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        return str(context["error"])
    if problem["type"] == "literal_error":
        return f"not {context['expected']}"
    return _PROBLEMS.get(problem["type"], "not what this field can be")


@cache
def _field_names(model: type) -> frozenset[str]:
    """Return the names of the fields of *model* and of the models of its module."""
    siblings = [
        kind
        for kind in vars(sys.modules[model.__module__]).values()
        if isinstance(kind, type) and is_dataclass(kind)
    ]
    return frozenset(field.name for kind in siblings for field in fields(kind))


def instant(seconds: float) -> datetime:
    """Return the instant of Unix *seconds*, in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def parse_instant(text: str) -> datetime:
    """
    Return the instant of ISO 8601 *text* in UTC, which is also the default time zone.

    Raises `ValueError`, whose message is for people.
    """
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{as_given(text)} is not an ISO 8601 time such as 2026-09-15T12:00:00Z"
        ) from None
    try:
        zoned = written if written.tzinfo else written.replace(tzinfo=UTC)
        return zoned.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def iso(seconds: float) -> str:
    """Return the instant of Unix *seconds* as ISO 8601 in UTC."""
    return instant(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


# The lines of an invoice mostly have its period.
@lru_cache
def days(start: int, end: int) -> str:
    """Return a period in Unix seconds for people, in UTC days, the last one included."""
    return f"{instant(start):%Y-%m-%d} to {instant(max(start, end - 1)):%Y-%m-%d}"


def as_given(value: object) -> str:
    """
    Return what was given in place of a word: a text in quotes, cut if it is long, or else the type
    that it is of.
    """
    if isinstance(value, str):
        return repr(cut_in_the_middle(value, LONGEST))
    return f"of type {type(value).__name__}"


def counted(number: int, noun: str) -> str:
    """Return a *number* of something for people: ``1 day``, ``1,000 days``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def distinct(items: Iterable[T], identity: Callable[[T], str | None]) -> list[T]:
    """Return *items* without those whose *identity* came before. None and "" identify nothing."""
    seen: set[str] = set()
    kept = []
    for item in items:
        known = identity(item)
        if not known or known not in seen:
            kept.append(item)
        if known:
            seen.add(known)
    return kept


def derived(names: tuple[str, ...], model: Any) -> dict[str, Any]:
    """Return the figures *names* of *model* that are known."""
    figures = {name: getattr(model, name) for name in names}
    return {name: value for name, value in figures.items() if value is not None}
