"""Notifications as people send them: each by a process of its own, to a real receiver."""

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from operator import itemgetter
from pathlib import Path

import pytest

from pulumi_cf_invoice.cli import delivery
from tests import receivers
from tests.command import run, start
from tests.receivers import SECRET, Webhook
from tests.unit.test_notify import SLACK, options, write


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[tuple[Webhook, dict[str, str]]]:
    """A webhook, and the environment with its address."""
    with receivers.notified(tmp_path) as running:
        yield running


def test_a_webhook_is_told_once_and_again_when_it_is_fine(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = ["--state", str(tmp_path / "cache" / "told.json")]
    over, within = write(tmp_path, 55500), write(tmp_path, 18846)
    first = run(*options(over, *state), CI_JOB_URL="https://ci.example/1", **environment)
    assert (first.returncode, first.stderr) == (1, "")
    assert first.stdout.startswith("Notified 1 of 1 addresses: Over budget: $555.00")
    [(_, path, message)] = server.received
    assert path == "/hook"
    assert message["title"].startswith("Over budget: $555.00")
    assert "- max-amount-due: " in message["message"]
    assert (
        "What to do: Cap the gateways with spend limits, or raise --budget." in message["message"]
    )
    assert message["message"].splitlines()[-1] == "https://ci.example/1"
    # The same, with another amount.
    again = run(*options(write(tmp_path, 60000), *state), **environment)
    assert again.returncode == 1
    assert again.stdout.startswith(
        "Nobody was notified, because nothing has changed since the last notification"
    )
    fine = run(*options(within, *state), **environment)
    assert fine.returncode == 0
    assert server.received[-1][2]["title"].startswith("Fine again. Within budget")
    assert server.received[-1][2]["message"].startswith("No longer wrong: max-amount-due.")
    quiet = run(*options(within, *state), **environment)
    assert quiet.stdout.startswith("Nobody was notified, because nothing is wrong")
    assert len(server.received) == 2
    for done in (first, again, fine, quiet):
        assert SECRET not in done.stdout + done.stderr
    assert SECRET not in (tmp_path / "cache" / "told.json").read_text()


def test_an_address_that_never_ends_its_answer_keeps_nobody_else_from_being_told(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, environment = hook
    monkeypatch.setattr(delivery, "SECONDS", 10.0)
    monkeypatch.setattr(delivery, "AT_ONCE", 1)
    processes: list[bytes] = []

    def trickle() -> Iterator[bytes]:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                processes.append(file.read_bytes())
        while True:
            yield b"."
            time.sleep(0.1)

    with receivers.webhook(tmp_path, "localhost") as (hanging, _):
        hanging.parts = trickle()
        addresses = f"json://:{SECRET}@{hanging.address}/\n{environment['CF_INVOICE_NOTIFY']}"
        environment["CF_INVOICE_NOTIFY"] = addresses
        state = ["--state", str(tmp_path / "told.json")]
        done = run(*options(write(tmp_path, 55500), *state), **environment)
    assert done.returncode == 2
    assert done.stderr == "cf-invoice: cannot notify address 1 (JSON): it took longer than 5 s\n"
    assert done.stdout.startswith("Notified 1 of 2 addresses: ")
    assert len(server.received) == 1
    assert sorted(json.loads((tmp_path / "told.json").read_text())["addresses"].values()) == [
        [],
        [["over", "max-amount-due", "an unknown account", ""]],
    ]
    assert not [arguments for arguments in processes if SECRET.encode() in arguments]


@pytest.mark.parametrize("answer", ["endless", "gzip", "json"])
def test_an_answer_that_is_too_large_is_not_read(
    answer: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    mebibyte = bytes(2**20)
    if answer == "json":
        # It becomes thirty times as large when a service's answer is parsed.
        server.parts = [b"[" + b"{}," * 100_000]
    elif answer == "gzip":
        server.line = "Content-Encoding: gzip"
        server.parts = [gzip.compress(mebibyte) * 100]
    else:
        server.parts = repeat(mebibyte)
    done = run(*options(write(tmp_path, 55500)), **environment)
    assert done.returncode == 2
    assert done.stderr == "cf-invoice: cannot notify address 1 (JSON): its answer is too large\n"


def test_a_redirect_gets_neither_the_message_nor_the_keys_of_the_address(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    with receivers.webhook(tmp_path, "localhost") as (redirecting, _):
        redirecting.status = 307
        redirecting.line = f"Location: http://{server.address}/elsewhere"
        # Even if apprise is told to follow it.
        address = f"json://{redirecting.address}/?+X-Api-Key={SECRET}&redirect=yes"
        environment["CF_INVOICE_NOTIFY"] = address
        done = run(*options(write(tmp_path, 55500)), **environment)
    assert done.returncode == 2
    assert done.stderr == "cf-invoice: cannot notify address 1 (JSON): it answered HTTP 307\n"
    assert not server.received


def test_nothing_that_is_logged_while_a_message_is_sent_is_printed(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    server.line = "no header"
    done = start(*options(write(tmp_path, 55500), "--verbose"), **environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert len(server.received) == 1


def test_slack_and_teams_are_told_in_their_own_form(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    # The variable that the docs name for every connection.
    environment["SSL_CERT_FILE"] = environment.pop("REQUESTS_CA_BUNDLE")
    teams = f"workflows://acme.webhook.office.com:443/643e8d7a/{SECRET}/"
    environment["CF_INVOICE_NOTIFY"] = f"{SLACK}\n{teams}"
    file = write(tmp_path, 55500, "<!channel> @everyone <http://x.example|y> www.x.eu `code`")
    done = run(*options(file, "--budget-line", "*=1 USD"), **environment)
    assert done.returncode == 1, done.stderr
    (other, _, to_teams), (host, path, to_slack) = sorted(server.received, key=itemgetter(0))
    assert (host, path) == ("hooks.slack.com", f"/services/T1JJ3T3L2/A1BRTD4JD/{SECRET}")
    assert other.startswith("acme.webhook.office.com")
    for message in (to_slack, to_teams):
        text = json.dumps(message, ensure_ascii=False)
        assert "Over budget" in text
        assert "$555.00" in text
        # Words of others mention nobody and contain no links.
        assert "<!channel>" not in text
        assert "@everyone" not in text
        assert "<http" not in text
        plain = text.replace("\\", "")
        assert "http:\u2060//x.\u2060example" in plain
        assert "www.\u2060x.\u2060eu" in plain
