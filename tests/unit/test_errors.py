"""Errors of the billing core, which in a Pulumi program are `pulumi.RunError`s as well."""

import copy
import pickle
from collections.abc import Iterator

import pulumi
import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice import billing
from pulumi_cf_invoice.billing import errors
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.output import OverwritingError
from pulumi_cf_invoice.comments.errors import CommentError, TransientError
from pulumi_cf_invoice.program.errors import as_run_error, raises_run_errors
from pulumi_cf_invoice.report.found import NoInvoiceError, NothingFreshError
from tests.factories import ACCOUNT

EXAMPLES = [
    errors.BillingError("it failed"),
    errors.SettingsError("no account ID"),
    errors.MissingCredentialsError("no credentials"),
    errors.LimitError("'250' has no currency"),
    errors.RuleError("there is no rule 'x'"),
    errors.InvalidDataError("amount_due: missing"),
    errors.FetchError("upcoming invoice", ACCOUNT, "it failed", "Run it again."),
    errors.ApiError("upcoming invoice", ACCOUNT, 429, 10013, "Rate limited", "Wait.", "ray", 2.0),
    errors.IncompleteLinesError("only a part of the lines"),
    errors.NotAvailableError("the credit balance is not in the snapshot"),
    errors.RateLimitError("upcoming invoice", ACCOUNT, "the rate limit is used up", "Wait."),
    errors.TransportError("upcoming invoice", ACCOUNT, "no answer", "Check the network."),
    errors.InvalidResponseError("upcoming invoice", ACCOUNT, "the answer is empty", "ray"),
    NoInvoiceError("this is not JSON"),
    NothingFreshError("this preview has old figures"),
    CommandError("cannot read report.md"),
    OverwritingError("--output is the file of --rules"),
    CommentError("cannot comment"),
    TransientError("cannot comment", 2.0),
]


def kinds(kind: type[BillingError] = BillingError) -> Iterator[type[BillingError]]:
    """Yield every public error class, except those generated for programs."""
    if not issubclass(kind, pulumi.RunError) and not kind.__name__.startswith("_"):
        yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


def test_every_kind_has_an_example_here_and_a_name_that_ends_in_error() -> None:
    assert {type(example) for example in EXAMPLES} == set(kinds())
    assert all(kind.__name__.endswith("Error") for kind in kinds())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("in_program", [False, True])
def test_an_error_can_be_pickled_and_copied(error: BillingError, in_program: bool) -> None:
    if in_program:
        error = as_run_error(error)
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(same) is type(error)
        assert str(same) == str(error)
        assert vars(same) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_program_catches_an_error_by_its_own_class_and_as_a_run_error(
    error: BillingError,
) -> None:
    @raises_run_errors
    def fail() -> None:
        raise error

    for kind in (type(error), pulumi.RunError):
        with pytest.raises(kind) as caught:
            fail()
        assert str(caught.value) == str(error)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None


def test_the_class_for_programs_is_made_once() -> None:
    first, second = (as_run_error(errors.SettingsError(text)) for text in ("a", "b"))
    assert type(first) is type(second)
    assert as_run_error(first) is first


@pytest.mark.parametrize("name", [name for name in billing.__all__ if name.endswith("Error")])
def test_the_package_and_its_core_have_the_same_errors(name: str) -> None:
    assert getattr(pulumi_cf_invoice, name) is getattr(billing, name)
