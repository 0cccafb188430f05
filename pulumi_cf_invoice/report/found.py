"""What was found in files: invoices, and those of the last deployment, each account once."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from pulumi_cf_invoice.billing.cleaning import named, one_line
from pulumi_cf_invoice.billing.errors import BillingError, NotAvailableError, SettingsError
from pulumi_cf_invoice.billing.invoice import FIGURES, Invoice
from pulumi_cf_invoice.billing.models import iso
from pulumi_cf_invoice.billing.reads import BESIDE_INVOICE, INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import (
    CLOUDFLARE_API,
    canonical_account_id,
    config_sources,
    foreign,
)
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.report.caveats import Caveat
from pulumi_cf_invoice.state import (
    EXPORTED_ORIGIN,
    MARKERS,
    SECRET_ADDRESS,
    InvoiceState,
    camel_case,
    is_ours,
    origin,
    snake_case,
    snake_cased,
    urn_of,
)

SECRET_IN_PREVIEW = (
    "the figures are secret: leave them out of additional_secret_outputs, or report from a "
    "snapshot (`cf-invoice snapshot`)"
)
SECRET_IN_OUTPUTS = "the figures are secret: add --show-secrets to `pulumi stack output`"
STREAM = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json"
"""The command that prints the engine's events."""
_SECRET = "[secret]"
# The engine's events mark what is secret by this name and value instead.
_SIGNATURE = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
# A whole resource that a program exports, which Pulumi prints without its properties.
_REFERENCE = (_SIGNATURE[0], "5cf8f73096256a8f31e491e813e4eb8e")
_FIELDS = tuple(field.name for field in fields(Invoice))
_OF_INVOICE = frozenset((*_FIELDS, *FIGURES, "account_id", "base_url"))
_OF_RESOURCE = _OF_INVOICE | {"last_update", "id", "urn"}
T = TypeVar("T")
_FIGURES = frozenset(_FIELDS) - {"invoice_id", "status"}
_EXPORTED = ("account_id", EXPORTED_ORIGIN, *FIGURES)
_OF_WHOLE_INVOICES = {"amount_paid", "amount_remaining", "currency", "period_end"}
# The name of what is due can have been torn.
_OF_INVOICES = ({"amount_due", "invoice_lines"}, {"invoice_lines", *_OF_WHOLE_INVOICES})
_OF_EVERY_INVOICE = (*_OF_INVOICES, *(set(map(camel_case, names)) for names in _OF_INVOICES))
_LONGEST_NAME = 60
_MOST_NAMES = 3
# What a resource has only where it says something: at a preview Pulumi takes it for unknown, and
# afterwards exports null for it.
_SELDOM = ("base_url", "invoice_lines_complete")


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

    ``baseline_url`` is where the baseline came from, if known not to be Cloudflare, and
    ``baseline_problem`` says why the two cannot be compared, if already known. ``notes`` are
    sentences about where it was found, ``caveats`` what a reader has to know of that, and ``names``
    the names of these places: stacks as ``project/stack``, or names from the user. ``also`` are
    other states of the same account that were found: rules must not ignore what one of them
    violates. ``snapshot`` has the other reads of the account, if any. ``urns`` are the resources
    that it was found in, and ``violations`` all that policy packs said at the preview, on whatever
    resource: each of its invoices has them, so that whoever drops one drops none. The invoices of
    an account that was chosen have those of every preview in the file.
    """

    state: InvoiceState
    baseline: Invoice | None = None
    baseline_problem: str | None = None
    baseline_url: str | None = None
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
            self, baseline=before.invoice, baseline_problem=problem, baseline_url=before.base_url
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
    requested by its ID.
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


def of_outputs(outputs: Mapping[str, Any], secret: str = SECRET_IN_OUTPUTS) -> Found:
    """
    Return the invoice in a stack's *outputs*, by unprefixed names.

    Raises `NoInvoiceError` with the message *secret* if they are secret, and `InvalidDataError` if
    they are not an invoice.
    """
    plain = revealed(outputs)
    if plain is None:
        raise NoInvoiceError(secret)
    plain = {n: value for n, value in plain.items() if n not in _SELDOM or _says_something(value)}
    account_id, base_url = known_account(plain.get("account_id")), plain.get("base_url")
    address = one_line(base_url) if isinstance(base_url, str) else None
    return Found(InvoiceState(account_id, Invoice.from_outputs(plain), base_url=address))


def revealed(properties: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    Return *properties* with None for secrets that are not figures; None if a figure is secret.

    Of a secret address it says so, because it is not Cloudflare's. Names are those of the resource,
    in either form.
    """
    secret = {name for name, value in properties.items() if has_secret(value)}
    if any(map(is_figure, secret)):
        return None
    hidden = {name: SECRET_ADDRESS if snake_case(name) == "base_url" else None for name in secret}
    return {**properties, **hidden}


