"""The run of a program that a caller belongs to."""

import os
from contextvars import copy_context
from typing import Any

from pulumi.runtime.settings import get_monitor


def current_monitor() -> Any:
    """
    Return the resource monitor of the run that the caller belongs to; None outside of any run.

    A process of Pulumi's own host has one run, with all of its threads. In an Automation API
    program, a run is a context, and Pulumi gives everything else the monitor of another run.
    """
    monitor = get_monitor()
    # The host passes the stack config in this variable.
    if "PULUMI_CONFIG" in os.environ:
        return monitor
    return monitor if any(value is monitor for value in copy_context().values()) else None
