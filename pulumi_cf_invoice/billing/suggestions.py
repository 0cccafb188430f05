"""Hints for whoever made a mistake: where it is, and which name was probably meant."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import LimitError, RuleError

_LONGEST = 60
# A line was called "anthropic claude-haiku-4-5-20251001 Input Tokens" until then.
_RENAMED = "2026-09-01"
_OLD_GLOB = re.compile(r"(?P<provider>[a-z0-9.-]+) (?P<model>[a-z0-9*?][^ /]*)(?P<tokens> .*)?")
_DATE_OF_MODEL = re.compile(r"-20\d{2}-?\d{2}-?\d{2}\b")


def unknown_name(noun: str, name: object, names: Iterable[str]) -> str:
    """Say that there is no *noun* called *name*, and which of *names* is the nearest."""
    known, name = sorted(names), str(name)
    problem = f"there is no {noun} '{one_line(name, _LONGEST)}'"
    if not known:
        return problem
    near = get_close_matches(
        name.lower(), [candidate.lower() for candidate in known], n=1, cutoff=0.6
    )
    meant = next(
        (known_name for known_name in known if near and known_name.lower() == near[0]), None
    )
    hint = f"did you mean '{meant}'?" if meant else f"known: {', '.join(known)}"
    return f"{problem}; {hint}"


@contextmanager
def errors_under(
    place: str, kind: type[LimitError] | type[RuleError] = LimitError
) -> Iterator[None]:
    """
    Re-raise a `LimitError` or `RuleError` as *kind*, with the *place* of the mistake.

    What is nested too deeply to be read, or quoted, is a mistake too.
    """
    try:
        yield
    except (LimitError, RuleError) as error:
        raise kind(f"{place}: {error}") from None
    except RecursionError:
        raise kind(f"{place}: it is nested too deeply") from None


def new_globs(globs: Iterable[str], descriptions: Sequence[str]) -> str:
    """
    Say how to rewrite those of *globs* that match the names of lines before 2026-09-01.

    Since then an invoice has a line for each model, not for each kind of token. Returns a sentence
    after a space, or an empty text if there are none.
    """
    written = []
    for glob in globs:
        new = _new_glob(glob, descriptions)
        if new is not None:
            written.append(f'"{one_line(new, _LONGEST)}" for "{one_line(glob, _LONGEST)}"')
    if not written:
        return ""
    return f" Since {_RENAMED} a line is called provider/model: write {', '.join(written)}."


def _new_glob(glob: str, descriptions: Sequence[str]) -> str | None:
    old = _OLD_GLOB.fullmatch(glob)
    if old is None:
        return None
    model = _DATE_OF_MODEL.sub("", old["model"])
    dotted = re.sub(r"(?<=\d)-(?=\d)", ".", model)
    new = [f"{old['provider']}/{name}" for name in (dotted, model)]
    for candidate in new:
        if any(fnmatchcase(text, candidate) for text in descriptions):
            return candidate
    # For a model that was not used, only the kind of token or the date distinguishes it from a fee.
    return new[0] if "Token" in (old["tokens"] or "") or model != old["model"] else None