def configured_address(config: Any) -> str | None:
    """Return the address in a stack's *config*, as Pulumi prints it, if it is not Cloudflare's."""
    if not isinstance(config, Mapping):
        return None
    addresses = (source.get("baseUrl") for source in config_sources(config.get))
    return foreign_address(next((each for each in addresses if each is not None), None))


def foreign_address(address: Any) -> str | None:
    """Return an *address*, as Pulumi prints it, if it is one that is not Cloudflare's."""
    if has_secret(address):
        return SECRET_ADDRESS
    try:
        return foreign(address) if isinstance(address, str) else None
    except ValueError:
        return str(address)


def is_figure(name: str) -> bool:
    """Return whether a property called *name*, in either form, is a figure of the invoice."""
    return snake_case(name) in _FIGURES


def has_secret(value: Any) -> bool:
    """Return whether *value* is secret as Pulumi prints it, or has something that is."""
    if isinstance(value, str):
        return value == _SECRET
    if isinstance(value, Mapping):
        name, mark = _SIGNATURE
        # What a line is called is the words of others, and no figure.
        is_called_so = "amount" in value and value.get("description") == _SECRET
        items = (value[key] for key in value if key != "description" or not is_called_so)
        return value.get(name) == mark or any(map(has_secret, items))
    return isinstance(value, list) and any(map(has_secret, value))


def invoices_in_outputs(
    outputs: Mapping[str, Any], prefix: str | None = None
) -> list[dict[str, Any]]:
    """Return every invoice among a stack's *outputs*, as `named_invoices` does, without names."""
    return [figures for _, figures in named_invoices(outputs, prefix)]


def named_invoices(
    outputs: Mapping[str, Any], prefix: str | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """
    Return every invoice among a stack's *outputs*, or the one with *prefix*, by unprefixed names.

    Each comes with the name of the output that holds it, or its lines. For an exported `Invoice` (a
    mapping of its fields) or result of the plugin's function, the prefix is the output's name. It
    may be in a mapping or a list, at any depth.
    """
    found = []
    for name, value in outputs.items():
        start = _start_of_invoice(name, outputs)
        if start is None:
            within = _invoices_in(value) if prefix in (None, name) else []
            found += [(name, figures) for figures in within]
        elif prefix is None or start == f"{prefix}_":
            figures = {n: outputs.get(start + n) for n in ("account_id", *_FIELDS)}
            figures["base_url"] = outputs.get(start + EXPORTED_ORIGIN)
            found.append((name, {n: each for n, each in figures.items() if each is not None}))
    return found


def is_whole(figures: Mapping[str, Any]) -> bool:
    """Return whether exported *figures* have what only whole invoices have."""
    return figures.keys() >= _OF_WHOLE_INVOICES


def is_no_invoice(figures: Mapping[str, Any]) -> bool:
    """
    Return whether exported *figures* only have names of an invoice, and certainly are none.

    A program may call a text ``amount_due``, and a list of names ``invoice_lines``.
    """
    due, lines = figures.get("amount_due"), figures.get("invoice_lines")
    is_of_account = known_account(figures.get("account_id")) is not None
    if is_whole(figures) or is_of_account or _may_hold_invoice([due, lines]):
        return False
    is_amount = due is None or isinstance(due, (int, Decimal))
    return not is_amount or not (lines is None or _are_lines(lines))


def may_be_in_words(figures: Mapping[str, Any]) -> bool:
    """Return whether exported *figures* that are no invoice may be of one, in texts for people."""
    lines = figures.get("invoice_lines")
    return bool(lines) and _are_lines(lines)


def may_be_invoices(
    outputs: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> list[str]:
    """
    Return the names of *outputs* that are secret or not known, so that they may hold an invoice.

    What is not known yet does not count if it was something else at the last deployment, with the
    outputs *before*.
    """
    starts = [_start_of_invoice(name, outputs) for name in outputs]
    of_invoices = {start + name for start in starts if start is not None for name in _EXPORTED}
    return [
        name
        for name, value in outputs.items()
        if name not in of_invoices
        and _hides_something(value)
        and (
            before is None
            or name not in before
            or has_secret(value)
            or _may_hold_invoice(before[name])
        )
    ]


def _are_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(line, Mapping) for line in value)


def _start_of_invoice(name: str, outputs: Mapping[str, Any]) -> str | None:
    """Return the beginning of the names of the invoice whose lines are called *name*, if it is."""
    start = name.removesuffix("invoice_lines")
    is_prefix = start == "" or start.endswith("_")
    return start if start != name and is_prefix and f"{start}amount_due" in outputs else None


def _invoices_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [invoice for item in value for invoice in _invoices_in(item)]
    if not isinstance(value, Mapping):
        return []
    if not _is_invoice(value):
        return invoices_in_outputs(value)
    others = {name: item for name, item in value.items() if snake_case(name) not in _FIELDS}
    # Not what stands beside them: at each level, that would be all below it.
    own = {name: item for name, item in value.items() if snake_case(name) in _OF_INVOICE}
    return [snake_cased(own), *invoices_in_outputs(others)]


def _is_invoice(value: Mapping[str, Any]) -> bool:
    return any(names <= value.keys() for names in _OF_EVERY_INVOICE)


def _may_hold_invoice(value: Any) -> bool:
    return _hides_something(value) or bool(_invoices_in(value))


def _hides_something(value: Any) -> bool:
    """Return whether *value*, or something in it beside figures, is secret or not known yet."""
    if isinstance(value, Mapping):
        of_invoice = _OF_RESOURCE if _is_invoice(value) else ()
        beside = (item for name, item in value.items() if snake_case(name) not in of_invoice)
        return value.get(_SIGNATURE[0]) == _SIGNATURE[1] or any(map(_hides_something, beside))
    if isinstance(value, list):
        return any(map(_hides_something, value))
    return value == _SECRET or _is_marker(value)


def not_judged(names: Sequence[str]) -> list[Caveat]:
    """Return the caveat on the outputs with these *names*, which may be invoices."""
    if not names:
        return []
    text = (
        f"What is secret or not known yet in the stack's {_listed(names)} was not judged, if it is "
        "an invoice."
    )
    return [Caveat("not judged", text)]


def in_words(names: Sequence[str]) -> list[Caveat]:
    """Return the caveat on outputs with these *names*, of which what is due is no number."""
    if not names:
        return []
    text = (
        f"What is due is no number in the stack's {_listed(names)}, which was not judged, if it is "
        "an invoice."
    )
    return [Caveat("not judged", text)]


def only_referred_to(
    outputs: Mapping[str, Any], found: Iterable[Found], evaluated: Collection[str] = ()
) -> list[Caveat]:
    """
    Return the caveat on *outputs* that only refer to an InvoicePreview.

    Those of an account that was *found*, and those that the operation *evaluated*, by URN, are
    told of already.
    """
    accounts = {known_account(invoice.state.account_id) for invoice in found} - {None}
    names = [
        name
        for name, value in outputs.items()
        if any(
            reference.get("urn") not in evaluated
            and known_account(reference.get("id")) not in accounts
            for reference in _references(value)
        )
    ]
    if not names:
        return []
    text = (
        f"In the stack's {_listed(names)} there is only a reference to an InvoicePreview, which "
        "was not judged: export what getInvoicePreview returns, or report on a preview."
    )
    return [Caveat("not judged", text)]


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every reference to an InvoicePreview in *value*."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, Mapping):
        name, mark = _REFERENCE
        if value.get(name) == mark and is_ours(urn_of(value)):
            yield value
        for item in value.values():
            yield from _references(item)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, _LONGEST_NAME) for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"{'output' if len(names) == 1 else 'outputs'} {shown}{more}"


