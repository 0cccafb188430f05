"""
The accounts of the resources after one, so that its check can read them ahead of time.

Pulumi's engine checks one resource after the other, so a provider that only reads the current
account reads one at a time. By the time the first resource is registered, a program has declared
everything that it declares at once, so it can say which accounts come next.
"""

from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

import pulumi

from pulumi_cf_invoice.billing.settings import Source
from pulumi_cf_invoice.program.run import current_monitor

MOST = 15
"""How many accounts a check reads besides its own: as many as are read at a time."""
_of_runs: WeakKeyDictionary[Any, dict[Hashable, dict[str, int]]] = WeakKeyDictionary()


def following(
    account_id: Any, given: Source, provider: object
) -> "pulumi.Output[list[str] | None] | None":
    """
    Note a resource of *account_id*, and return the accounts of those declared after it.

    It is about resources with the same credentials *given* and the same *provider*. None for an
    account that is not known yet, or is a secret.
    """
    monitor = current_monitor()
    if not isinstance(account_id, str) or monitor is None:
        return None
    key = _of_credentials(given), id(provider)
    positions = _of_runs.setdefault(monitor, {}).setdefault(key, {})
    position = positions.setdefault(account_id.strip().lower(), len(positions))
    # When this runs, the program has declared what it declares at once.
    return pulumi.Output.from_input(position).apply(lambda at: _after(positions, at))


def _after(positions: dict[str, int], position: int) -> list[str] | None:
    return list(positions)[position + 1 : position + 1 + MOST] or None


def _of_credentials(given: Source) -> Hashable:
    # By their hash, so that no credential is kept.
    return hash(
        tuple(
            (name, value if isinstance(value, str) else id(value))
            for name, value in sorted(given.values.items())
        )
    )
