"""Programs under `pulumi.runtime.set_mocks`, as their users test them."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config

from pulumi_cf_invoice import (
    ApiError,
    Credentials,
    IncompleteLinesError,
    InvalidDataError,
    Invoice,
    InvoiceLine,
    InvoicePreview,
    PretaxCreditAmount,
    SettingsError,
    export_invoice,
    get_credit_balance,
    get_credit_balance_output,
    get_forecast,
    get_forecast_output,
    get_invoice_history,
    get_invoice_history_output,
    get_invoice_preview,
    get_invoice_preview_output,
    get_usage_history,
    get_usage_history_output,
    testing,
)
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import DYNAMIC_TYPE
from tests import docs
from tests.factories import ACCOUNT, OTHER_ACCOUNT, SECRET, TOKEN, api_result
from tests.mocking import Echoing, mocked_by

USUAL = Invoice.from_api(api_result())
ROOT = Path(__file__).parents[2]


class Silent(Echoing):
    """Mocks that answer nothing."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        return f"{args.name}-id", {}


@pytest.fixture(autouse=True)
def mocked() -> Iterator[Echoing]:
    """Mocks that are set, and unset after the test."""
    echoing = Echoing()
    with mocked_by(echoing):
        yield echoing


def known(output: Any) -> Any:
    """Return what *output* is, as a test with Pulumi's own decorator finds it."""
    found: list[Any] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> Any:
        return pulumi.Output.from_input(output).apply(found.append)

    run()
    return found[0]


