"""What was found in files: invoices, and those of the last deployment, each account once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import TypeVar

from pulumi_cf_invoice.billing.cleaning import named
from pulumi_cf_invoice.billing.errors import BillingError, NotAvailableError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import iso
from pulumi_cf_invoice.billing.reads import BESIDE_INVOICE, INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API, foreign
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.report.caveats import Caveat
from pulumi_cf_invoice.state import InvoiceState, origin

T = TypeVar("T")


class NoInvoiceError(BillingError):
    """A file contains no invoice, or none that can be distinguished from others."""


class NothingFreshError(NoInvoiceError):
    """A successful preview has no invoice, or not all of them are certainly fresh."""


@dataclass(frozen=True)
class PackViolation:
    """
    What a policy pack, ours or another, said about the resource *urn* at a preview or an update.

    Its texts were written by others; each is one clean line. A mandatory one blocked the operation.
    """

    pack: str
    policy: str
    message: str
    urn: str
    is_mandatory: bool


@dataclass(frozen=True)
class Found:
    """
    An invoice with what is known of it, and the one of the last deployment if known.

    ``baseline_url`` is where the baseline came from, if known not to be Cloudflare,
    ``baseline_read_at`` when it was read, if known, and ``baseline_problem`` says why the two
    cannot be compared, if already known. ``notes`` are sentences about where it was found,
    ``caveats`` what a reader has to know of that, and ``names`` the names of these places: stacks
    as ``project/stack``, or names from the user. ``also`` are other states of the same account that
    were found: rules must not ignore what one of them violates. ``snapshot`` has the other reads of
    the account, if any. ``urns`` are the resources that it was found in, and ``violations`` all
    that policy packs said at the preview, on whatever resource: each of its invoices has them, so
    that whoever drops one drops none. The invoices of an account that was chosen have those of
    every preview in the file.
    """

    state: InvoiceState
    baseline: Invoice | None = None
    baseline_problem: str | None = None
    baseline_url: str | None = None
    baseline_read_at: datetime | None = None
    notes: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    names: tuple[str, ...] = ()
    also: tuple[InvoiceState, ...] = ()
    snapshot: Snapshot | None = None
    urns: tuple[str, ...] = ()
    violations: tuple[PackViolation, ...] = ()

    @property
    def invoice(self) -> Invoice:
        """The invoice itself."""
        return self.state.invoice

    def against(self, before: InvoiceState | None, problem: str | None = None) -> "Found":
        """
        Return it with the baseline *before*, if there is one, and the *problem* of comparing them.
        """
        if before is None:
            return self
        return replace(
            self,
            baseline=before.invoice,
            baseline_problem=problem,
            baseline_url=before.base_url,
            baseline_read_at=before.read_at,
        )

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> "Found":
        """Return the invoice in a *snapshot*. Raises the error of a read that failed."""
        invoice = snapshot.get(INVOICE_PREVIEW)
        state = InvoiceState(
            snapshot.account_id,
            invoice,
            base_url=foreign(snapshot.base_url),
            read_at=snapshot.read_at,
        )
        return cls(state, names=_names(snapshot), snapshot=snapshot)


@dataclass(frozen=True)
class MissingInvoice:
    """
    An account whose upcoming invoice could not be read, though something else of it could, or
    another account. One that ``is_unused`` has never had an invoice. One that ``is_absent`` was
    requested, but the files have nothing on it, or nothing recent. One that ``is_named`` was
    requested by its ID, or by its file.
    """

    snapshot: Snapshot
    error: BillingError
    names: tuple[str, ...] = ()
    is_unused: bool = False
    is_absent: bool = False
    is_named: bool = False

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> "MissingInvoice | None":
        """Return what is missing in a *snapshot*; None if it has its invoice, or nothing at all."""
        error = snapshot.problem(INVOICE_PREVIEW)
        if error is None or all(snapshot.problem(read) for read in BESIDE_INVOICE):
            return None
        return cls(snapshot, error, _names(snapshot))

    @classmethod
    def absent(
        cls, account_id: str, at: datetime, error: BillingError, names: tuple[str, ...] = ()
    ) -> "MissingInvoice":
        """
        Return an account about which nothing is usable at the time *at*, because of an *error*.
        """
        return cls(Snapshot(account_id, at, CLOUDFLARE_API, {}), error, names, is_absent=True)

    @property
    def account_id(self) -> str:
        """The account, 32 hex digits."""
        return self.snapshot.account_id

    @property
    def problem(self) -> BillingError:
        """The error, in which the account is named."""
        if not self.is_absent:
            return self.error
        return NotAvailableError(f"account {self.account_id}: {self.error}")

    @property
    def title(self) -> str:
        """Where it was found, if known, and its account."""
        account = f"account {self.account_id}"
        return ", ".join([*map(named, self.names), account]) if self.names else account.capitalize()

    @property
    def origin(self) -> str:
        """Where what is known of it came from, as a sentence; empty if from Cloudflare."""
        return origin(foreign(self.snapshot.base_url))


def _names(snapshot: Snapshot) -> tuple[str, ...]:
    return (snapshot.name,) if snapshot.name else ()


def one_of_each_account(found: Sequence[Found]) -> list[Found]:
    """
    Return *found* with one invoice of each account, in order.

    Of several, the highest amount of the latest period counts, with a note, and the others are
    judged too. An invoice whose account is unknown stays separate. Raises `NoInvoiceError` if two
    of an account are in different currencies, or come with different snapshots.
    """
    by_account: dict[str, list[Found]] = {}
    for number, invoice in enumerate(found):
        account = invoice.state.account_id or f"unknown {number}"
        by_account.setdefault(account, []).append(invoice)
    each = [merged(same) for same in by_account.values()]
    if len(each) == 1:
        return each
    # Invoices from one file already have that caveat.
    return [
        invoice
        if invoice.state.account_id or _MAY_COUNT_TWICE in invoice.caveats
        else replace(invoice, caveats=(*invoice.caveats, _MAY_COUNT_TWICE))
        for invoice in each
    ]


def compared_with(found: Sequence[Found], baselines: Sequence[Found]) -> list[Found]:
    """
    Return *found* with the *baselines* of their accounts instead of their own.

    Raises `NoInvoiceError` if one of several belongs to none of them.
    """
    if len(found) == len(baselines) == 1:
        return [_compared(found[0], baselines[0])]
    compared = list(found)
    counts = Counter(before.state.account_id for before in baselines)
    numbers: dict[str | None, int] = {}
    for number, now in enumerate(found):
        numbers.setdefault(now.state.account_id, number)
    for before in baselines:
        account = before.state.account_id
        if account and counts[account] > 1:
            raise NoInvoiceError(f"there are two baselines of account {account}: give one")
        if account is None or account not in numbers:
            whose = f"account {account}" if account else "an unknown account"
            raise NoInvoiceError(f"there is a baseline of {whose}, but no invoice of it")
        number = numbers[account]
        compared[number] = _compared(found[number], before)
    return compared


_MAY_COUNT_TWICE = Caveat(
    "ambiguous",
    "Its account is not known: if the same account appears again, it counts twice in the total.",
)


def merged(same: Sequence[Found]) -> Found:
    """
    Return the invoice that is several times among what was found, with all that is known of it.

    Raises what `one_of_each_account` raises.
    """
    if len(same) == 1:
        return same[0]
    highest = max(same, key=lambda found: rank(found.invoice))
    if len({found.invoice.currency for found in same}) > 1:
        account = highest.state.account_id
        whose = f"account {account}" if account else "one account"
        raise NoInvoiceError(f"{whose} appears twice, in two currencies: choose by --prefix")
    # A resource that is new has no update to be compared with.
    updates = [found.state.last_update for found in same if found.state.last_update]
    elsewhere = [found.state.base_url for found in same if found.state.base_url]
    base_url = highest.state.base_url or next(iter(elsewhere), None)
    caveats = dict.fromkeys(caveat for found in same for caveat in found.caveats)
    caveats |= {Caveat("origin", origin(url)): None for url in elsewhere if url != base_url}
    texts = {found.invoice.text for found in same}
    if len(texts) > 1:
        listed = " and as ".join(sorted(texts))
        text = (
            f"The invoice appears more than once, as {listed}: the highest amount of the latest "
            "period counts."
        )
        caveats[Caveat("ambiguous", text)] = None
    states = (state for found in same for state in (found.state, *found.also))
    compared = next((found for found in (highest, *same) if found.baseline), highest)
    return Found(
        replace(
            highest.state,
            last_update=highest.state.last_update or next(iter(updates), None),
            base_url=base_url,
        ),
        compared.baseline,
        baseline_url=compared.baseline_url,
        baseline_read_at=compared.baseline_read_at,
        notes=each_once(found.notes for found in same),
        caveats=tuple(caveats),
        names=each_once(found.names for found in same),
        also=tuple(state for state in states if state != highest.state),
        snapshot=only_snapshot([found.snapshot for found in same if found.snapshot]),
        urns=each_once(found.urns for found in same),
        violations=each_once(found.violations for found in same),
    )


def rank(invoice: Invoice) -> tuple[int, float]:
    """Return by what *invoice* is chosen among several: its period, and then its amount due."""
    return invoice.period_start, invoice.amount_due


def each_once(tuples: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """Return the items of *tuples*, each once, in order."""
    # The invoices of a large preview share a tuple of thousands.
    distinct = {id(each): each for each in tuples}
    return tuple(dict.fromkeys(chain.from_iterable(distinct.values())))


def only_snapshot(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """
    Return the only snapshot of an account, if there is one.

    Raises `NoInvoiceError` for a second one: it could say what a rule on the first never sees.
    """
    if len(snapshots) > 1 and len({snapshot.to_json() for snapshot in snapshots}) > 1:
        times = " and ".join(iso(snapshot.read_at.timestamp()) for snapshot in snapshots)
        raise NoInvoiceError(
            f"account {snapshots[0].account_id} is in several snapshots, of {times}: give only the "
            "latest"
        )
    return snapshots[0] if snapshots else None


def _compared(found: Found, before: Found) -> Found:
    account, of_baseline = found.state.account_id, before.state.account_id
    problem = None
    if None not in (account, of_baseline) and account != of_baseline:
        problem = f"the baseline is of another account, {of_baseline}"
    return found.against(before.state, problem)
