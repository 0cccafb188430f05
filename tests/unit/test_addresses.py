"""Credentials only go to the host they are meant for: which address gets which ones."""

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.billing import (
    BillingClient,
    Credentials,
    Invoice,
    SettingsError,
    settings,
)
from pulumi_cf_invoice.billing.settings import Source, is_cloudflare, resolve
from pulumi_cf_invoice.sandbox import Sandbox
from tests.command import Done, run
from tests.conftest import pointed_at
from tests.factories import ACCOUNT, TOKEN, api_result
from tests.hosts import Hosts, hosts
from tests.unit.test_cli import UPDATE

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
GATEWAY = "https://gateway.ai.cloudflare.com/client/v4"
ELSEWHERE = "https://api.example.com/client/v4"
HERE = "http://127.0.0.1:8787/client/v4"


def source(name: str, values: Mapping[str, Any]) -> Source:
    """Return a source as used by a program, the plugin, a rule or a command."""
    match name:
        case "arguments":
            return settings.given(values)
        case "stack config of a program":
            return settings.stack_config(values, trust=settings.STACK_CONFIG)
        case "stack config of a command":
            return settings.stack_config(values)
        case "environment":
            return settings.environment(
                {settings.VARIABLES[key]: value for key, value in values.items()}
            )
    return Source("the rule", values)


PLACES = (
    "a rule",
    "arguments",
    "stack config of a program",
    "stack config of a command",
    "environment",
)
TOGETHER = {"arguments", "stack config of a program", "environment"}


@pytest.mark.parametrize("of_url", PLACES)
@pytest.mark.parametrize("of_token", [place for place in PLACES if place != "a rule"])
def test_an_address_gets_credentials_of_its_own_source_or_where_the_machine_says_so(
    of_url: str, of_token: str
) -> None:
    def sources(url: str, machine: str | None = None) -> list[Source]:
        merged: dict[str, dict[str, Any]] = {place: {} for place in PLACES}
        merged[of_url]["baseUrl"] = url
        merged[of_token]["apiToken"] = "t"
        if machine:
            merged["environment"]["baseUrl"] = machine
        return [source(place, values) for place, values in merged.items()]

    for url in (
        GATEWAY,
        ELSEWHERE,
        "https://cloudflare.com",
        "https://api.cloudflare.com.evil.org",
    ):
        if of_url == "environment" or (of_url == of_token and of_url in TOGETHER):
            assert resolve(ACCOUNT, sources(url)).base_url == url
            continue
        with pytest.raises(SettingsError, match=r"sets the base URL .* are not sent: set CLOUD"):
            resolve(ACCOUNT, sources(url))
        assert resolve(ACCOUNT, sources(url, machine=f" {url}/ ")).base_url == url
        with pytest.raises(SettingsError, match="are not sent"):
            resolve(ACCOUNT, sources(url, machine=CLOUDFLARE))
    for url in (CLOUDFLARE, HERE, "http://[::1]:1", "https://127.0.0.1:1"):
        assert resolve(ACCOUNT, sources(url)).base_url == url


def test_stack_config_of_both_namespaces_is_the_same_stacks() -> None:
    config = {"cf-invoice:baseUrl": ELSEWHERE, "cloudflare:apiToken": "t"}
    resolved = resolve(ACCOUNT, settings.program_sources(config.get, {}))
    assert resolved.base_url == ELSEWHERE
    with pytest.raises(SettingsError, match="credentials from stack config cloudflare: are not"):
        resolve(ACCOUNT, settings.config_sources(config.get))


@pytest.mark.parametrize(
    ("machine", "url"),
    [
        ("https://API.example.com/client/v4/", ELSEWHERE),
        (ELSEWHERE, "https://API.example.com/client/v4/"),
    ],
)
def test_an_address_is_the_same_however_it_is_spelled(machine: str, url: str) -> None:
    rule = source("a rule", {"baseUrl": url})
    environment = source("environment", {"baseUrl": machine, "apiToken": "t"})
    assert resolve(ACCOUNT, [rule, environment])


