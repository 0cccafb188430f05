import asyncio
from typing import Any, cast

import pulumi
import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice import billing
from pulumi_cf_invoice.billing import SettingsError
from tests.factories import SECRET


def test_a_token_is_sent_as_a_bearer_and_a_pair_in_headers_of_its_own() -> None:
    assert billing.Credentials(f" {SECRET} ").headers == {"Authorization": f"Bearer {SECRET}"}
    pair = billing.Credentials(email="a@b.c", api_key=SECRET)
    assert pair.headers == {"X-Auth-Email": "a@b.c", "X-Auth-Key": SECRET}


def test_equal_parts_are_equal_credentials() -> None:
    assert billing.Credentials(SECRET) == billing.Credentials(SECRET)
    assert hash(billing.Credentials(SECRET)) == hash(billing.Credentials(SECRET))
    assert billing.Credentials(SECRET) != billing.Credentials(email=SECRET, api_key=SECRET)


def test_what_is_said_is_redacted() -> None:
    assert billing.Credentials(SECRET).redact(f"no {SECRET}!") == "no [redacted]!"


@pytest.mark.parametrize("kind", [billing.Credentials, pulumi_cf_invoice.Credentials])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs an api_token, or an email with an api_key"),
        ({"api_token": ""}, "needs an api_token"),
        ({"api_token": SECRET, "email": "e"}, "keep one kind"),
        ({"api_token": SECRET, "api_key": "k"}, "keep one kind"),
        ({"api_key": SECRET}, "has an api_key but no email"),
        ({"email": SECRET}, "has an email but no api_key"),
    ],
)
def test_wrong_combinations_are_refused(kind: Any, arguments: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        kind(**arguments)
    assert_nothing_shown(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api_token": f"{SECRET}\nline"}, "was it copied with a line break"),
        ({"email": "a@b.c", "api_key": f"{SECRET}é"}, "printable ASCII"),
        ({"api_token": 7}, "has an api_token that is not text but int"),
    ],
)
def test_what_cannot_be_sent_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        billing.Credentials(**arguments)
    assert_nothing_shown(refused.value)


def test_a_program_may_give_outputs_and_no_repr_shows_a_part() -> None:
    async def program() -> str:
        # An Output needs the loop of a running program.
        return repr(pulumi_cf_invoice.Credentials(api_token=pulumi.Output.from_input(SECRET)))

    assert asyncio.run(program()) == "Credentials(api_token)"
    assert repr(billing.Credentials(SECRET)) == "Credentials(api_token)"


def test_a_provider_of_another_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="not str"):
        pulumi_cf_invoice.Credentials.from_provider(cast(Any, "token"))


def assert_nothing_shown(error: BaseException) -> None:
    """Assert that neither *error* nor a local variable in our own frames shows a credential."""
    shown = [str(error), repr(error)]
    traceback = error.__traceback__
    while traceback:
        if traceback.tb_frame.f_globals["__name__"].startswith("pulumi_cf_invoice"):
            shown.append(repr(traceback.tb_frame.f_locals))
        traceback = traceback.tb_next
    assert SECRET not in " ".join(shown)
