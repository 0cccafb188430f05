"""
Run the benchmarks, and write their results to ``RESULTS.md`` beside this file.

``python -m benchmarks`` runs all of them, ``python -m benchmarks forecast`` those of one section.
"""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks import results

TITLES = {"performance": "Performance", "accounts": "Many accounts", "forecast": "Forecast"}
"""The title of each section, by the name of its module."""


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks of the sections that *arguments* name, by default of all."""
    unknown = [name for name in arguments if name not in TITLES]
    if unknown:
        raise SystemExit(f"there is no section {unknown[0]}: they are {', '.join(TITLES)}")
    # A shell ignores interrupts in what it runs in the background, and passes that on. Pulumi would
    # wait five seconds for a language host that is to end by one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # One at a time: the forecast's environment lacks what the others need.
    found = {name: import_module(f"benchmarks.{name}").section() for name in arguments or TITLES}
    results.write(found, TITLES)
    print("\n\n".join(found.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