@pytest.mark.parametrize(
    "machine",
    [
        "https://api.example.com/client/v5",
        "https://api.example.com:8443/client/v4",
        "https://example.com/client/v4",
        "http://[",
        "nonsense",
        "",
    ],
)
def test_an_address_that_is_nearly_the_machines_gets_nothing(machine: str) -> None:
    rule = source("a rule", {"baseUrl": ELSEWHERE})
    environment = source("environment", {"baseUrl": machine, "apiToken": "t"})
    with pytest.raises(SettingsError, match="are not sent"):
        resolve(ACCOUNT, [rule, environment])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (CLOUDFLARE, True),
        ("https://API.Cloudflare.com/client/v4", True),
        ("https://api.cloudflare.com:443/client/v4", True),
        ("https://api.cloudflare.com", True),
        ("https://api.cloudflare.com:8443/client/v4", False),
        (f"{CLOUDFLARE}/accounts/{ACCOUNT}/r2/buckets/mine/objects", False),
        (f"{CLOUDFLARE}/../v4", False),
        ("https://api.cloudflare.com./client/v4", False),
        ("https://api。cloudflare。com/client/v4", False),
        ("https://cloudflare.com", False),
        (GATEWAY, False),
        ("https://eu.api.cloudflare.com", False),
        ("https://api.cloudflare.com.example.org", False),
        ("https://api-cloudflare.com", False),
        ("https://notapi.cloudflare.com", False),
        ("http://api.cloudflare.com/client/v4", False),
        ("http://127.0.0.1:8787/client/v4", False),
    ],
)
def test_cloudflares_api_is_one_host(url: str, expected: bool) -> None:
    assert is_cloudflare(url) is expected


# Real requests, to real hosts: a proxy on this machine answers for each.


@pytest.fixture
def internet(sandbox: Sandbox, tmp_path: Path) -> Iterator[Hosts]:
    names = [url.split("/")[2] for url in (CLOUDFLARE, GATEWAY, ELSEWHERE)]
    with hosts(sandbox.base_url, names, tmp_path) as made:
        yield made


def command(internet: Hosts, *arguments: str, **variables: str) -> Done:
    settled = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT, **variables}
    return run(*arguments, **internet.environment, **settled)


def rules(directory: Path, base_url: str | None) -> list[str]:
    rule = {"accountIds": [ACCOUNT], "limit": "1000 USD"}
    if base_url:
        rule["baseUrl"] = base_url
    file = directory / "rules.json"
    file.write_text(json.dumps({"rules": {"account-budget": rule}}))
    return ["--rules", str(file)]


def test_cloudflare_gets_the_token_and_is_not_named(internet: Hosts) -> None:
    shown = command(internet, "show")
    assert shown.returncode == 0, shown.stderr
    assert internet.tokens == {"api.cloudflare.com": {f"Bearer {TOKEN}"}}
    assert "not from Cloudflare" not in shown.stdout


def test_a_report_and_a_snapshot_from_elsewhere_say_where_from(
    internet: Hosts, tmp_path: Path
) -> None:
    reported = command(internet, "report", "--budget", "1000 USD", CLOUDFLARE_BASE_URL=GATEWAY)
    assert reported.returncode == 0, reported.stderr
    where = f"The figures come from {GATEWAY}, not from Cloudflare."
    assert where in " ".join(reported.stdout.split())
    file = str(tmp_path / "snapshot.json")
    taken = command(internet, "snapshot", "--output", file, CLOUDFLARE_BASE_URL=GATEWAY)
    assert taken.returncode == 0, taken.stderr
    for form in ("text", "markdown", "html", "json"):
        later = run("report", "--snapshot", file, "--format", form)
        assert "gateway.ai.cloudflare.com" in later.stdout.replace("&#46;", "."), form
    for form in ("text", "json"):
        foreseen = run("forecast", "--snapshot", file, "--format", form)
        assert foreseen.returncode == 0, foreseen.stderr
        assert GATEWAY in " ".join(foreseen.stdout.split()), form
    assert internet.tokens == {"gateway.ai.cloudflare.com": {f"Bearer {TOKEN}"}}


@pytest.mark.parametrize("more", [{}, {"failOpen": True}])
def test_no_figures_come_from_where_nothing_could_be_read(
    more: dict[str, Any], tmp_path: Path
) -> None:
    nowhere = "http://127.0.0.1:1/client/v4"
    rule = {"accountIds": [ACCOUNT], "limit": "250 USD", "baseUrl": nowhere, **more}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"account-budget": rule}}))
    given = ("--from", UPDATE, "--rules", str(tmp_path / "rules.json"))
    done = run("report", *given, CLOUDFLARE_API_TOKEN=TOKEN)
    shown = " ".join(done.stdout.split())
    assert f"The request went to {nowhere}, not to Cloudflare." in shown
    assert "The figures come from" not in shown
    notified = run("notify", *given, "--dry-run", CLOUDFLARE_API_TOKEN=TOKEN)
    assert "figures come from" not in notified.stdout


