"""Examples of a property: few in every run, and a hundred times as many at night."""

from typing import Any

from hypothesis import settings

EVERY_RUN, NIGHTLY = 25, 2_500


def examples(times: int = 1, **options: Any) -> settings:
    """Return settings with *times* the examples of the profile, for a property that needs more."""
    return settings(max_examples=times * settings().max_examples, **options)
