import asyncio
import json
import sys
import unicodedata
from collections.abc import Callable
from typing import Any, cast

import pulumi
import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice import billing
from pulumi_cf_invoice.billing import SettingsError
from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.program import settings as program_settings
from pulumi_cf_invoice.state import READ_PROPERTIES
from tests.factories import ACCOUNT, SECRET
from tests.mocking import Echoing, mocked_by


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


def test_what_nobody_sees_between_the_letters_of_a_token_does_not_hide_it() -> None:
    unseen = [
        chr(number)
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number)) in ("Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs")
    ]
    # Letters and a sign that are blank, and a character that no version of Unicode has yet.
    unseen += ["\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\U000e0fff"]
    credentials = billing.Credentials(SECRET)
    assert {credentials.redact(f"é {each.join(SECRET)}\u200b!") for each in unseen} == {
        "é [redacted]\u200b!"
    }
    assert [each for each in unseen if not credentials.is_in(each.join(SECRET).encode())] == []


def test_nor_do_a_terminals_colours_hide_it() -> None:
    credentials = billing.Credentials(SECRET)
    for color in ("\x1b[31m", "\x1b[m", "\x1b[1;38;5;9m", "\x1b[K", "\x1b(B"):
        hidden = color.join(SECRET)
        assert credentials.redact(f"é {hidden}{color}!") == f"é [redacted]{color}!"
        assert credentials.may_be_in_json(json.dumps(hidden))


def test_a_part_of_a_token_is_no_token() -> None:
    text = f"{SECRET[:-1]} é {SECRET[1:]}"
    assert billing.Credentials(SECRET).redact(text) == text


def test_every_repetition_of_a_token_is_redacted() -> None:
    text = f"a\u200b{SECRET} \u3164{SECRET.upper()}{SECRET}."
    expected = "a\u200b[redacted] \u3164[redacted][redacted]."
    assert billing.Credentials(SECRET).redact(text) == expected


WIDE = "".join(chr(ord(letter) + 0xFEE0) for letter in SECRET)


@pytest.mark.parametrize(
    "echo",
    [
        WIDE,
        WIDE.upper(),
        "\u0301".join(SECRET[:6]) + WIDE[6:],
        # Signs that Unicode holds equal to several letters, or to one without its accent.
        SECRET.replace("3c", "\u00b3\U0001d41c").replace("en", "\u00e9n"),
    ],
)
def test_other_letters_that_equal_a_tokens_do_not_hide_it(echo: str) -> None:
    credentials = billing.Credentials(SECRET)
    assert credentials.redact(f"no {echo}!") == "[redacted]"
    assert credentials.is_in(f"no {echo}!".encode())
    assert not credentials.is_in(f"no {echo[1:]}!".encode())


def test_a_token_of_which_unicode_has_a_part_in_one_sign_is_found() -> None:
    assert billing.Credentials("an-0ffice-token").redact("an-0\ufb03ce-token") == "[redacted]"


@pytest.mark.parametrize("echo", ["{0}", "a\n{1}{2}", "{1}\u200b{2}", "{3}", "\\\\{0}\\"])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_json_that_may_repeat_a_secret_is_told_by_its_text(echo: str, is_ascii: bool) -> None:
    secrets = Secrets(["other-s3cret", SECRET])
    # The last has a sign that JSON may write as two.
    signs = (SECRET, SECRET[:5], SECRET[5:], SECRET.replace("n", "\U0001d427"))
    said = {"at": ["é", {echo.format(*signs): echo.format(*signs)}]}
    text = json.dumps(said, ensure_ascii=is_ascii)
    assert secrets.may_be_in_json(text)
    assert secrets.may_be_in_json(text.replace("-", "\\u002D").replace("/", "\\/"))
    assert not Secrets([f"{SECRET}-2"]).may_be_in_json(text.replace("\\ud", "\\ue"))
    assert "[redacted]" in json.dumps(secrets.redact_all(said))


def test_a_secret_that_is_a_part_of_another_leaves_nothing_of_it() -> None:
    both = Secrets([SECRET, f"slack://{SECRET}/room", "short", ""])
    assert both.redact(f"no slack://{SECRET}/room, no {SECRET}") == "no [redacted], no [redacted]"
    assert SECRET not in repr(both)


@pytest.mark.parametrize(
    "escaped",
    [
        *("&#{};", "&#x{:x};", "&#X{:X};", "&#{:07d};", "&#x{:06x};", "\\{:c}"),
        *("\\u{:04X}", "\\\\u{:04x}", "\\x{:x}", "%{:x}", "%{:X}", "%2525{:x}"),
    ],
)
def test_no_escape_hides_a_token(escaped: str) -> None:
    """Such as what a program's error quotes of JSON, or of a URL."""
    token = "ghp_s3cret-t0ken"
    # A backslash before a letter is more than an escape.
    for sign in "_-" if escaped == "\\{:c}" else "_-s":
        hidden = token.replace(sign, escaped.format(ord(sign)))
        assert Secrets([token]).redact(f"a&#38;b \\_ {hidden} c\\_d") == (
            "a&#38;b \\_ [redacted] c\\_d"
        )
    assert Secrets([token]).redact("ghp&#95;s3cret") == "ghp&#95;s3cret"


@pytest.mark.parametrize(
    "between",
    [
        *("\\u200b", "\\n", "\\r\\n", "\\u001b[1m", "%0A", "%E2%80%8B", "&#8203;", "&#10"),
        *("&amp;#8203;", "\\u0026shy;", "%26%23173%3B", "\\\\n", "\\x00"),
    ],
)
def test_nor_does_an_escape_of_what_nobody_sees(between: str) -> None:
    token = "ghp_s3cret-t0ken"
    assert "t0ken" not in Secrets([token]).redact(f"no ghp_s3cret{between}-t0ken")


