"""
Finds invoices among a stack's outputs, as Pulumi prints them: exported figures, whole or in part,
secret, not known yet, or only referred to.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

from pulumi_cf_invoice.billing.cleaning import LONGEST_NAME, MARKERS, one_line
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.invoice import FIGURES, Invoice
from pulumi_cf_invoice.billing.settings import canonical_account_id, config_sources, foreign
from pulumi_cf_invoice.report.caveats import Caveat
from pulumi_cf_invoice.report.found import Found, NoInvoiceError
from pulumi_cf_invoice.state import (
    EXPORTED_ORIGIN,
    SECRET_ADDRESS,
    InvoiceState,
    camel_case,
    is_ours,
    snake_case,
    snake_cased,
    urn_of,
)

SECRET_IN_PREVIEW = (
    "the figures are secret: leave them out of additional_secret_outputs, or report from a "
    "snapshot (`cf-invoice snapshot`)"
)
SECRET_IN_OUTPUTS = "the figures are secret: add --show-secrets to `pulumi stack output`"
_SECRET = "[secret]"
# The engine's events mark what is secret by this name and value instead.
_SIGNATURE = ("4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270")
# A whole resource that a program exports, which Pulumi prints without its properties.
_REFERENCE = (_SIGNATURE[0], "5cf8f73096256a8f31e491e813e4eb8e")
_FIELDS = tuple(field.name for field in fields(Invoice))
_OF_INVOICE = frozenset((*FIGURES, "account_id", "base_url", EXPORTED_ORIGIN))
_OF_RESOURCE = _OF_INVOICE | {"last_update", "id", "urn"}
_FIGURES = frozenset(_FIELDS) - {"invoice_id", "status"}
_EXPORTED = ("account_id", EXPORTED_ORIGIN, *FIGURES)
_OF_WHOLE_INVOICES = {"amount_paid", "amount_remaining", "currency", "period_end"}
# The name of what is due can have been torn.
_OF_INVOICES = ({"amount_due", "invoice_lines"}, {"invoice_lines", *_OF_WHOLE_INVOICES})
_OF_EVERY_INVOICE = (*_OF_INVOICES, *(set(map(camel_case, names)) for names in _OF_INVOICES))
_MOST_NAMES = 3
# What a resource has only where it says something: at a preview Pulumi takes it for unknown, and
# afterwards exports null for it.
_SELDOM = ("base_url", "invoice_lines_complete")


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
        # What a line is called is the words of others, and no figure.
        is_called_so = "amount" in value and value.get("description") == _SECRET
        items = (value[key] for key in value if key != "description" or not is_called_so)
        return is_secret(value) or any(map(has_secret, items))
    return isinstance(value, list) and any(map(has_secret, value))


def is_secret(value: Any) -> bool:
    """Return whether all of *value* is secret as a checkpoint or the engine's events say it."""
    name, mark = _SIGNATURE
    return isinstance(value, Mapping) and value.get(name) == mark


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
        # An invoice may also be where a figure or the lines of another belong.
        are_lines = start is not None and isinstance(value, list)
        within = _invoices_in(value) if prefix in (None, name) and not are_lines else []
        found += [(name, figures) for figures in within]
        if start is not None and (prefix is None or start == f"{prefix}_"):
            figures = {n: outputs.get(start + n) for n in ("account_id", *_FIELDS)}
            figures["base_url"] = outputs.get(start + EXPORTED_ORIGIN)
            found.append((name, _own({n: each for n, each in figures.items() if each is not None})))
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
    of_invoice = {name: value[name] for name in value if snake_case(name) in _OF_INVOICE}
    others = {name: value[name] for name in value if snake_case(name) not in _FIELDS}
    figures = snake_cased(_own(of_invoice))
    # Not the invoice itself once more, but what is in the place of one of its figures, or of the
    # lines of one that is torn.
    is_torn = not isinstance(figures.get("amount_due"), (int, float, Decimal))
    misplaced = [
        item
        for name, item in value.items()
        if name not in others and (is_torn or not _are_its_lines(name, item))
    ]
    # A mapping of all that another stack exports says it as outputs do.
    origin = figures.pop(EXPORTED_ORIGIN, None)
    if origin is not None:
        figures.setdefault("base_url", origin)
    return [figures, *invoices_in_outputs(others), *_invoices_in(misplaced)]


def _own(figures: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *figures* of an invoice without what is nested in one, and is none of it.

    At each level, that would be all below it.
    """
    marked = {n: _SECRET if is_secret(item) else item for n, item in figures.items()}
    return {
        name: item
        for name, item in marked.items()
        if _are_its_lines(name, item) or not isinstance(item, (Mapping, list))
    }


def _are_its_lines(name: str, value: Any) -> bool:
    return snake_case(name) == "invoice_lines" and isinstance(value, list)


def _is_invoice(value: Mapping[str, Any]) -> bool:
    return any(names <= value.keys() for names in _OF_EVERY_INVOICE)


def _may_hold_invoice(value: Any) -> bool:
    return _hides_something(value) or bool(_invoices_in(value))


def _hides_something(value: Any) -> bool:
    """Return whether *value*, or something in it beside figures, is secret or not known yet."""
    if isinstance(value, Mapping):
        of_invoice = _OF_RESOURCE if _is_invoice(value) else ()
        beside = (item for name, item in value.items() if snake_case(name) not in of_invoice)
        return is_secret(value) or any(map(_hides_something, beside))
    if isinstance(value, list):
        return any(map(_hides_something, value))
    return value == _SECRET or _is_marker(value)


def not_judged(names: Sequence[str]) -> list[Caveat]:
    """Return the caveat on the outputs with these *names*, which may be invoices."""
    return _not_judged(
        names,
        "What is secret or not known yet in the stack's {} was not judged, if it is an invoice.",
    )


def in_words(names: Sequence[str]) -> list[Caveat]:
    """Return the caveat on outputs with these *names*, of which what is due is no number."""
    return _not_judged(
        names,
        "What is due is no number in the stack's {}, which was not judged, if it is an invoice.",
    )


def broken(names: Sequence[str]) -> list[Caveat]:
    """Return the caveat on outputs with these *names*, which are broken invoices."""
    return _not_judged(
        names, "What looks like an invoice in the stack's {} cannot be read, and was not judged."
    )


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
    return _not_judged(
        names,
        "In the stack's {} there is only a reference to an InvoicePreview, which was not judged: "
        "export what getInvoicePreview returns, or report on a preview.",
    )


def _not_judged(names: Sequence[str], sentence: str) -> list[Caveat]:
    """Return the caveat that the *sentence* makes of outputs with these *names*, if any."""
    return [Caveat("not judged", sentence.format(_listed(names)))] if names else []


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
    shown = ", ".join(one_line(name, LONGEST_NAME) for name in names[:_MOST_NAMES])
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
