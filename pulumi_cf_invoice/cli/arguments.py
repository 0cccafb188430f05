"""
The arguments of ``cf-invoice``.

They use argparse, because importing a larger library takes longer than starting Python itself.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pulumi_cf_invoice._command import Parser, instant
from pulumi_cf_invoice.comments import FORGES

if TYPE_CHECKING:
    from datetime import timedelta

FORMATS = ("text", "markdown", "html", "json")
_WIDEST = 79


@cache
def parser() -> argparse.ArgumentParser:
    """Return the parser of ``cf-invoice``, whose result has the ``command`` to run."""
    made = Parser(
        prog="cf-invoice",
        description="Show and check the upcoming Cloudflare AI Gateway invoice.",
        epilog="Credentials come from CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and\n"
        "CLOUDFLARE_API_KEY.\n\nexample:\n  cf-invoice show --stack",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = made.add_subparsers(metavar="COMMAND", required=True, dest="command")
    # Its values are the whole command line, whose options say themselves which of them is empty.
    commands.type = str
    show = _command(
        commands,
        "show",
        "show the invoice as tables, with every line",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json | "
        "cf-invoice show --from -",
    )
    _add_live(show)
    _add_input(show)
    _add_at(show)
    report = _command(
        commands,
        "report",
        "check the invoice against budgets and show what changed",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json > preview.json\n"
        "  cf-invoice report --from preview.json --budget '250 USD'\n\n"
        "exit code:\n"
        "  0    every mandatory rule is within or noted\n"
        "  1    a mandatory rule is violated\n"
        "  2    one could not be judged, or something else failed\n"
        "  130  interrupted",
    )
    _add_live(report)
    _add_input(report)
    _add_at(report)
    _add_report(report)
    comment = _command(
        commands,
        "comment",
        "post a report on this job's pull or merge request, or update the one already there",
        "cf-invoice report --stack --budget '250 USD' --format markdown --output report.md\n"
        "  cf-invoice comment report.md --dry-run --forge github --repository OWNER/NAME "
        "--request 1\n\n"
        "In a job, `cf-invoice comment report.md` is enough to post the comment.\n"
        "The token comes from GH_TOKEN or GITHUB_TOKEN, GITLAB_TOKEN or GITEA_TOKEN. The forge, "
        "repository,\nrequest and address come from the variables that GitHub Actions or GitLab CI "
        "set; in a Gitea or\nForgejo job, pass --forge gitea.",
    )
    _add_comment(comment)
    notify = _command(
        commands,
        "notify",
        "notify people of what is wrong with the invoice, once, and when all is well again",
        "cf-invoice notify --stack --budget '250 USD' --state told.json --dry-run\n\n"
        "Addresses are apprise URLs: chats, mail and webhooks. They come from CF_INVOICE_NOTIFY,\n"
        "one per line. The exit code is that of `cf-invoice report`, or 2 if an address refused.",
    )
    _add_live(notify)
    _add_input(notify)
    _add_at(notify)
    _add_rules(notify)
    _add_fixed_lines(notify)
    _add_notify(notify)
    doctor = _command(
        commands,
        "doctor",
        "show where each setting comes from, and try every read of the API with them",
        "cf-invoice doctor --stack",
    )
    _add_live(doctor)
    snapshot = _command(
        commands,
        "snapshot",
        "read the invoice, credits, usage, earlier invoices and gateways into a file, or one per "
        "account",
        "cf-invoice snapshot --stack --output snapshot.json\n"
        "  cf-invoice report --snapshot snapshot.json --max-age 2 --budget '250 USD'",
    )
    _add_live(snapshot)
    snapshot.add_argument(
        "--output",
        type=_file_to_write,
        metavar="FILE",
        help="write the snapshot to this file (default: standard output), or one file per account "
        "to this folder",
    )
    snapshot.add_argument(
        "--max-age",
        type=_hours,
        metavar="HOURS",
        help="skip accounts whose snapshot in the folder is whole and not older than this",
    )
    forecast = _command(
        commands,
        "forecast",
        "forecast the invoice, and how long the credits last",
        "cf-invoice forecast --stack",
    )
    _add_live(forecast)
    _add_snapshots(forecast)
    forecast.set_defaults(prefix=None)
    forecast.add_argument(
        "--format",
        choices=["text", "json"],
        default="text",
        help="the output format (default: text)",
    )
    _add_fixed_lines(forecast)
    commands.add_parser("sandbox", help="start a local stand-in for the billing API")
    completion = _command(
        commands,
        "completion",
        "print a shell's completion script",
        'eval "$(cf-invoice completion bash)"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="the shell")
    return made


def _command(commands: Any, name: str, purpose: str, example: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=purpose,
        description=_within_80(f"{purpose[0].upper()}{purpose[1:]}."),
        epilog=_within_80(f"example:\n  {example}"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made


def _within_80(text: str) -> str:
    """Return *text* in lines of at most 79 characters; commands continue after a backslash."""
    # Consecutive lines without indentation are a paragraph.
    joined = re.sub(r"(?<=[^\n:])\n(?=[^\s])", " ", text)
    return "\n".join(part for line in joined.split("\n") for part in _broken(line))


def _broken(line: str) -> list[str]:
    if len(line) <= _WIDEST:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    if not indent or (" --" not in line and " | " not in line):
        return textwrap.wrap(line, _WIDEST, subsequent_indent=indent)
    breaks = [match.start() for match in re.finditer(r" (?=--|\| )", line)]
    at = max((at for at in breaks if at <= _WIDEST - 2), default=breaks[0])
    return [f"{line[:at]} \\", *_broken(f"{indent}  {line[at + 1 :]}")]


def _add_live(parser: argparse.ArgumentParser) -> None:
    accounts = parser.add_mutually_exclusive_group()
    accounts.add_argument(
        "--account-id",
        dest="account_ids",
        action="append",
        default=[],
        metavar="ID",
        help="the account, 32 hex digits; also selects one of several in a file or folder "
        "(default: CLOUDFLARE_ACCOUNT_ID); may be repeated",
    )
    accounts.add_argument(
        "--accounts",
        dest="accounts_file",
        metavar="FILE",
        help="the accounts in this file, an ID and a name per line",
    )
    accounts.add_argument(
        "--all-accounts",
        action="store_true",
        help="all accounts that the token can see; it also needs Account Settings Read",
    )
    parser.add_argument(
        "--except",
        dest="excepted",
        action="append",
        default=[],
        metavar="ID",
        help="leave out this account; may be repeated",
    )
    parser.add_argument(
        "--stack",
        nargs="?",
        const=True,
        type=_stack,
        metavar="NAME",
        help="read this stack's config (default: the selected stack's) before the environment",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="log requests and retries to standard error"
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from",
        dest="files",
        action=_From,
        default=[],
        metavar="FILE",
        help="read a file (- is standard input) instead of the API: what `pulumi preview --json`, "
        "`pulumi up --json` or `pulumi stack output --json` prints, or the API's JSON; may be "
        "repeated, for several stacks",
    )
    _add_snapshots(parser)
    parser.add_argument(
        "--prefix", help="the prefix of the stack outputs to read, if there are several"
    )


def _add_fixed_lines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fixed-line",
        dest="fixed_lines",
        metavar="GLOB",
        action="append",
        default=[],
        help="do not extrapolate lines whose description matches this glob; may be repeated",
    )


def _add_snapshots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--snapshot",
        dest="files",
        action=_Snapshot,
        default=[],
        metavar="FILE",
        help="read a file that `cf-invoice snapshot` wrote, or a folder of them, instead of the "
        "API, for rules with accountIds too unless its account is left out; may be repeated",
    )
    parser.add_argument(
        "--max-age",
        type=_hours,
        metavar="HOURS",
        help="refuse a snapshot that is older than this, and figures of unknown age",
    )
    parser.add_argument(
        "--name", action=_Name, help="the name in the report for the preceding file"
    )


def _add_at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        type=instant,
        metavar="TIME",
        help="the time of the report, in ISO 8601 (default: now)",
    )


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="the output format (default: text)"
    )
    _add_rules(parser)
    _add_fixed_lines(parser)
    _add_output(parser, _file_to_write)


def _add_output(parser: argparse.ArgumentParser, check: Callable[[str], str]) -> None:
    parser.add_argument(
        "--output", type=check, metavar="FILE", help="write the report to this file"
    )
    parser.add_argument(
        "--html",
        type=check,
        metavar="FILE",
        help="also write the report as HTML to this file",
    )
    parser.add_argument(
        "--github",
        action="store_true",
        help="in GitHub Actions, also append to the job summary and set step outputs",
    )


def output_in(given: list[str]) -> argparse.Namespace:
    """Return where a report is to be written, as far as arguments that are wrong tell that."""
    made = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    made.add_argument("--format", nargs="?", default="text")
    # What is wrong with --html does not keep --output from being known.
    _add_output(made, str)
    try:
        options = made.parse_known_args(given)[0]
        if options.output is not None:
            _file_to_write(options.output)
            # What is missing of Markdown alone leaves an older comment where it is.
            options.format = options.format if options.format in FORMATS else "markdown"
    except (argparse.ArgumentError, argparse.ArgumentTypeError):
        return argparse.Namespace(format="text", output=None, github="--github" in given)
    return options


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--baseline",
        dest="baselines",
        action="append",
        default=[],
        metavar="FILE",
        help="compare with this file, which can be anything that --from takes; a preview has its "
        "own baseline; may be repeated",
    )
    parser.add_argument(
        "--rules",
        metavar="FILE",
        instead="put all rules into one file",
        help="check the rules in this file, as the policy pack does",
    )
    parser.add_argument(
        "--policy-pack-config",
        metavar="FILE",
        help="apply this policy config on top of --rules, as `pulumi preview` does",
    )
    parser.add_argument(
        "--budget",
        metavar="AMOUNT",
        help="check the rule max-amount-due with this limit: '250 USD'",
    )
    parser.add_argument(
        "--budget-projected",
        metavar="AMOUNT",
        help="check the rule max-projected-amount-due, a straight line, with this limit",
    )
    parser.add_argument(
        "--budget-line",
        type=_line_budget,
        action="append",
        default=[],
        metavar="GLOB=AMOUNT",
        help="check the rule max-line-amount with this limit: 'openai/*=100 USD'; may be repeated",
    )


def _add_notify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on",
        type=_kinds,
        metavar="KIND,…",
        instead="separate the kinds by commas",
        default=("over", "unknown"),
        help="what to report: over, unknown, advisory, outlook (default: over,unknown)",
    )
    parser.add_argument(
        "--state",
        type=_file_to_write,
        metavar="FILE",
        help="record in this file what was sent, and send only what has changed since",
    )
    parser.add_argument(
        "--addresses",
        metavar="FILE",
        help="read the addresses from this file (default: CF_INVOICE_NOTIFY)",
    )
    parser.add_argument(
        "--link", metavar="URL", help="end the message with this URL (default: the job's)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only print the message, and notify nobody"
    )


def _add_comment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the report in Markdown (- is standard input)")
    parser.add_argument("--tag", help="a tag that keeps several reports on one request apart")
    parser.add_argument("--forge", choices=FORGES, help="where the request is")
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="the repository, or GitLab's project ID"
    )
    parser.add_argument(
        "--request", type=_number, metavar="NUMBER", help="the number of the request"
    )
    parser.add_argument(
        "--api-url",
        metavar="URL",
        help="GitHub's GraphQL endpoint, or the root of GitLab's or Gitea's API",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only print what would be written, and where; needs no network and no token",
    )


class GivenFile(NamedTuple):
    """A file (or a folder of snapshots) to read, and the name that the user gave it."""

    path: str
    is_snapshot: bool
    name: str | None = None


class _From(argparse.Action):
    is_snapshot = False

    def __call__(self, parser: Any, options: Any, value: Any, option: Any = None) -> None:
        # A new list: the default is shared.
        options.files = [*options.files, GivenFile(value, self.is_snapshot)]


class _Snapshot(_From):
    is_snapshot = True


class _Name(argparse.Action):
    def __call__(self, parser: Any, options: Any, value: Any, option: Any = None) -> None:
        if not options.files or options.files[-1].name is not None:
            parser.error("argument --name: there is no file before it to name")
        options.files = [*options.files[:-1], options.files[-1]._replace(name=value)]


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(version("pulumi-cf-invoice"))
        except PackageNotFoundError:
            # As the GitHub Action has it, from its repository.
            print("unknown: the package is not installed, but a copy of its files")
        sys.exit(0)


def _stack(written: str) -> str:
    if not written.strip():
        raise argparse.ArgumentTypeError("the name is empty: leave it out for the selected stack")
    return written


def _file_to_write(written: str) -> str:
    if written.strip() in ("", "-"):
        raise argparse.ArgumentTypeError(f"{written!r} is not the name of a file")
    from pulumi_cf_invoice.billing.files import is_open_file

    if is_open_file(written):
        raise argparse.ArgumentTypeError(
            f"{written!r} is a file that is open already, and would be replaced: leave the option "
            "out, or name another file"
        )
    return written


def _number(written: str) -> int:
    from pulumi_cf_invoice.comments.forge import number_of

    number = number_of(written)
    if number is None:
        raise argparse.ArgumentTypeError(f"{written!r} is not the number of a request")
    return number


def _kinds(written: str) -> tuple[str, ...]:
    from pulumi_cf_invoice.report.notice import KINDS

    kinds = tuple(kind.strip() for kind in written.split(","))
    for kind in kinds:
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise argparse.ArgumentTypeError(f"there is no {kind!r}; known: {known}")
    return kinds


def _hours(written: str) -> "timedelta":
    from datetime import timedelta

    try:
        hours = timedelta(hours=float(written))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{written!r} is not a number of hours") from None
    if hours <= timedelta(0):
        raise argparse.ArgumentTypeError(f"{written!r} is not above zero")
    return hours


def _line_budget(written: str) -> tuple[str, str]:
    glob, equals, amount = written.rpartition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{written!r} has no '=': write 'openai/*=100 USD'")
    return glob, amount
