import re
from typing import Any

import pytest

from pulumi_cf_invoice.billing import (
    BillingClient,
    Credentials,
    MissingCredentialsError,
    SettingsError,
)
from pulumi_cf_invoice.billing.settings import (
    SETTINGS,
    Settings,
    Source,
    arguments,
    environment,
    given,
    in_plain_text,
    program_sources,
    resolve,
    resolve_account,
    unknown_keys,
)
from tests.factories import ACCOUNT

TOKEN = {"CLOUDFLARE_API_TOKEN": "env-token"}


def settle(
    account_id: Any = ACCOUNT,
    credentials: dict[str, Any] | None = None,
    config: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
) -> Settings:
    variables = TOKEN if variables is None else variables
    sources = program_sources((config or {}).get, variables)
    return resolve(account_id, [arguments(credentials or {}), *sources])


def test_the_first_source_with_credentials_decides() -> None:
    config = {"cf-invoice:apiToken": "ours", "cloudflare:apiToken": "theirs"}
    argument = settle(credentials={"api_token": "argument"}, config=config)
    assert argument.credentials.headers == {"Authorization": "Bearer argument"}
    assert settle(config=config).credentials.headers["Authorization"] == "Bearer ours"
    del config["cf-invoice:apiToken"]
    assert settle(config=config).credentials.headers["Authorization"] == "Bearer theirs"
    from_environment = settle(config={"cloudflare:apiToken": " "}).credentials
    assert from_environment.headers == {"Authorization": "Bearer env-token"}


def test_an_email_with_key_is_sent_as_the_older_pair() -> None:
    settings = settle(credentials={"email": "a@b.c", "api_key": "key"})
    assert settings.credentials.headers == {"X-Auth-Email": "a@b.c", "X-Auth-Key": "key"}


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({"api_token": "t", "api_key": "k"}, "keep one kind"),
        ({"api_token": "t", "email": "e"}, "keep one kind"),
        ({"email": "a@b.c"}, "no API key"),
        ({"api_key": "s3cret"}, "no e-mail"),
        ({"api_token": "s3cret\nline"}, "copied with a line break"),
        ({"api_token": "s3crét"}, "printable ASCII"),
    ],
)
def test_credentials_that_cannot_work_are_refused_without_printing_them(
    credentials: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        settle(credentials=credentials)
    assert "s3cr" not in str(refused.value)


def test_no_credentials_says_how_to_give_them() -> None:
    with pytest.raises(MissingCredentialsError, match=f"{ACCOUNT}.*CLOUDFLARE_API_TOKEN"):
        settle(variables={})


@pytest.mark.parametrize(
    ("account_id", "message"),
    [
        ("", "empty"),
        (7, "not int"),
        ("zz3e105f4ecef8ad9ca31a8372d0c353", "32 hex digits"),
        ("short", "'short' is not an account ID"),
    ],
)
def test_a_malformed_account_is_refused(account_id: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settle(account_id)


def test_the_account_comes_from_argument_config_then_environment() -> None:
    others = {"cf-invoice:accountId": "a" * 32}, {**TOKEN, "CLOUDFLARE_ACCOUNT_ID": "B" * 32}
    assert settle(ACCOUNT.upper(), None, *others).account_id == ACCOUNT
    assert settle(None, None, *others).account_id == "a" * 32
    assert settle(None, None, {}, others[1]).account_id == "b" * 32
    with pytest.raises(SettingsError, match="no account ID"):
        settle(None)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "ftp://127.0.0.1",
        "https://user:pw@example.com",
        "example.com",
        "https://example.com/?a=1",
        "http://127.0.0.1.example.com",
        "http://[::1",
        f"https://{'a' * 64}.example.com",
        "https://bücher..de",
        "https://example.com/client/v4?",
        "https://example.com/client/v4#",
        "https://exa\nmple.com",
        "https://a b.example.com",
        # Python reads the part in brackets as the host, and httpx does not.
        "https://example.com[::1]",
        "https://[::1]example.com",
        "http://example.com[127.0.0.1]",
        # httpx connects to neither, and it is no proxy that is wrong.
        "https://☃.invalid",
        "https://api.xn--zzzzzz.invalid",
    ],
)
def test_a_base_url_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="base URL"):
        settle(config={"cf-invoice:baseUrl": url})


def test_a_base_url_in_whose_brackets_is_no_ip_address_is_refused() -> None:
    """The standard has an address of the future, which nothing connects to."""
    with pytest.raises(SettingsError, match=re.escape("/client/v4 is wrong: v1.x is not an IP")):
        settle(config={"cf-invoice:baseUrl": "https://[v1.x]/client/v4"})


@pytest.mark.parametrize("host", ["10.0.0.256", "10.0.0.01", "10.0.0.0.1", "127.0.0.256"])
def test_a_base_url_with_a_wrong_ip_address_is_refused_as_that(host: str) -> None:
    with pytest.raises(SettingsError, match=f"{host}/x is wrong: {host} is not an IP address"):
        settle(config={"cf-invoice:baseUrl": f"https://{host}/x"})


