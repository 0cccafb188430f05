"""Posts a report as a comment, or says what would be posted."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import tenacity

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.comments.errors import CommentError, TransientError
from pulumi_cf_invoice.comments.forge import Comment, Forge, Request
from pulumi_cf_invoice.comments.places import Place
from pulumi_cf_invoice.comments.reports import refuse_longer

SECONDS = 60.0
"""The time limit for posting, including all pages and attempts."""


def post(request: Request, body: str) -> str:
    """
    Update our comments with the same marker, or create one, and return what was done as a sentence.

    Raises `CommentError`.
    """
    refuse_longer(body, request.forge.longest)
    deadline = time.monotonic() + SECONDS
    forge = request.forge(request, deadline)
    outcome: Future[str] = Future()

    def run() -> None:
        try:
            outcome.set_result(_with_retries(forge, body))
        except Exception as error:
            # Frames of httpx keep the token for as long as somebody keeps the error.
            error.__cause__ = error.__context__ = None
            outcome.set_exception(error.with_traceback(None))

    try:
        # httpx's timeouts do not cover name resolution and headers that trickle in.
        _start(run, forge)
        return outcome.result(SECONDS)
    except TimeoutError:
        raise forge.connection.timed_out() from None
    finally:
        forge.connection.close()


def describe(place: Place, body: str) -> str:
    """
    Return what `post` would do and write, as far as known without contacting the forge.

    Raises `CommentError` if it would be refused in any case.
    """
    if place.forge:
        refuse_longer(body, place.forge.longest)
    return (
        f"Would comment on {place.text}, or update this report's comment if there is one:\n\n{body}"
    )


def _start(run: Callable[[], None], forge: Forge) -> None:
    try:
        threading.Thread(target=run, name="cf-invoice-comment", daemon=True).start()
    except RuntimeError as error:
        what = f"cannot comment on {forge.connection.place}"
        raise CommentError(f"{what}: {error}. Close some programs, and run again.") from None


def _with_retries(forge: Forge, body: str) -> str:
    def helps(error: BaseException) -> bool:
        if not isinstance(error, TransientError):
            return False
        return (error.wait or 0.0) < forge.connection.seconds_left

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(helps),
        wait=_wait,
        stop=tenacity.stop_after_attempt(retries.ATTEMPTS),
        reraise=True,
    )
    # As a whole, so that a comment which was created although its answer got lost is found.
    return attempts(_post, forge, body)


def _post(forge: Forge, body: str) -> str:
    place = forge.request.text
    # Jobs that run at once can each create one. Any not updated would keep its old verdict.
    updated = [forge.update(comment, body) for comment in forge.find(body.partition("\n")[0])]
    if not updated:
        return f"Commented on {place}{_at(forge, forge.create(body))}"
    what = "the comment" if len(updated) == 1 else f"{len(updated)} comments with this report"
    return f"Updated {what} on {place}{_at(forge, updated[0])}"


def _at(forge: Forge, comment: Comment) -> str:
    return f": {forge.connection.cleaned(comment.address)}" if comment.address else "."


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.wait if isinstance(error, TransientError) else None) or retries.backoff(state)
