"""
``cf-invoice notify``: notifies people of what is wrong with the upcoming invoice (extra
``notify``).

Addresses are apprise URLs, for chats, mail and webhooks. They contain passwords, so they are never
printed: messages refer to an address by its place and its service, and ``--state`` by a slow hash.
"""

import argparse
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pulumi_cf_invoice.billing.credentials import without_secrets
from pulumi_cf_invoice.billing.errors import BillingError, FetchError, where_to
from pulumi_cf_invoice.billing.files import is_special, read_file
from pulumi_cf_invoice.cli import COULD_NOT_TELL, delivery
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.output import refuse_overwriting, replace_file
from pulumi_cf_invoice.cli.report import exit_code, make
from pulumi_cf_invoice.report.caveats import first
from pulumi_cf_invoice.report.judging import by_whom_passed_over
from pulumi_cf_invoice.report.notice import Key, Notice, notice_of, notice_of_failure

VARIABLE = "CF_INVOICE_NOTIFY"
_VERSION = 3
_BEGINS = b'{"version": '
_VALUE = re.compile("=https?://", re.IGNORECASE)
_SALT = 16
_COST = 2**14
"""The work of a digest: scrypt's ``n``."""
_MOST_NOTES = 20
"""How many notes of a kind on rules a log has."""
_MOST_OTHERS = 100
"""How many addresses that are not in this run a state keeps."""


def run(options: argparse.Namespace) -> int:
    """Notify people of what has changed, and return the exit code of the report."""
    if not (options.rules or options.budget or options.budget_projected or options.budget_line):
        raise CommandError("nothing would be judged: give --rules or --budget")
    refuse_overwriting(options)
    # What is read may repeat one, and is redacted.
    options.receivers = addresses = _addresses(options)
    receivers = [] if options.dry_run else _receivers(addresses)
    error: Exception | None = None
    try:
        report = make(options)
        notice, code = notice_of(report, options.on), exit_code(report)
    except Exception as failure:
        error = failure
        # Others' words before it can be long, and are cut.
        where = where_to(error.base_url) if isinstance(error, FetchError) else ""
        reason = str(error).removesuffix(where)
        if not isinstance(error, BillingError):
            reason = f"{type(error).__name__}: {reason}"
        reason = without_secrets(reason, os.environ)
        notice, code = notice_of_failure(reason, options.on, where.strip()), COULD_NOT_TELL
    link = options.link or _job(os.environ)
    if options.dry_run:
        print(_dry(notice, _known(_read(options.state), addresses), link))
    else:
        code = max(code, _tell(notice, receivers, options.state, link))
    if error:
        raise error
    return code


@dataclass(frozen=True)
class State:
    """
    What was wrong when each address was last notified.

    ``notified`` has it by the `Receiver.digest` of the address with this ``salt``.
    """

    salt: bytes
    notified: Mapping[str, list[Key]]


class Receiver:
    """An address, which messages identify by its *place* among all of them."""

    def __init__(self, place: int, address: str) -> None:
        self.name = f"address {place}"
        # The value of a parameter can be one.
        if "://" in _VALUE.sub("", address.partition("://")[2]):
            raise CommandError(
                f"{self.name} in {VARIABLE} or --addresses has another after it: write one per line"
            )
        server = delivery.server(address)
        if server is None:
            raise CommandError(
                f"{self.name} in {VARIABLE} or --addresses is in no form that apprise knows: write "
                "it like slack://TOKEN_A/TOKEN_B/TOKEN_C"
            )
        self.name = f"{self.name} ({server.service_name})"
        self._address = address

    def digest(self, salt: bytes) -> str:
        """Return what identifies the address in a file, from which nobody can read it."""
        return _digest(self._address, salt)

    def message(self, notice: Notice, known: Sequence[Key], link: str | None) -> delivery.Message:
        """Return the message for an address that knows what was wrong before."""
        is_fine = notice.is_fine and not notice.keys(known)
        return delivery.Message(
            self._address, notice.title(known), notice.body(known, link), is_fine
        )


def _tell(
    notice: Notice, receivers: Sequence[Receiver], state: str | None, link: str | None
) -> int:
    """Tell every receiver what is new to it, record what each knows, and return the exit code."""
    before = _read(state)
    # An address that is given twice is notified once.
    addresses = {receiver.digest(before.salt): receiver for receiver in receivers}
    known = {digest: before.notified.get(digest, []) for digest in addresses}
    news = {each: told for each, told in addresses.items() if notice.is_news(known[each])}
    messages = [told.message(notice, known[each], link) for each, told in news.items()]
    code = 0
    titles: list[str] = []
    told_now: dict[str, list[Key]] = {}
    for digest, message, problem in zip(news, messages, delivery.deliver(messages), strict=True):
        if problem is None:
            titles.append(message.title)
            told_now[digest] = notice.keys(known[digest])
        else:
            code = COULD_NOT_TELL
            name = addresses[digest].name
            print(f"cf-invoice: cannot notify {name}: {problem}", file=sys.stderr)
    everyone = known | _others(before.notified, known)
    untold = {digest: notice.of_untold(keys) for digest, keys in everyone.items()}
    _write(state, State(before.salt, untold | told_now))
    if titles:
        told = _logged(titles[0], notice)
        print(f"Notified {len(titles)} of {len(addresses)} addresses: {told}")
    elif not code:
        why = _why_not(notice, known.values())
        print(f"Nobody was notified, because {why}: {_logged(notice.headline, notice)}")
    return code


