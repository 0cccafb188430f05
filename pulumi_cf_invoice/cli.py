"""``cf-invoice``: the upcoming invoice in a terminal and in CI (extra ``report``)."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

try:
    import click
except ModuleNotFoundError:
    sys.exit("cf-invoice needs its extra: pip install 'pulumi-cf-invoice[report]'")

if TYPE_CHECKING:
    from pulumi_cf_invoice.money import Money
    from pulumi_cf_invoice.report.source import Source
    from pulumi_cf_invoice.report.verdict import Report
    from pulumi_cf_invoice.settings import Settings

OVER_BUDGET = 1
COULD_NOT_TELL = 2
_SUFFIXES = {"markdown": "markdown", "html": "html", "json": "data"}


class _Amount(click.ParamType):  # type: ignore[type-arg]
    name = "amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> "Money":
        from pulumi_cf_invoice import money

        try:
            return value if isinstance(value, money.Money) else money.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Instant(click.ParamType):  # type: ignore[type-arg]
    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time such as 2026-09-15T12:00:00Z", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


class _LineBudget(click.ParamType):  # type: ignore[type-arg]
    name = "glob=amount"

    def convert(self, value: Any, param: Any, ctx: Any) -> "tuple[str, Money]":
        if isinstance(value, tuple):
            return value
        glob, equals, amount = value.rpartition("=")
        if not equals:
            self.fail(f"{value!r} has no '=': write it as 'openai/*=100 USD'", param, ctx)
        return glob, _Amount().convert(amount, param, ctx)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


_live = _options(
    click.option("--account-id", metavar="ID", help="32 hex digits [CLOUDFLARE_ACCOUNT_ID]."),
    click.option("--verbose", is_flag=True, help="Tell of requests and retries on stderr."),
)
_input = _options(
    click.option(
        "--from",
        "file",
        type=click.Path(allow_dash=True, dir_okay=False),
        help="Read a file (- is stdin) instead of the API: `pulumi preview --json`, "
        "`pulumi stack output --json`, or the API's JSON.",
    ),
    click.option("--prefix", help="The prefix of the stack outputs to read, where several are."),
    click.option(
        "--at", type=_Instant(), help="The time of the projection, ISO 8601 [default: now]."
    ),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Credentials come from CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and "
    'CLOUDFLARE_API_KEY. Completion: eval "$(_CF_INVOICE_COMPLETE=bash_source cf-invoice)" '
    "(or zsh_source, fish_source).\n\nExample: cf-invoice show",
)
@click.version_option(package_name="pulumi-cf-invoice")
def main() -> None:
    """What the next Cloudflare AI Gateway invoice will say."""


@main.command(epilog="Example: pulumi stack output --json | cf-invoice show --from -")
@_live
@_input
def show(
    account_id: str | None, verbose: bool, file: str | None, prefix: str | None, at: datetime | None
) -> None:
    """Show the invoice as tables, with every line."""
    with _told_errors(verbose):
        source = _source(file, account_id, prefix)
        from pulumi_cf_invoice.report import text, verdict

        report = verdict.judge(
            source.invoice,
            account_id=source.account_id,
            at=at or _now(),
            baseline=source.baseline,
        )
        text.write(report, sys.stdout, lines=sys.maxsize)


@main.command(
    epilog="Example: pulumi preview --json | cf-invoice report --from - "
    '--budget "250 USD" --format markdown --output report.md\n\n'
    "Exit code: 0 within budget, 1 over, 2 could not tell."
)
@_live
@_input
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
)
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False),
    help="Compare with this file, of the same kinds as --from. A preview brings its own.",
)
@click.option("--budget", type=_Amount(), help='For the amount due: "250 USD".')
@click.option("--budget-projected", type=_Amount(), help="For its projection to the period's end.")
@click.option(
    "--budget-line",
    type=_LineBudget(),
    multiple=True,
    help='For each line, net, by glob on its name: "openai/*=100 USD". The longest glob counts.',
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file.")
@click.option(
    "--github", is_flag=True, help="Also append to GitHub's job summary and set step outputs."
)
def report(
    account_id: str | None,
    verbose: bool,
    file: str | None,
    prefix: str | None,
    at: datetime | None,
    form: str,
    baseline: str | None,
    budget: "Money | None",
    budget_projected: "Money | None",
    budget_line: "tuple[tuple[str, Money], ...]",
    output: str | None,
    github: bool,
) -> None:
    """Judge the invoice by budgets and tell what moved."""
    with _told_errors(verbose):
        from pulumi_cf_invoice.report import verdict

        source = _source(file, account_id, prefix)
        before = _read(baseline, account_id, prefix).invoice if baseline else source.baseline
        made = verdict.judge(
            source.invoice,
            account_id=source.account_id,
            at=at or _now(),
            budgets=verdict.Budgets(budget, budget_projected, dict(budget_line)),
            baseline=before,
        )
        _write(made, form, output)
        if github:
            _tell_github(made, os.environ)
    sys.exit(OVER_BUDGET if made.verdict == "over" else 0)


@main.command(epilog="Example: CLOUDFLARE_API_TOKEN=… cf-invoice doctor --account-id ID")
@_live
def doctor(account_id: str | None, verbose: bool) -> None:
    """Say which settings count, and try them once."""
    with _told_errors(verbose):
        settings = _settings(account_id)
        click.echo(f"account      {settings.account_id} ({_account_source(account_id)})")
        click.echo(f"credentials  {settings.authentication.kind} ({_credentials_source()})")
        click.echo(f"base URL     {settings.base_url}")
        click.echo(f"timeout      {settings.timeout:g} s")
        click.echo("permission   AI Gateway Read (or AI Gateway Write) on the account")
        invoice = _fetch(settings)
        click.echo(f"request      answered: {invoice.text}, {len(invoice.invoice_lines):,} lines")


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    epilog="Example: cf-invoice sandbox --port 8787",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Start a local stand-in for the billing API."""
    from pulumi_cf_invoice.sandbox.__main__ import main as serve

    sys.exit(serve(list(arguments), "cf-invoice sandbox"))