@pytest.mark.parametrize(
    "command", [["report", "--budget", "1 USD"], ["show"], ["forecast"], ["report"]]
)
def test_a_snapshot_of_a_refusal_says_where_the_request_went(
    command: list[str], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.faults = {"invoice-preview": "http-403"}
    file = str(tmp_path / "snapshot.json")
    assert run("snapshot", "--output", file, **pointed_at(sandbox)).returncode == 0
    shown = run(*command, "--snapshot", file)
    assert shown.returncode == 2
    assert shown.stderr.endswith(f"The request went to {sandbox.base_url}, not to Cloudflare.\n")


def test_an_invoice_of_one_file_names_the_address_of_a_snapshot_beside_it(
    internet: Hosts, tmp_path: Path
) -> None:
    file, outputs = tmp_path / "snapshot.json", tmp_path / "outputs.json"
    given = ["snapshot", "--output", str(file)]
    assert command(internet, *given, CLOUDFLARE_BASE_URL=GATEWAY).returncode == 0
    snapshot = json.loads(file.read_text())
    snapshot["reads"]["invoice-preview"] = {"error": "it cannot be read"}
    file.write_text(json.dumps(snapshot))
    invoice = Invoice.from_api(api_result()).to_outputs()
    outputs.write_text(json.dumps({"account_id": ACCOUNT, **invoice}))
    for form in ("text", "markdown", "html", "json"):
        made = run("report", "--from", str(outputs), "--snapshot", str(file), "--format", form)
        told = " ".join(html.unescape(made.stdout).split())
        named = f"What else is known of the account comes from (<.*?>)?{GATEWAY}"
        assert re.search(named, told), (form, made.stderr)


@pytest.mark.parametrize("url", [GATEWAY, ELSEWHERE])
def test_a_rules_address_gets_the_machines_token_only_where_the_machine_says_so(
    internet: Hosts, tmp_path: Path, url: str
) -> None:
    arguments = ["report", *rules(tmp_path, url), "--format", "json"]
    refused = command(internet, *arguments)
    assert refused.returncode == 2
    assert "credentials from the environment are not sent" in refused.stdout
    host = url.split("/")[2]
    assert host not in internet.tokens
    trusted = command(internet, *arguments, CLOUDFLARE_BASE_URL=url)
    assert trusted.returncode == 0, trusted.stderr + trusted.stdout
    assert internet.tokens[host] == {f"Bearer {TOKEN}"}
    assert url in trusted.stdout


def test_an_error_says_which_address_was_asked_and_whose_token(
    internet: Hosts, sandbox: Sandbox
) -> None:
    sandbox.fault = "http-403"
    shown = command(internet, "show", CLOUDFLARE_BASE_URL=ELSEWHERE)
    assert shown.returncode == 2
    assert (
        "The API token came from CLOUDFLARE_API_TOKEN: `cf-invoice doctor` shows every setting. "
        f"The request went to {ELSEWHERE}, not to Cloudflare." in shown.stderr
    )
    at_cloudflare = command(internet, "show")
    assert "The request went to" not in at_cloudflare.stderr


@pytest.mark.parametrize("spelt", [TOKEN, TOKEN.upper(), TOKEN.replace("-", "%2D"), "other-token"])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_an_address_with_a_credential_in_it_is_refused_and_not_shown(
    spelt: str, scheme: str
) -> None:
    """Whichever of the machine's it is: every report names the address."""
    url = f"{scheme}://api.example.com/{spelt}/client/v4"
    variables = {"CLOUDFLARE_BASE_URL": url, "GATEWAY_TOKEN": "other-token"}
    found = "has a credential in it, and messages, reports and logs would show it"
    message = f"the base URL (CLOUDFLARE_BASE_URL) {found}"
    for command in ("show", "doctor", "report", "forecast"):
        done = run(command, "--account-id", ACCOUNT, CLOUDFLARE_API_TOKEN=TOKEN, **variables)
        assert done.returncode == 2
        assert message in done.stdout + done.stderr
        assert spelt not in done.stdout + done.stderr
    if spelt != "other-token":
        with pytest.raises(SettingsError, match=f"the base URL {found}"):
            BillingClient(Credentials(TOKEN), base_url=url)


def test_a_variable_that_holds_a_word_of_cloudflares_address_is_none_in_it() -> None:
    machine = {"CLOUDFLARE_BASE_URL": CLOUDFLARE, "X_TOKEN": "cloudflare"}
    sources = [settings.environment({"CLOUDFLARE_API_TOKEN": TOKEN, **machine})]
    assert resolve(ACCOUNT, sources).base_url == CLOUDFLARE
