"""Words for whoever made a mistake: where it stands, and which name was probably meant."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import LimitError, RuleError

_LONGEST = 60


def unknown_name(noun: str, name: object, names: Iterable[str]) -> str:
    """Say that there is no *noun* called *name*, and which of *names* is the nearest."""
    known, name = sorted(names), str(name)
    near = get_close_matches(
        name.lower(), [candidate.lower() for candidate in known], n=1, cutoff=0.6
    )
    meant = next(
        (known_name for known_name in known if near and known_name.lower() == near[0]), None
    )
    hint = f"did you mean '{meant}'?" if meant else f"known: {', '.join(known)}"
    return f"there is no {noun} '{one_line(name, _LONGEST)}'; {hint}"


@contextmanager
def errors_under(
    place: str, kind: type[LimitError] | type[RuleError] = LimitError
) -> Iterator[None]:
    """Raise a `LimitError` or `RuleError` again as *kind*, with the *place* where it stands."""
    try:
        yield
    except (LimitError, RuleError) as error:
        raise kind(f"{place}: {error}") from None