@pytest.mark.parametrize(
    "escaped", ["&#43", "&amp;#43;", "\\u0026#43;", "\\U0000002B", "\\u{2b}", "\\x2B", "%2525252b"]
)
def test_nor_does_an_escape_within_another(escaped: str) -> None:
    assert "Bc7d" not in Secrets(["k3y+Bc7dEf/gH"]).redact(f"no k3y{escaped}Bc7dEf/gH")


def test_an_address_with_escapes_of_its_own_is_found_in_others() -> None:
    """Go writes each & in JSON as an escape."""
    address = "https://example.com/hook?to=%2Fa%20b&sig=Zx81qQ_w"
    for escaped in ("\\u0026", "\\u0026amp;", "&amp;", "&"):
        said = f"no {address.replace('&', escaped)}"
        assert "Zx81" not in Secrets([address]).redact(said)
    assert Secrets([address]).redact("no https://example.com/hook?to=") != "[redacted]"


def test_a_backslash_before_a_token_is_none_of_its_letters() -> None:
    assert Secrets(["new_s3cret-t0ken"]).redact("C:\\new_s3cret-t0ken") == "C:[redacted]"


def test_nor_does_one_by_name() -> None:
    for hidden in ("ghp&lowbar;s3cret-t0ken", "ghp_s3&shy;cret&zwnj;-t0ken"):
        assert Secrets(["ghp_s3cret-t0ken"]).redact(f"no {hidden}") == "[redacted]"


def test_an_e_mail_address_which_names_accounts_is_no_secret() -> None:
    pair = billing.Credentials(email="ops@example.com", api_key=SECRET)
    said = pair.redact(f"Ops@example.com's Account: {SECRET}")
    assert said == "Ops@example.com's Account: [redacted]"
    assert not pair.is_in(b"https://example.com/?for=ops@example.com")
    # Whoever confuses the two has a key where the address belongs.
    confused = billing.Credentials(email=SECRET, api_key="ops@example.com")
    assert confused.redact(f"bad address {SECRET}") == "bad address [redacted]"


def test_what_is_too_short_for_a_token_stays_in_words() -> None:
    assert billing.Credentials("test").redact("Test Account") == "Test Account"


# What takes the square of a run's length takes minutes.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "run",
    [
        *("\u0301\u0323", "\u0323\u0301\u4e00", "\u1e69", "\uff53\u0301"),
        *("&#8288;", "\\_", "&#", f"{SECRET[:-1]}&#8288;", f"{SECRET[0]} \\"),
        *(
            "\\",
            "\\u0",
            f"\\u{ord(SECRET[0]):04x}",
            "%",
            "%25",
            f"%25{ord(SECRET[0]):x}",
            "&amp;",
            "&a",
        ),
    ],
)
def test_a_megabyte_of_accents_or_escapes_is_searched_in_one_pass(run: str) -> None:
    credentials = billing.Credentials(SECRET)
    accents = run * (2**20 // len(run.encode()))
    half = len(accents) // 2
    for text in (accents, "".join(sorted(accents)), accents[:half] + SECRET + accents[half:]):
        assert credentials.is_in(text.encode()) == (SECRET in text)
        assert SECRET not in credentials.redact(text)


@pytest.mark.parametrize("kind", [billing.Credentials, pulumi_cf_invoice.Credentials])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs an API token, or an e-mail with an API key"),
        ({"api_token": ""}, "needs an API token"),
        ({"api_token": SECRET, "email": "e"}, "keep one kind"),
        ({"api_token": SECRET, "api_key": "k"}, "keep one kind"),
        ({"api_key": SECRET}, "has an API key but no e-mail"),
        ({"email": SECRET}, "has an e-mail but no API key"),
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
        ({"api_token": 7}, "has an API token that is not text but int"),
        # An answer that repeats only the token itself would not be redacted.
        ({"api_token": f"Bearer {SECRET}"}, "copy the token or key alone, without 'Bearer'"),
        ({"api_token": f"'{SECRET}'"}, "has an API token with a blank or a quotation mark in it"),
        ({"email": "a@b.c", "api_key": f'"{SECRET}"'}, "has an API key with a blank or a quot"),
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


GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "token": lambda: {"api_token": SECRET},
    "secret": lambda: {"api_token": pulumi.Output.secret(SECRET)},
    "output": lambda: {"api_token": pulumi.Output.from_input(SECRET)},
    "pair": lambda: {"email": "a@b.c", "api_key": SECRET},
}


@pytest.mark.parametrize("given", GIVEN)
def test_a_resource_has_no_attribute_but_its_outputs(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    # Its inputs under mocks are figures, and otherwise what its check needs.
    monkeypatch.setattr(program_settings, "is_mocked", lambda: False)
    mocks = Echoing()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> Any:
        credentials = pulumi_cf_invoice.Credentials(**GIVEN[given]())
        upcoming = pulumi_cf_invoice.InvoicePreview("upcoming", ACCOUNT, credentials)
        public = {name for name in vars(upcoming) if not name.startswith("_")}
        assert public == {"id", "urn", "account_id", "last_update", *READ_PROPERTIES}
        assert "__following" not in vars(upcoming)
        return upcoming.urn

    with mocked_by(mocks):
        run()
    [registered] = mocks.seen
    assert SECRET in str(registered.inputs["credentials"])


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
