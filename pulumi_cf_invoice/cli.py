"""
``cf-invoice``: the upcoming invoice in a terminal and in CI (extra ``report``).

It is built on argparse because a command line has to answer at once: importing a larger library
takes several times as long as Python's own start. Everything else is imported by the command that
uses it.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from datetime import datetime

    from pulumi_cf_invoice.billing.settings import Settings
    from pulumi_cf_invoice.gates import AccountReader
    from pulumi_cf_invoice.report.found import Found
    from pulumi_cf_invoice.report.report import Report
    from pulumi_cf_invoice.rules_file import DeclaredRule
    from pulumi_cf_invoice.state import InvoiceState

OVER_BUDGET = 1
COULD_NOT_TELL = 2
INTERRUPTED = 130
_MODULES = {"text": "text", "markdown": "markdown", "html": "html", "json": "json_report"}
_EXTRA = "pip install 'pulumi-cf-invoice[report]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code. Whatever goes wrong is one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A report has characters that many a code page lacks.
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has read enough, as `head` does.
        _close_stdout()
        return 0
    except Exception as error:
        # Whatever is opened by its name has that in the error.
        if isinstance(error, OSError) and error.filename is None:
            _close_stdout()
            return _told(f"cannot write standard output: {error.strerror or error}")
        return _told(
            f"it failed: {_one_line(f'{type(error).__name__}: {error}')}. Please report it"
        )


def _run(given: list[str]) -> int:
    if given[:1] == ["sandbox"]:
        from pulumi_cf_invoice.sandbox.__main__ import main as serve

        return serve(given[1:], "cf-invoice sandbox")
    options = _parser().parse_args(given)
    try:
        with _told_errors(getattr(options, "verbose", False)):
            return int(options.command(options))
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is missing: {_EXTRA}")


def _close_stdout() -> None:
    # Python would write what is left at exit, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(text: str) -> str:
    from pulumi_cf_invoice.billing.cleaning import one_line

    return one_line(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cf-invoice",
        description="What the next Cloudflare AI Gateway invoice will say.",
        epilog="Credentials come from CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and "
        "CLOUDFLARE_API_KEY.\n\nexample:\n  cf-invoice show",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    show = _command(
        commands,
        "show",
        "show the invoice as tables, with every line",
        "pulumi stack output --json | cf-invoice show --from -",
    )
    _add_live(show)
    _add_input(show)
    show.set_defaults(command=_show)
    report = _command(
        commands,
        "report",
        "hold the invoice against budgets, and show what moved",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json > preview.json\n"
        "  cf-invoice report --from preview.json --budget '250 USD'\n\n"
        "exit code:\n  0 every mandatory rule is within, 1 one is over, 2 could not tell, "
        "130 interrupted",
    )
    _add_live(report)
    _add_input(report)
    _add_report(report)
    report.set_defaults(command=_report)
    comment = _command(
        commands,
        "comment",
        "post a report on this job's pull or merge request, or update the one already there",
        "cf-invoice report --from preview.json --format markdown --output report.md\n"
        "  cf-invoice comment report.md\n\n"
        "The token comes from GH_TOKEN or GITHUB_TOKEN, or GITLAB_TOKEN; forge, repository, "
        "request\nand address come from the variables of GitHub Actions or GitLab CI.",
    )
    _add_comment(comment)
    comment.set_defaults(command=_comment)
    doctor = _command(
        commands,
        "doctor",
        "show which settings count, and try them once",
        "CLOUDFLARE_API_TOKEN=… cf-invoice doctor --account-id ID",
    )
    _add_live(doctor)
    doctor.set_defaults(command=_doctor)
    commands.add_parser("sandbox", help="start a local stand-in for the billing API")
    completion = _command(
        commands,
        "completion",
        "print a shell's completion script",
        'eval "$(cf-invoice completion bash)"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    completion.set_defaults(command=_completion)
    return parser


def _command(commands: Any, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def _add_live(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--account-id",
        metavar="ID",
        help="32 hex digits, which also choose one of several in a file "
        "(default: CLOUDFLARE_ACCOUNT_ID)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="log requests and retries to standard error"
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="file",
        action=_Once,
        metavar="FILE",
        help="read a file (- is standard input) instead of the API: what `pulumi preview --json`, "
        "`pulumi up --json` or `pulumi stack output --json` prints, or the API's JSON",
    )
    parser.add_argument("--prefix", help="the prefix of the stack outputs, if there are several")
    parser.add_argument(
        "--at", type=_instant, metavar="TIME", help="the report's time, ISO 8601 (default: now)"
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=_MODULES, default="text", help="(default: text)")
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="compare with this file, of the same kinds as --from; a preview has its own baseline",
    )
    parser.add_argument(
        "--rules", metavar="FILE", help="judge the rules of this file, as the policy pack does"
    )
    parser.add_argument(
        "--policy-pack-config",
        metavar="FILE",
        help="Pulumi's policy config over --rules, as `pulumi preview` takes it",
    )
    parser.add_argument(
        "--budget",
        type=_amount,
        metavar="AMOUNT",
        help="the rule max-amount-due with this limit: '250 USD'",
    )
    parser.add_argument(
        "--budget-projected",
        type=_amount,
        metavar="AMOUNT",
        help="the rule max-projected-amount-due with this limit",
    )
    parser.add_argument(
        "--budget-line",
        type=_line_budget,
        action="append",
        default=[],
        metavar="GLOB=AMOUNT",
        help="the rule max-line-amount with this limit: 'openai/*=100 USD'",
    )
    parser.add_argument("--output", metavar="FILE", help="write to this file")
    parser.add_argument(
        "--github",
        action="store_true",
        help="also append to the job summary and set step outputs, in GitHub Actions",
    )


def _add_comment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the report in Markdown (- is standard input)")
    parser.add_argument("--tag", help="tells several reports on one request apart")
    parser.add_argument("--forge", choices=["github", "gitlab"])
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="the repository, or GitLab's project ID"
    )
    parser.add_argument(
        "--request", type=_number, metavar="NUMBER", help="the number of the request"
    )
    parser.add_argument(
        "--api-url", metavar="URL", help="GitHub's GraphQL endpoint, or the root of GitLab's API"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be written, and where"
    )
    parser.set_defaults(verbose=False)


class _Once(argparse.Action):
    def __call__(self, parser: Any, options: Any, value: Any, option: Any = None) -> None:
        if getattr(options, self.dest) is not None:
            parser.error(f"argument {option}: it is given twice, and one file is read")
        setattr(options, self.dest, value)


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> None:
        from importlib.metadata import version

        print(version("pulumi-cf-invoice"))
        sys.exit(0)


def _amount(written: str) -> str:
    from pulumi_cf_invoice.billing.errors import LimitError
    from pulumi_cf_invoice.limits import parse_amount

    try:
        parse_amount(written)
    except LimitError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return written


def _number(written: str) -> int:
    if not (written.isascii() and written.isdigit() and int(written[:18]) > 0):
        raise argparse.ArgumentTypeError(f"{written!r} is not the number of a request")
    return int(written[:18])


def _line_budget(written: str) -> tuple[str, str]:
    glob, equals, amount = written.rpartition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{written!r} has no '=': write 'openai/*=100 USD'")
    return glob, _amount(amount)


def _instant(written: str) -> "datetime":
    from datetime import datetime, timezone

    try:
        instant = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{written!r} is not an ISO 8601 time such as 2026-09-15T12:00:00Z"
        ) from None
    try:
        zoned = instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
        return zoned.astimezone(timezone.utc)
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{written!r} is out of range") from None


def _show(options: argparse.Namespace) -> int:
    from pulumi_cf_invoice.gates import AccountReader
    from pulumi_cf_invoice.report import text
    from pulumi_cf_invoice.report.report import make_report

    given = _input(options, AccountReader(os.environ))
    report = make_report(
        given.state, at=options.at or _now(), notes=given.notes, baseline=given.baseline
    )
    text.write(report, sys.stdout, lines=sys.maxsize)
    return 0


def _report(options: argparse.Namespace) -> int:
    from pulumi_cf_invoice.gates import AccountReader
    from pulumi_cf_invoice.report.report import judge, make_report

    rules, reader, at = _rules(options), AccountReader(os.environ), options.at or _now()
    given = _input(options, reader)
    baseline = None if options.baseline is None else _read(options.baseline, options)
    report = make_report(
        given.state,
        at=at,
        rules=judge(rules, given.state, at, reader),
        notes=given.notes,
        baseline=baseline.state.invoice if baseline else given.baseline,
        baseline_account_id=(baseline or given).state.account_id,
    )
    over = OVER_BUDGET if report.verdict == "over" else 0
    code = over if report.is_known else COULD_NOT_TELL
    if options.github:
        _tell_github(report, os.environ)
    try:
        _write(report, options.format, options.output)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
    return code


def _rules(options: argparse.Namespace) -> "list[DeclaredRule]":
    from pulumi_cf_invoice.rules_file import configured, parse_rules, read_config, read_rules

    rules = [] if options.rules is None else read_rules(options.rules)
    written = options.policy_pack_config
    if written is not None and options.rules is None:
        _fail("--policy-pack-config does nothing without --rules")
    config = {} if written is None else read_config(written)
    if len(dict(options.budget_line)) < len(options.budget_line):
        _fail("--budget-line is given twice for one glob")
    shorthand = {
        "max-amount-due": {"limit": options.budget},
        "max-projected-amount-due": {"limit": options.budget_projected},
        "max-line-amount": {"limits": dict(options.budget_line)},
    }
    given = {name: rule for name, rule in shorthand.items() if any(rule.values())}
    return configured([*rules, *(parse_rules({"rules": given}) if given else [])], config)


def _comment(options: argparse.Namespace) -> int:
    from pulumi_cf_invoice.report import comments

    body = comments.tagged(_content(options.file).decode("utf-8", "replace"), options.tag)
    request = comments.find_request(
        os.environ,
        forge=options.forge,
        api_url=options.api_url,
        repository=options.repository,
        number=options.request,
    )
    print(comments.post(request, body, dry_run=options.dry_run))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from pulumi_cf_invoice.billing.settings import is_cloudflare
    from pulumi_cf_invoice.gates import AccountReader

    settings = _settings(options.account_id)
    foreign = "" if is_cloudflare(settings.base_url) else " (not Cloudflare's)"
    account_source = "--account-id" if options.account_id else "CLOUDFLARE_ACCOUNT_ID"
    print(f"account      {settings.account_id} ({account_source})")
    print(f"credentials  {settings.credentials.kind} ({_credentials_source()})")
    print(f"base URL     {settings.base_url}{foreign}")
    print(f"timeout      {settings.timeout:g} s")
    print("permission   AI Gateway Read (or AI Gateway Write) on the account", flush=True)
    invoice = _live(settings, AccountReader(os.environ)).invoice
    count = len(invoice.invoice_lines)
    print(f"request      answered: {invoice.text}, {count:,} line{'s' * (count != 1)}")
    return 0


def _completion(options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(_parser(), options.shell))
    return 0


def _input(options: argparse.Namespace, reader: "AccountReader") -> "Found":
    if options.file is not None:
        return _read(options.file, options)
    from pulumi_cf_invoice.report.found import Found

    return Found(_live(_settings(options.account_id), reader))


def _live(settings: "Settings", reader: "AccountReader") -> "InvoiceState":
    with _progress(f"Asking for the invoice of account {settings.account_id} …"):
        return reader.read(settings.account_id, settings.base_url)


def _content(file: str) -> bytes:
    from pathlib import Path

    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        _fail(f"cannot read {file}: {error.strerror}")


def _read(file: str, options: argparse.Namespace) -> "Found":
    from pulumi_cf_invoice.report import input
    from pulumi_cf_invoice.report.found import NoInvoiceError

    content = _content(file)
    try:
        return input.read(content, account_id=options.account_id, prefix=options.prefix)
    except NoInvoiceError as error:
        _fail(f"{'standard input' if file == '-' else file}: {error}")


def _settings(account_id: str | None) -> "Settings":
    from pulumi_cf_invoice.billing import settings

    # Outside of a Pulumi program there is no stack whose config could be read.
    return settings.resolve(account_id, [settings.environment(os.environ)])


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
    if verbose:
        import logging

        # These two log addresses, statuses and waits, and no header.
        logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)
        for name in ("httpx", "pulumi_cf_invoice"):
            logging.getLogger(name).setLevel(logging.INFO)
    from pulumi_cf_invoice.billing.errors import BillingError

    try:
        yield
    except BillingError as error:
        _fail(str(error))


def _write(report: "Report", form: str, output: str | None) -> None:
    if form == "text" and output is None:
        from pulumi_cf_invoice.report import text

        text.write(report, sys.stdout)
        return
    rendered = _render(report, form)
    if output is None:
        sys.stdout.write(rendered)
        return
    from pathlib import Path

    try:
        Path(output).write_text(rendered, encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {output}: {error.strerror}")


def _render(report: "Report", form: str) -> str:
    from importlib import import_module

    module = import_module(f"pulumi_cf_invoice.report.{_MODULES[form]}")
    return str(module.render(report))


def _tell_github(report: "Report", environment: Mapping[str, str]) -> None:
    from pathlib import Path

    invoice = report.invoice
    projected = report.projected_amount_due
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


def _credentials_source() -> str:
    token = os.environ.get("CLOUDFLARE_API_TOKEN", "").strip()
    return "CLOUDFLARE_API_TOKEN" if token else "CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"


def _now() -> "datetime":
    from datetime import datetime, timezone

    return datetime.now(timezone.utc)


def _fail(message: str) -> NoReturn:
    sys.exit(_told(message))


def _told(message: str) -> int:
    print(f"cf-invoice: {message}", file=sys.stderr)
    return COULD_NOT_TELL


if __name__ == "__main__":
    sys.exit(main())