def test_settings_of_another_type_are_refused() -> None:
    with pytest.raises(SettingsError, match="the base URL must be text, not float"):
        resolve(ACCOUNT, [Source("x", {"apiToken": "t", "baseUrl": 5.0})])
    with pytest.raises(SettingsError, match="the timeout"):
        resolve(ACCOUNT, [Source("x", {"apiToken": "t", "timeout": [1]})])
    with pytest.raises(SettingsError, match="the timeout 'True' is not a number of seconds"):
        resolve(ACCOUNT, [Source("x", {"apiToken": "t", "timeout": True})])
    with pytest.raises(SettingsError, match=r"up to 3600 \(stack config cf-invoice:timeout\)$"):
        settle(config={"cf-invoice:timeout": "soon"})


def test_loopback_and_https_base_urls_are_taken() -> None:
    for url in (
        "http://127.0.0.1:1/x",
        "http://localhost:1",
        "http://[::1]:1",
        "https://xn--bcher-kva.b",
        "https://10.0.0.255:8443",
        "https://[fd07:b51a:cc66:f0::1]",
        "https://10.example",
    ):
        variables = {**TOKEN, "CLOUDFLARE_BASE_URL": url + "/"}
        assert settle(variables=variables).base_url == url


@pytest.mark.parametrize(
    ("config", "variables", "advice"),
    [
        (
            {},
            {},
            "run `pulumi config set cf-invoice:timeout SECONDS`, or set CF_INVOICE_TIMEOUT",
        ),
        (
            {},
            {"CF_INVOICE_TIMEOUT": "5"},
            "run `pulumi config set cf-invoice:timeout SECONDS`, or set CF_INVOICE_TIMEOUT",
        ),
        (
            {"cf-invoice:timeout": "5"},
            {"CF_INVOICE_TIMEOUT": "50"},
            "run `pulumi config set cf-invoice:timeout SECONDS`",
        ),
    ],
)
def test_no_advice_is_to_change_what_another_source_overrides(
    config: dict[str, str], variables: dict[str, str], advice: str
) -> None:
    assert settle(config=config, variables={**TOKEN, **variables}).more_time == advice


def test_a_remedy_names_the_sources_that_there_are() -> None:
    with pytest.raises(MissingCredentialsError) as in_program:
        settle(variables={})
    assert (
        "pass credentials, run `pulumi config set --secret cf-invoice:apiToken TOKEN`, or "
        "set CLOUDFLARE_API_TOKEN; the token"
    ) in str(in_program.value)
    with pytest.raises(MissingCredentialsError) as outside:
        resolve(ACCOUNT, [environment({})])
    assert f"no credentials for account {ACCOUNT}: set CLOUDFLARE_API_TOKEN; the" in str(
        outside.value
    )


def test_where_a_pair_of_credentials_came_from_is_said_once() -> None:
    pair = given({"email": "a@b.c", "apiKey": "k"})
    assert resolve(ACCOUNT, [pair]).credentials.source == "the credentials argument"
    variables = {"CLOUDFLARE_EMAIL": "a@b.c", "CLOUDFLARE_API_KEY": "k"}
    source = resolve(ACCOUNT, [environment(variables)]).credentials.source
    assert source == "CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"


@pytest.mark.parametrize("text", ["0", "-1", "ten", "nan", "inf", "4000"])
def test_a_timeout_that_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="timeout"):
        settle(config={"cf-invoice:timeout": text})


def test_the_account_is_resolved_without_credentials() -> None:
    """The account is resolved from the same sources even when they have no credentials."""
    sources = program_sources({"cf-invoice:accountId": ACCOUNT.upper()}.get, {})
    assert resolve_account(None, sources) == ACCOUNT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acountId", "did you mean 'cf-invoice:accountId'?"),
        ("timeOut", "did you mean 'cf-invoice:timeout'?"),
        ("api_token", "did you mean 'cf-invoice:apiToken'?"),
        ("ACCOUNTID", "did you mean 'cf-invoice:accountId'?"),
    ],
)
def test_a_key_of_stack_config_that_does_nothing_is_reported_with_the_nearest(
    name: str, expected: str
) -> None:
    [problem] = unknown_keys([*SETTINGS, "version", "pluginDownloadURL", name])
    assert problem.startswith(
        f"there is no setting of stack config 'cf-invoice:{name}'; {expected}"
    )


def test_only_secrets_in_plain_text_are_warned_of() -> None:
    keys = ["cf-invoice:accountId", "cloudflare:apiToken", "cf-invoice:email", "app:apiToken"]
    [warning] = in_plain_text(keys)
    assert "run `pulumi config set --secret cloudflare:apiToken VALUE`" in warning


def test_no_repr_shows_a_credential() -> None:
    settings = settle(credentials={"api_token": "s3cret"})
    assert "s3cret" not in repr(settings) + repr(settings.credentials)
    assert "s3cret" not in repr(arguments({"api_token": "s3cret"}))


@pytest.mark.parametrize("seconds", [0, -1, None, "soon", True, float("nan"), float("inf"), 3601])
def test_a_client_refuses_a_timeout_that_limits_nothing(seconds: Any) -> None:
    with pytest.raises(SettingsError, match=r"^the timeout .* is not a number of seconds above 0"):
        BillingClient(Credentials("token"), timeout=seconds)
    if seconds not in (None, 3601, float("inf")):
        with pytest.raises(SettingsError, match=r"^the longest wait .* is not a number"):
            BillingClient(Credentials("token"), longest_wait=seconds)