def is_unknown(invoice: Mapping[str, Any]) -> bool:
    """Return whether a figure of an exported *invoice* is not known yet."""
    return any(
        _is_marker(value)
        for name, value in invoice.items()
        if is_figure(name) and name not in _SELDOM
    )


def _says_something(value: Any) -> bool:
    return value is not None and not _is_marker(value)


def _is_marker(value: Any) -> bool:
    """Return whether *value* stands for one that is not known yet."""
    return isinstance(value, str) and value in MARKERS


def known_account(account_id: Any) -> str | None:
    """
    Return *account_id* in lower case if it is one: the value may be unknown, secret or anything.
    """
    try:
        return canonical_account_id(account_id)
    except SettingsError:
        return None


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
    accounts = [before.state.account_id for before in baselines]
    for before in baselines:
        account = before.state.account_id
        if account and accounts.count(account) > 1:
            raise NoInvoiceError(f"there are two baselines of account {account}: give one")
        of_account = (n for n, now in enumerate(found) if now.state.account_id == account)
        number = next(of_account, None)
        if account is None or number is None:
            whose = f"account {account}" if account else "an unknown account"
            raise NoInvoiceError(f"there is a baseline of {whose}, but no invoice of it")
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
        notes=_each_once(found.notes for found in same),
        caveats=tuple(caveats),
        names=_each_once(found.names for found in same),
        also=tuple(state for state in states if state != highest.state),
        snapshot=only_snapshot([found.snapshot for found in same if found.snapshot]),
        urns=_each_once(found.urns for found in same),
        violations=_each_once(found.violations for found in same),
    )


def rank(invoice: Invoice) -> tuple[int, float]:
    """Return by what *invoice* is chosen among several: its period, and then its amount due."""
    return invoice.period_start, invoice.amount_due


def _each_once(tuples: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for each in tuples for item in each))


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
