"""
Errors of the billing core, as a running Pulumi program raises them.

Pulumi prints the line of a `pulumi.RunError` and no traceback. So a program raises each error of
the core as a class that is both: ``except ApiError`` catches it, and uncaught it is one line.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import pulumi

from pulumi_cf_invoice.billing.errors import BillingError, SettingsError

P = ParamSpec("P")
R = TypeVar("R")


def as_run_error(error: BillingError) -> BillingError:
    """Return *error* as one that is also a `pulumi.RunError`, without frames or context."""
    if isinstance(error, pulumi.RunError):
        return error
    return _copied(error, _run_error_class(type(error)))  # type: ignore[arg-type]


def raises_run_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Make *function* raise errors of the core through `as_run_error`."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BillingError as error:
            raised = as_run_error(error)
        # Outside of the handler, so that the original and its frames are not kept as the context;
        # and without the arguments, some of which are credentials.
        del args, kwargs
        raise raised

    return wrapper


def wrong_kind(needed: str, given: object) -> SettingsError:
    """Return the error for an argument that is *given* as something else than what is *needed*."""
    package = type(given).__module__
    of_package = "" if package == "builtins" else f" of {package}"
    return SettingsError(f"{needed}, not {type(given).__name__}{of_package}")


def _copied(error: BillingError, kind: type[BillingError]) -> BillingError:
    copy = kind(*error.args)
    copy.__dict__.update(error.__dict__)
    return copy


@cache
def _run_error_class(kind: type[BillingError]) -> type[BillingError]:
    def reduce(error: BillingError) -> tuple[Any, ...]:
        # A class created here cannot be imported where the error is unpickled.
        return as_run_error, (_copied(error, kind),)

    attributes = {
        "__doc__": kind.__doc__,
        "__module__": kind.__module__,
        "__reduce__": reduce,
    }
    return type(kind.__name__, (kind, pulumi.RunError), attributes)