FORMS: dict[str, Callable[..., Any]] = {
    "resource": lambda account=None: InvoicePreview("upcoming", account).invoice,
    "get": lambda account=ACCOUNT: InvoicePreview.get("upcoming", account).invoice,
    "function": lambda account=None: get_invoice_preview(account),
    "output-function": lambda account=None: get_invoice_preview_output(account),
}
RESOURCES: dict[str, Callable[..., InvoicePreview]] = {
    "resource": lambda account=None: InvoicePreview("upcoming", account),
    "get": lambda account=ACCOUNT: InvoicePreview.get("upcoming", account),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("of_the_user", [Echoing, Silent])
def test_every_form_gives_the_stated_invoice(of_the_user: type[Echoing], form: str) -> None:
    pulumi.runtime.set_mocks(of_the_user())
    with testing.invoice(USUAL):
        assert known(FORMS[form]()) == USUAL


@pytest.mark.parametrize("form", FORMS)
def test_the_stated_invoice_is_known_at_a_preview(form: str) -> None:
    pulumi.runtime.set_mocks(Echoing(), preview=True)
    with testing.invoice(USUAL):
        assert known(FORMS[form]()) == USUAL


@pytest.mark.parametrize("form", RESOURCES)
def test_the_outputs_of_a_resource_are_the_stated_figures(form: str) -> None:
    with testing.invoice(USUAL):
        upcoming = RESOURCES[form]()
    assert known(upcoming.amount_due) == 18846
    assert type(known(upcoming.amount_due)) is type(known(upcoming.period_end)) is int
    assert known(upcoming.account_id) == ACCOUNT
    assert known(upcoming.invoice_lines[0].pricing.unit_amount_decimal) == "0.000125"
    assert known(upcoming.last_update) is None
    assert known(upcoming.base_url) is None


@pytest.mark.parametrize("form", FORMS)
def test_without_a_stated_invoice_every_form_fails_and_asks_nobody(
    settled: dict[str, str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, value in settled.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(pulumi.RunError) as raised:
        known(FORMS[form]())
    assert isinstance(raised.value, SettingsError)
    assert str(raised.value) == (
        f"no upcoming invoice is set for account {ACCOUNT}, and nothing is read under Pulumi's "
        "mocks: call pulumi_cf_invoice.testing.set_invoice(make_invoice(amount_due=…)) before the "
        "program runs"
    )
    assert sandbox.requests == []


@pytest.mark.parametrize("form", FORMS)
def test_a_stated_invoice_comes_before_an_api_that_would_answer(
    settled: dict[str, str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, value in settled.items():
        monkeypatch.setenv(name, value)
    with testing.invoice(testing.make_invoice(amount_due=5)):
        assert known(FORMS[form]()).amount_due == 5
    assert sandbox.requests == []


@pytest.mark.parametrize("form", FORMS)
def test_two_accounts_have_an_invoice_each(form: str) -> None:
    mine, other = testing.make_invoice(100), testing.make_invoice(200, currency="eur")
    with testing.invoice(mine), testing.invoice(other, account_id=OTHER_ACCOUNT.upper()):
        assert known(FORMS[form](ACCOUNT)) == mine
        assert known(FORMS[form](OTHER_ACCOUNT)) == other


@pytest.mark.parametrize("form", FORMS)
def test_an_account_that_is_not_stated_fails_where_only_another_is(form: str) -> None:
    with (
        testing.invoice(USUAL, OTHER_ACCOUNT),
        pytest.raises(SettingsError, match=f"no upcoming invoice is set for account {ACCOUNT}"),
    ):
        known(FORMS[form](ACCOUNT))


@pytest.mark.parametrize("form", ["resource", "get", "output-function"])
@pytest.mark.parametrize("secret", [True, False])
def test_an_account_may_be_an_output(form: str, secret: bool) -> None:
    account = pulumi.Output.from_input(OTHER_ACCOUNT)
    with testing.invoice(USUAL, OTHER_ACCOUNT):
        invoice = FORMS[form](pulumi.Output.secret(account) if secret else account)
    assert known(invoice) == USUAL
    assert not known(invoice.is_secret())


@pytest.mark.parametrize("form", RESOURCES)
def test_an_account_that_is_an_output_is_the_resources_account(form: str) -> None:
    with testing.invoice(USUAL):
        upcoming = RESOURCES[form](pulumi.Output.from_input(OTHER_ACCOUNT.upper()))
    assert known(upcoming.account_id) == OTHER_ACCOUNT


def test_the_account_is_found_as_in_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    with testing.invoice(USUAL):
        assert known(InvoicePreview("nowhere").account_id) == testing.ACCOUNT_ID
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "1" * 32)
        assert known(InvoicePreview("environment").account_id) == "1" * 32
        set_all_config({"cf-invoice:accountId": "2" * 32})
        assert known(InvoicePreview("config").account_id) == "2" * 32
        assert known(InvoicePreview("argument", "3" * 32).account_id) == "3" * 32


@pytest.mark.parametrize("form", FORMS)
def test_a_bad_account_is_refused_as_in_a_deployment(form: str) -> None:
    with (
        testing.invoice(USUAL),
        pytest.raises(pulumi.RunError, match="'nope' is not an account ID"),
    ):
        known(FORMS[form]("nope"))


@pytest.mark.parametrize("form", ["resource", "get", "output-function"])
def test_an_account_that_turns_out_to_be_none_is_not_left_out(form: str) -> None:
    with (
        testing.invoice(USUAL),
        pytest.raises(pulumi.RunError, match="the account ID is empty"),
    ):
        known(FORMS[form](pulumi.Output.from_input(None)))


@pytest.mark.parametrize("form", FORMS)
def test_a_stated_error_is_raised_in_place_of_an_invoice(form: str) -> None:
    with (
        testing.invoice(testing.make_api_error(403, "Authentication error", code=10000)),
        pytest.raises(ApiError) as raised,
    ):
        known(FORMS[form]())
    assert isinstance(raised.value, pulumi.RunError)
    assert (raised.value.status, raised.value.code) == (403, 10000)
    assert str(raised.value) == (
        f"cannot read the upcoming invoice of account {ACCOUNT}: Cloudflare said HTTP 403, "
        "code 10000: Authentication error. This error was set by a test."
    )


@pytest.mark.parametrize(("status", "name"), [(429, "Too Many Requests"), (520, "no message")])
def test_an_error_is_reported_with_the_name_of_its_status(status: int, name: str) -> None:
    error = testing.make_api_error(status, account_id=OTHER_ACCOUNT)
    assert f"account {OTHER_ACCOUNT}: Cloudflare said HTTP {status}: {name}." in str(error)


def test_what_was_asked_for_in_a_block_is_known_after_it() -> None:
    account = pulumi.Output.from_input(ACCOUNT)
    with testing.invoice(testing.make_invoice(1)):
        first = [form(account) for name, form in FORMS.items() if name != "function"]
    with testing.invoice(testing.make_invoice(2)):
        assert [known(invoice).amount_due for invoice in first] == [1, 1, 1]
        assert known(get_invoice_preview_output(account)).amount_due == 2


def test_after_a_block_all_is_as_it_was_before() -> None:
    with testing.invoice(testing.make_invoice(1)):
        with testing.invoice(testing.make_invoice(2)):
            assert get_invoice_preview().amount_due == 2
        assert get_invoice_preview().amount_due == 1
    with pytest.raises(SettingsError, match="no upcoming invoice is set"):
        get_invoice_preview()


def test_an_invoice_that_is_set_counts_until_another_is_set() -> None:
    with testing.invoice(testing.make_invoice(1)):
        testing.set_invoice(testing.make_invoice(2))
        assert get_invoice_preview().amount_due == 2
        testing.set_invoice(testing.make_api_error(500))
        with pytest.raises(ApiError, match="Internal Server Error"):
            get_invoice_preview()
        testing.set_invoice(testing.make_invoice(3), OTHER_ACCOUNT)
        assert get_invoice_preview(OTHER_ACCOUNT).amount_due == 3


@pytest.mark.parametrize("account_id", ["nope", ""])
def test_an_invoice_of_no_account_is_refused(account_id: str) -> None:
    with pytest.raises(SettingsError, match="is not an account ID"):
        testing.set_invoice(USUAL, account_id)


def test_what_is_no_invoice_is_refused_with_what_makes_one() -> None:
    with pytest.raises(SettingsError, match=r"not dict: make_invoice\(amount_due=…\) makes one"):
        testing.set_invoice(cast(Any, api_result()))


def test_the_users_mocks_decide_what_the_outputs_are() -> None:
    last = {"amount_due": 17000, "currency": "usd", "period_start": 1788220800}
    pulumi.runtime.set_mocks(Echoing(last_update=last, base_url="https://x.example", amount_due=7))
    with testing.invoice(USUAL):
        upcoming = InvoicePreview("upcoming")
    assert known(upcoming.last_update.amount_due) == 17000
    assert known(upcoming.base_url) == "https://x.example"
    assert known(upcoming.invoice).amount_due == 7


def test_the_users_mocks_see_the_type_the_account_and_the_figures(mocked: Echoing) -> None:
    with testing.invoice(USUAL):
        upcoming = InvoicePreview("upcoming", credentials=Credentials(api_token=SECRET))
    known(upcoming.amount_due)
    [args] = [args for args in mocked.seen if args.name == "upcoming"]
    assert args.typ == DYNAMIC_TYPE
    assert (args.inputs["account_id"], args.inputs["amount_due"]) == (ACCOUNT, 18846)
    assert SECRET not in repr(args.inputs)


def test_credentials_may_be_outputs_and_are_not_needed() -> None:
    credentials = Credentials(api_token=pulumi.Output.secret(TOKEN))
    with testing.invoice(USUAL):
        read = InvoicePreview.get("read", ACCOUNT, credentials)
        assert known(InvoicePreview("upcoming", credentials=credentials).invoice) == USUAL
        assert known(read.invoice) == USUAL


def test_fractions_are_exact() -> None:
    invoice = testing.make_invoice(640.19, amount_paid=100.1, lines={"a": 640, "b": 0.19})
    with testing.invoice(invoice):
        upcoming = InvoicePreview("upcoming")
    assert known(upcoming.amount_due) == 640.19
    assert known(upcoming.amount_remaining) == 540.09
    assert known(upcoming.invoice_lines[1].amount) == 0.19
    assert known(upcoming.invoice.net_decimal) == "6.4019"


@pytest.mark.parametrize("form", FORMS)
def test_lines_may_be_incomplete(form: str) -> None:
    with testing.invoice(testing.make_invoice(100, invoice_lines_complete=False)):
        invoice = known(FORMS[form]())
    assert not invoice.invoice_lines_complete
    with pytest.raises(IncompleteLinesError):
        _ = invoice.net


def test_a_monitor_of_the_users_own_is_under_mocks_too() -> None:
    class Monitor:
        """A monitor that is no subclass of Pulumi's."""

        def __init__(self) -> None:
            self.pulumis = mocks.MockMonitor(Echoing())

        def __getattr__(self, name: str) -> Any:
            return getattr(self.pulumis, name)

    pulumi.runtime.set_mocks(Echoing(), monitor=cast(Any, Monitor()))
    with pytest.raises(SettingsError, match="no upcoming invoice is set"):
        InvoicePreview("upcoming")


def test_a_thread_of_the_program_is_under_mocks_too() -> None:
    found: list[Invoice] = []
    with testing.invoice(USUAL):
        thread = threading.Thread(target=lambda: found.append(get_invoice_preview()))
        thread.start()
        thread.join()
    assert found == [USUAL]


def test_options_that_have_no_effect_are_refused_under_mocks_too() -> None:
    with testing.invoice(USUAL), pytest.raises(SettingsError, match=r"opts\.ignore_changes"):
        InvoicePreview("upcoming", opts=pulumi.ResourceOptions(ignore_changes=["amount_due"]))


def test_the_docs_say_how_the_invoice_becomes_json() -> None:
    with testing.invoice(USUAL):
        upcoming = InvoicePreview("upcoming")
    found = re.search(r"`(pulumi\.Output\.json_dumps\(.*)`", docs.page("forms-and-outputs"))
    assert found
    text = known(eval(found[1], {"pulumi": pulumi, "upcoming": upcoming, "Invoice": Invoice}))
    assert json.loads(text) == USUAL.to_outputs()


def test_the_docs_set_the_other_reads() -> None:
    exec(docs.block("from pulumi_cf_invoice import get_credit_balance, get_forecast, testing"))


def test_a_secret_account_of_stack_config_is_a_secret_output() -> None:
    set_all_config({"cf-invoice:accountId": ACCOUNT}, ["cf-invoice:accountId"])
    with testing.invoice(USUAL):
        found = [InvoicePreview("upcoming"), InvoicePreview.get("read", ACCOUNT)]
    for upcoming in found:
        assert known(upcoming.account_id) == ACCOUNT
        assert known(upcoming.account_id.is_secret())
        assert not known(upcoming.amount_due.is_secret())


def test_one_name_is_exported_once_in_a_run() -> None:
    with testing.invoice(USUAL):
        export_invoice(get_invoice_preview())
        export_invoice(InvoicePreview("upcoming"), prefix="ai")
        with pytest.raises(pulumi.RunError, match="exports ai_account_id already") as raised:
            export_invoice(InvoicePreview("again"), prefix="ai")
        assert isinstance(raised.value, SettingsError)
        pulumi.runtime.set_mocks(Echoing())
        export_invoice(get_invoice_preview())


NO_INVOICE = "export_invoice takes an InvoicePreview, an Invoice or an Output of one, not "
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: export_invoice(cast(Any, None)), NO_INVOICE + "NoneType"),
    "figures": (lambda: export_invoice(cast(Any, USUAL.to_figures())), NO_INVOICE + "dict"),
    "another-answer": (
        lambda: export_invoice(cast(Any, get_credit_balance())),
        NO_INVOICE + "CreditBalance of pulumi_cf_invoice.billing.credit_balance",
    ),
    "another-resource": (
        lambda: export_invoice(cast(Any, pulumi.ComponentResource("a:b:C", "c"))),
        NO_INVOICE + "ComponentResource of pulumi.resource",
    ),
    "prefix": (
        lambda: export_invoice(USUAL, cast(Any, pulumi.Output.from_input("ai"))),
        "the prefix of export_invoice must be text, not Output of pulumi.output",
    ),
    "id": (
        lambda: InvoicePreview.get("read", cast(Any, None)),
        "InvoicePreview.get reads an account by its ID, which is None",
    ),
    "name": (
        lambda: InvoicePreview(cast(Any, None)),
        "resource_name must be text, not NoneType",
    ),
    "read-name": (lambda: InvoicePreview.get("", ACCOUNT), "resource_name is empty"),
    "resource": (
        lambda: InvoicePreview("upcoming", opts=cast(Any, {"parent": None})),
        "opts must be pulumi.ResourceOptions, not dict",
    ),
    "read": (
        lambda: InvoicePreview.get("read", ACCOUNT, opts=cast(Any, pulumi.InvokeOptions())),
        "opts must be pulumi.ResourceOptions, not InvokeOptions of pulumi.invoke",
    ),
    "function": (
        lambda: get_invoice_preview(opts=cast(Any, "x")),
        "opts must be pulumi.InvokeOptions, not str",
    ),
    "output-function": (
        lambda: get_forecast_output(opts=cast(Any, {"depends_on": []})),
        "opts must be pulumi.InvokeOptions, not dict",
    ),
    "depends-on": (
        lambda: known(
            get_invoice_preview_output(
                opts=pulumi.InvokeOutputOptions(depends_on=cast(Any, ["upcoming"]))
            )
        ),
        "opts.depends_on must be resources, not str",
    ),
}


@pytest.mark.parametrize("argument", WRONG)
def test_an_argument_of_another_kind_is_one_line_in_a_program(argument: str) -> None:
    give, message = WRONG[argument]
    with (
        testing.answers(invoice=USUAL, credit_balance=OTHERS["credit_balance"][0]),
        pytest.raises(SettingsError) as refused,
    ):
        give()
    assert isinstance(refused.value, pulumi.RunError)
    assert str(refused.value) == message


def test_an_invoice_has_one_line_that_is_all_of_it() -> None:
    invoice = testing.make_invoice(18846)
    assert [line.amount for line in invoice.invoice_lines] == [18846]
    assert (invoice.net, invoice.tax_and_adjustments) == (18846, 0)
    assert (invoice.amount_remaining, invoice.status) == (18846, "draft")
    assert invoice.text == "$188.46 for 2026-09-01 to 2026-09-30"


def test_an_invoice_has_what_the_test_gives() -> None:
    credit = PretaxCreditAmount(amount=1808, type="discount")
    line = InvoiceLine(amount=19287, currency="eur", pretax_credit_amounts=[credit])
    invoice = testing.make_invoice(
        20000,
        currency="EUR",
        lines=[line],
        amount_paid=500,
        status=None,
        period_start=1790812800,
        period_end=1793491200,
    )
    assert (invoice.net, invoice.tax_and_adjustments) == (17479, 2521)
    assert (invoice.amount_remaining, invoice.currency, invoice.status) == (19500, "eur", None)
    assert invoice.period_text == "2026-10-01 to 2026-10-31"
    assert testing.make_invoice(5, lines=[]).invoice_lines == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount_due": 1, "currency": "euro"}, "currency: "),
        ({"amount_due": 1e300}, "carried exactly"),
        ({"amount_due": 1, "period_start": 2, "period_end": 1}, "ends before it starts"),
    ],
)
def test_what_could_be_no_invoice_is_not_made(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        testing.make_invoice(**fields)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: testing.make_invoice(cast(Any, None)), "amount_due: not a number"),
        (lambda: testing.make_invoice(1, amount_paid=cast(Any, "x")), "amount_paid: not a number"),
        (lambda: testing.make_usage_history([1, float("nan")]), "values.1: not a number"),
        (lambda: testing.make_usage_history(cast(Any, ["a"])), "values.0: not a number"),
        (lambda: testing.make_usage_history([1], window=cast(Any, "week")), "must be 'day' or"),
        (lambda: testing.make_usage_history([1], since="9999-12-31"), "not an instant in Unix"),
        (lambda: testing.make_usage_history([1], at=cast(Any, 5)), "at must be a datetime or ISO"),
        (lambda: testing.make_usage_history([1], at=datetime(2026, 9, 1)), "needs a time zone"),
        (lambda: testing.make_usage_history(cast(Any, 5)), "values: not a list"),
        (lambda: testing.make_usage_history(cast(Any, {1: 2})), "values: not a list"),
        (lambda: testing.make_invoice(1, lines=cast(Any, 5)), "lines: not a list"),
        (lambda: testing.make_invoice_history(cast(Any, 5)), "invoices: not a list"),
        (lambda: testing.make_gateways(cast(Any, "ab")), "gateways: not a list"),
        (lambda: testing.make_past_invoice(float("nan")), "amount_due: not a number"),
        (lambda: testing.make_past_invoice(1, amount_paid=cast(Any, "x")), "amount_paid: not a"),
        (lambda: testing.make_past_invoice(1, currency="x"), "currency: not a currency"),
        (lambda: testing.make_invoice_history(cast(Any, [1])), "invoices.0: not an object"),
        (
            lambda: testing.make_invoice_history(invoices_complete=cast(Any, "x")),
            "invoices_complete: neither true nor false",
        ),
        (lambda: testing.make_gateways(cast(Any, [1])), "gateways.0: not an object"),
        (lambda: testing.make_gateway(cast(Any, 5)), "gateway_id: not a text"),
        (lambda: testing.make_gateway(limit=cast(Any, "x")), "limit: not a number"),
        (lambda: testing.make_gateway(byok=True), "no field of a gateway 'byok'; did you mean"),
        (lambda: testing.make_api_error(cast(Any, "x")), "status: not a number"),
    ],
)
def test_what_could_be_no_answer_is_refused_in_one_line(
    make: Callable[[], Any], message: str
) -> None:
    with pytest.raises((InvalidDataError, SettingsError), match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_a_star_import_brings_every_function_of_the_docs() -> None:
    named = set(re.findall(r"\bmake_\w+", docs.page("testing")))
    made = {name for name in vars(testing) if name.startswith("make_")}
    assert named <= made == {name for name in testing.__all__ if name.startswith("make_")}


OTHERS: dict[str, tuple[Any, Callable[[], Any], Callable[[], Any]]] = {
    "credit_balance": (
        testing.make_credit_balance(640.19, topup_amount=1000, topup_threshold=500),
        get_credit_balance,
        get_credit_balance_output,
    ),
    "usage_history": (
        testing.make_usage_history([1, 2.5, 0], at="2026-09-03T12:00Z"),
        get_usage_history,
        get_usage_history_output,
    ),
    "invoice_history": (
        testing.make_invoice_history([testing.make_past_invoice(1200, status="open")]),
        get_invoice_history,
        get_invoice_history_output,
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_function_gives_what_is_stated(name: str) -> None:
    stated, get, get_output = OTHERS[name]
    with testing.answers(**{name: stated}):
        assert get() == stated
        assert known(get_output()) == stated
    with pytest.raises(SettingsError, match=r"testing\.set_answers\(" + name):
        get()


@pytest.mark.parametrize("name", OTHERS)
def test_every_function_raises_what_is_stated(name: str) -> None:
    _, get, get_output = OTHERS[name]
    refused = testing.make_api_error(403, noun=name.replace("_", " "))
    with testing.answers(**{name: refused}):
        with pytest.raises(ApiError, match=f"cannot read the {refused.noun}"):
            get()
        with pytest.raises(ApiError, match="HTTP 403"):
            known(get_output())


def test_an_answer_of_another_read_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"must be an? CreditBalance or an error, not Invoice"):
        testing.set_answers(credit_balance=USUAL)  # type: ignore[arg-type]


def test_arguments_may_be_outputs_of_what_is_made_in_the_program() -> None:
    stated = OTHERS["usage_history"][0]
    since = pulumi.Output.from_input("2026-09-01")
    with testing.answers(usage_history=stated):
        assert known(get_usage_history_output(since=since, window="hour")) == stated
        with pytest.raises(SettingsError, match="get_usage_history takes plain values only"):
            get_usage_history(since=since)  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="window is 'week', but must be 'day' or 'hour'"):
            get_usage_history(window="week")  # type: ignore[arg-type]


def test_a_usage_history_for_a_test_marks_what_was_not_over() -> None:
    entries = OTHERS["usage_history"][0].entries
    assert [entry.aggregated_value for entry in entries] == [1, 2.5, 0]
    assert [entry.is_partial for entry in entries] == [False, False, True]
    assert entries[0].start_iso == "2026-09-01T00:00:00Z"


def test_an_earlier_invoice_for_a_test_is_paid_unless_it_says_otherwise() -> None:
    paid, unpaid = testing.make_past_invoice(5), testing.make_past_invoice(5, status="open")
    assert (paid.amount_paid, paid.amount_remaining, paid.is_unpaid) == (5, 0, False)
    assert (unpaid.amount_paid, unpaid.amount_remaining, unpaid.is_unpaid) == (0, 5, True)


def test_a_forecast_is_made_from_what_is_stated() -> None:
    history = testing.make_usage_history([600] * 40, since="2026-08-01")
    credits = testing.make_credit_balance(20000)
    stated = {"invoice": USUAL, "usage_history": history, "credit_balance": credits}
    with testing.answers(**stated):
        made = get_forecast()
        assert made.currency == "usd"
        assert made.runway is not None
        assert made.runway.balance == 20000
        later = known(get_forecast_output(fixed_lines=[pulumi.Output.from_input("nothing/*")]))
        assert 'No line of the invoice matches "nothing/*"' in " ".join(later.notes)


@pytest.mark.parametrize("name", ["invoice", "usage_history", "credit_balance"])
def test_a_forecast_without_what_it_is_made_from_says_what_to_state(name: str) -> None:
    stated = {
        "invoice": USUAL,
        "usage_history": OTHERS["usage_history"][0],
        "credit_balance": OTHERS["credit_balance"][0],
    }
    del stated[name]
    with testing.answers(**stated):
        for fail in (get_forecast, lambda: known(get_forecast_output())):
            with pytest.raises(SettingsError, match="is set for account"):
                fail()


def test_a_forecast_does_without_usage_and_balance_that_are_refused() -> None:
    refused = testing.make_api_error(403)
    with testing.answers(invoice=USUAL, usage_history=refused, credit_balance=refused):
        made = get_forecast()
        assert made.runway is None
        assert sum("Not available: " in note for note in made.notes) == 2
        assert known(get_forecast_output()).notes == made.notes
    with (
        testing.answers(invoice=refused, usage_history=refused, credit_balance=refused),
        pytest.raises(ApiError, match="HTTP 403"),
    ):
        get_forecast()
