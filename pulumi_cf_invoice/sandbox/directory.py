"""
The made-up accounts that the sandbox lists: as many as requested, and always the same ones.

Each has its own figures, so that a report on many of them has something to show: most are steady,
of any size, and some are in trouble.
"""

import hashlib
from dataclasses import replace
from functools import cached_property

from pulumi_cf_invoice.sandbox.accounts import Scenario
from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS

FIRST = "023e105f4ecef8ad9ca31a8372d0c353"
"""The ID of the first account."""
_OTHERS = {
    7: "top-up-failed",
    13: "no-usage",
    19: "unpaid",
    31: "growing",
    37: "quiet-weekend",
    43: "negative-balance",
}
_TURN = 50
# Minor units of an average day.
_LEAST, _SPREAD = 100, 4_000


class Directory:
    """*count* accounts, by number from 0 on."""

    def __init__(self, count: int) -> None:
        self.ids = [account_id(number) for number in range(count)]

    def listed(self, number: int) -> dict[str, str]:
        """Return the account of that *number* as the API lists it."""
        name = f"Sandbox account {number + 1:,}"
        return {"id": self.ids[number], "name": name, "type": "standard"}

    def scenario(self, account_id: str) -> Scenario | None:
        """Return the scenario of an account, or None if it is not one of them."""
        number = self._numbers.get(account_id)
        if number is None:
            return None
        steady = SCENARIOS[_OTHERS.get(number % _TURN, "steady")]
        size = _LEAST + int(account_id[:8], 16) % _SPREAD
        return steady if number % _TURN in _OTHERS else resized(steady, size)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {account_id: number for number, account_id in enumerate(self.ids)}


def account_id(number: int) -> str:
    """Return the ID of the account of that *number*."""
    if number == 0:
        return FIRST
    return hashlib.sha256(f"sandbox account {number}".encode()).hexdigest()[:32]


def resized(scenario: Scenario, a_day: int) -> Scenario:
    """Return *scenario* with a usage of *a_day* minor units on an average day."""
    return replace(scenario, usage=replace(scenario.usage, a_day=a_day))