def _source(file: str | None, account_id: str | None, prefix: str | None) -> "Source":
    if file is not None:
        return _read(file, account_id, prefix)
    from pulumi_cf_invoice.report.source import Source

    settings = _settings(account_id)
    return Source(_fetch(settings), settings.account_id)


def _read(file: str, account_id: str | None, prefix: str | None) -> "Source":
    from pulumi_cf_invoice.report import source

    try:
        with click.open_file(file, encoding="utf-8-sig") as opened:
            content = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"cannot read {file}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}")
    try:
        return source.read(content, account_id=account_id, prefix=prefix)
    except source.NoInvoice as error:
        _fail(f"{'standard input' if file == '-' else file}: {error}")


def _settings(account_id: str | None) -> "Settings":
    from pulumi_cf_invoice import settings

    # Outside of a Pulumi program there is no stack whose config could be read.
    return settings.resolve(account_id, None, config=lambda key: None, environment=os.environ)


def _fetch(settings: "Settings") -> Any:
    from pulumi_cf_invoice.client import BillingClient

    with _progress(f"Asking for the invoice of account {settings.account_id} …"):
        return BillingClient.from_settings(settings).get_invoice_preview(settings.account_id)


@contextmanager
def _progress(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


@contextmanager
def _told_errors(verbose: bool) -> Iterator[None]:
    from pulumi_cf_invoice.errors import InvoicePreviewError

    if verbose:
        # These two log addresses, statuses and waits, and no header.
        logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)
        for name in ("httpx", "stamina"):
            logging.getLogger(name).setLevel(logging.INFO)
    try:
        yield
    except InvoicePreviewError as error:
        _fail(str(error))


def _write(report: "Report", form: str, output: str | None) -> None:
    if form == "text" and output is None:
        from pulumi_cf_invoice.report import text

        text.write(report, sys.stdout)
        return
    rendered = _render(report, form)
    if output is None:
        click.echo(rendered, nl=False)
        return
    try:
        Path(output).write_text(rendered, encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {output}: {error.strerror}")


def _render(report: "Report", form: str) -> str:
    from importlib import import_module

    module = import_module(f"pulumi_cf_invoice.report.{_SUFFIXES.get(form, form)}")
    return str(module.render(report))


def _tell_github(report: "Report", environment: Mapping[str, str]) -> None:
    invoice = report.invoice
    projected = invoice.projected_amount_due(report.at)
    outputs = {
        "verdict": report.verdict,
        "amount-due": invoice.amount_due,
        "amount-due-text": invoice.amount_due_text,
        "projected-amount-due": "" if projected is None else projected,
        "currency": invoice.currency,
        "period": invoice.period_text,
    }
    for variable, content in (
        ("GITHUB_STEP_SUMMARY", _render(report, "markdown")),
        ("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items())),
    ):
        if variable not in environment:
            _fail(f"--github is for a step of GitHub Actions: {variable} is not set")
        try:
            with Path(environment[variable]).open("a", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            _fail(f"cannot write {environment[variable]}: {error.strerror}")


def _account_source(account_id: str | None) -> str:
    return "--account-id" if account_id else "CLOUDFLARE_ACCOUNT_ID"


def _credentials_source() -> str:
    token = os.environ.get("CLOUDFLARE_API_TOKEN", "").strip()
    return "CLOUDFLARE_API_TOKEN" if token else "CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _fail(message: str) -> NoReturn:
    click.echo(f"cf-invoice: {message}", err=True)
    sys.exit(COULD_NOT_TELL)


if __name__ == "__main__":
    main()
