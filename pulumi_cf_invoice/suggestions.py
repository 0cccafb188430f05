"""Words about a name that does not exist: the one that was meant, or all that there are."""

from collections.abc import Iterable
from difflib import get_close_matches

from pulumi_cf_invoice.billing.cleaning import one_line

_LONGEST = 60


def unknown_name(noun: str, name: object, names: Iterable[str]) -> str:
    """Say that there is no *noun* called *name*, and which of *names* is the nearest."""
    known, name = sorted(names), str(name)
    near = get_close_matches(name.lower(), [one.lower() for one in known], n=1, cutoff=0.6)
    meant = next((one for one in known if near and one.lower() == near[0]), None)
    hint = f"did you mean '{meant}'?" if meant else f"known are {', '.join(known)}."
    return f"there is no {noun} '{one_line(name, _LONGEST)}'; {hint}"