def _digest(address: str, salt: bytes) -> str:
    # It is slow, because a password in an address could be guessed.
    return hashlib.scrypt(address.encode(), salt=salt, n=_COST, r=8, p=1, dklen=16).hex()


def _known(state: State, addresses: Sequence[str]) -> list[list[Key]]:
    """Return what each address knows; where none is given, what the first of the last run does."""
    if addresses:
        return [state.notified.get(_digest(each, state.salt), []) for each in addresses]
    return [next(iter(state.notified.values()), [])]


def _others(
    notified: Mapping[str, list[Key]], known: Mapping[str, list[Key]]
) -> dict[str, list[Key]]:
    """Return what addresses know that are not in this run: another job may share the file."""
    # Whoever was in the last run is first in the file.
    others = ((digest, keys) for digest, keys in notified.items() if digest not in known and keys)
    return dict(islice(others, _MOST_OTHERS))


def _logged(title: str, notice: Notice) -> str:
    """Return a *title* for a log, with the notes: it has nothing else of the *notice*."""
    most = _MOST_NOTES
    told = [*by_whom_passed_over(notice.passed_over, most), *notice.notes]
    notes = [f"Note: {note}" for note in (*told, *notice.on_what_was_read)]
    return "\n".join([f"{title} {notice.origin}".rstrip(), *first(notes, len(told) + most)])


def _why_not(notice: Notice, known: Iterable[Sequence[Key]]) -> str:
    if notice.is_fine and notice.no_rules:
        return "no rule is in force"
    if any(known):
        return "nothing has changed since the last notification"
    return "nothing is wrong" if notice.is_fine else "--on does not include it"


def _dry(notice: Notice, known: Sequence[list[Key]], link: str | None) -> str:
    before = next(filter(notice.is_news, known), None)
    if before is None:
        why = _why_not(notice, known)
        return f"Nobody would be notified, because {why}: {_logged(notice.headline, notice)}"
    return f"Would send:\n\n{notice.title(before)}\n{notice.body(before, link)}"


def _addresses(options: argparse.Namespace) -> list[str]:
    """
    Return the addresses, one per line.

    Raises `CommandError` if there are none, which a dry run does not need.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CommandError(f"{VARIABLE} is not UTF-8") from None
    if options.addresses is not None:
        try:
            text = read_file(options.addresses).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CommandError(f"cannot read the file of --addresses: {reason}") from None
    lines = [line.strip() for line in text.splitlines()]
    addresses = [line for line in lines if line and not line.startswith("#")]
    if not addresses and not options.dry_run:
        raise CommandError(
            f"nobody to notify: set {VARIABLE}, one address per line, or --addresses"
        )
    return addresses


def _receivers(addresses: Sequence[str]) -> list[Receiver]:
    try:
        import apprise  # noqa: F401
    except ModuleNotFoundError:
        raise CommandError(
            "apprise is missing: install pulumi-cf-invoice with its extra 'notify'"
        ) from None
    return [Receiver(place, address) for place, address in enumerate(addresses, 1)]


def _read(state: str | None) -> State:
    """
    Return what each address knows; nothing for a broken file, or one of another version.

    Raises `CommandError` for what is no file, such as a pipe, which nobody may ever write to, and
    for a file of something else, which would be lost.
    """
    new = State(secrets.token_bytes(_SALT), {})
    if state is None:
        return new
    if is_special(state):
        raise CommandError("--state is not a file: name one, which may not exist yet")
    try:
        written = bytes(read_file(state))
        if not (written.startswith(_BEGINS) or _BEGINS.startswith(written)):
            raise CommandError(
                "--state names a file that `cf-invoice notify` has not written: name another, "
                "which may not exist yet"
            )
        content = json.loads(written)
        if content["version"] != _VERSION:
            raise ValueError("another version")
        notified = {
            str(digest): [Key(*map(str, key)) for key in keys]
            for digest, keys in content["addresses"].items()
        }
        salt = bytes.fromhex(content["salt"])
        if len(salt) != _SALT:
            raise ValueError("a salt that is not ours")
        return State(salt, notified)
    except FileNotFoundError:
        return new
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        print(
            "cf-invoice: the file of --state cannot be read: everything is sent again",
            file=sys.stderr,
        )
        return new


def _write(path: str | None, state: State) -> None:
    if path is None:
        return
    content = {"version": _VERSION, "salt": state.salt.hex(), "addresses": state.notified}
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(Path(path), [json.dumps(content), "\n"])
    except OSError as error:
        raise CommandError(f"cannot write the file of --state: {error.strerror}") from None


def _job(variables: Mapping[str, str]) -> str | None:
    """Return the URL of the current job, if the runner provides it."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    if all(variables.get(name) for name in names):
        server, repository, run_id = (variables[name] for name in names)
        return f"{server}/{repository}/actions/runs/{run_id}"
    return variables.get("CI_JOB_URL") or None
