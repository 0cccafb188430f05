"""
Reads from within a running Pulumi program: with its stack config, and once for all callers.

A process can run several programs, or one twice (Automation API). Each run has its own monitor,
which keeps its answers. Under `pulumi.runtime.set_mocks` nothing is read, and the answers are those
of `pulumi_cf_invoice.testing`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import pulumi

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.billing.settings import Settings, Source
from pulumi_cf_invoice.program.errors import as_run_error, raises_run_errors, wrong_kind
from pulumi_cf_invoice.program.imports import no_garbage
from pulumi_cf_invoice.program.run import current_monitor
from pulumi_cf_invoice.program.settings import is_mocked, none_as_empty, resolve, unsecret

# The client and the models are imported for the first request: most programs make none themselves.
if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.cache import AnswerCache
    from pulumi_cf_invoice.billing.reads import ModelT, Read
    from pulumi_cf_invoice.program.stated import StatedAnswers

    Answers = AnswerCache | StatedAnswers

R = TypeVar("R")

_of_runs: WeakKeyDictionary[Any, "AnswerCache"] = WeakKeyDictionary()
_lock = threading.Lock()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def ask(read: "Read[ModelT]", resolved: Settings) -> "Future[ModelT]":
    """Request *read*, once per run of the program."""
    return of_this_run().ask(read, resolved)


def outcomes(asked: "Mapping[str, Future[Any]]") -> dict[str, Any]:
    """Return the answers, or errors in their place, by the same names."""
    return {name: _outcome(answer) for name, answer in asked.items()}


def _outcome(answer: "Future[Any]") -> Any:
    try:
        return answer.result()
    except BillingError as error:
        return error


def ask_output(
    read: "Read[ModelT]",
    account_id: pulumi.Input[str] | None,
    given: Source,
    depends_on: Any,
    convert: "Callable[[ModelT, Settings], R]",
    arguments: Mapping[str, Any] | None = None,
) -> "pulumi.Output[R]":
    """
    Request *read* when all arguments and *depends_on* are known; the Output is *convert*'s result.

    *arguments* are those of the read itself.
    """

    async def respond(answers: "Answers", resolved: Settings, known: dict[str, Any]) -> R:
        answer = answers.ask(read.asked(now(), **known), resolved)
        return convert(await asyncio.wrap_future(answer), resolved)

    return when_known(account_id, given, depends_on, arguments or {}, respond)


def when_known(
    account_id: pulumi.Input[str] | None,
    given: Source,
    depends_on: Any,
    arguments: Mapping[str, Any],
    respond: "Callable[[Answers, Settings, dict[str, Any]], Awaitable[R]]",
) -> "pulumi.Output[R]":
    """
    Return the result of *respond* for the run's answers, the settings and the *arguments*, as soon
    as all of them and *depends_on* are known.
    """

    # A unit test may have set another invoice by the time the arguments are known.
    answers = of_this_run()

    @raises_run_errors
    def go_on(known: dict[str, Any]) -> Any:
        # Whoever keeps an error keeps its frames, so no local variable may hold a credential.
        resolved = resolve(known["account_id"], settings.given(known.pop("values")))
        # An awaitable, so that an invoice and its usage, or two accounts, are read in parallel.
        return _awaited(respond(answers, resolved, known["arguments"]))

    # A secret account or token does not make the invoice secret.
    values = {name: unsecret(value) for name, value in given.values.items()}
    return pulumi.Output.all(
        account_id=unsecret(none_as_empty(account_id)),
        values=values,
        arguments={name: unsecret(value) for name, value in arguments.items()},
        resources=_ids(depends_on),
    ).apply(go_on)


async def _awaited(response: "Awaitable[R]") -> R:
    try:
        return await response
    except BillingError as error:
        raised = as_run_error(error)
    raise raised


def of_this_run() -> "Answers":
    """Return the answers that all callers in this run of the program share."""
    if is_mocked():
        from pulumi_cf_invoice.program import stated

        return stated.StatedAnswers()

    with no_garbage():
        from pulumi_cf_invoice.billing import cache

    monitor = current_monitor()
    if monitor is None:
        # Nothing says when the operation of a caller outside of any run ends.
        return cache.AnswerCache()
    with _lock:
        return _of_runs.setdefault(monitor, cache.AnswerCache())


def _ids(depends_on: Any) -> Any:
    if depends_on is None:
        return []
    return pulumi.Output.from_input(depends_on).apply(
        lambda found: list(map(_id, found if isinstance(found, (list, tuple)) else [found]))
    )


@raises_run_errors
def _id(resource: pulumi.Resource) -> pulumi.Output[str]:
    if not isinstance(resource, pulumi.Resource):
        raise wrong_kind("opts.depends_on must be resources", resource)
    # A component has no ID; its URN is known once it is registered.
    return getattr(resource, "id", resource.urn)
