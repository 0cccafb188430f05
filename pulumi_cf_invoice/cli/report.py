"""``cf-invoice report``: the invoice checked against rules, in any of the formats."""

import argparse
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import without_secrets
from pulumi_cf_invoice.billing.errors import BillingError, RuleError
from pulumi_cf_invoice.billing.files import mode_of
from pulumi_cf_invoice.billing.suggestions import errors_under
from pulumi_cf_invoice.cli import COULD_NOT_TELL, inputs
from pulumi_cf_invoice.cli.accounts import known_secrets
from pulumi_cf_invoice.cli.arguments import output_in
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.output import OverwritingError, refuse_overwriting, write_output
from pulumi_cf_invoice.report import markdown
from pulumi_cf_invoice.report.found import compared_with
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.packs import policy_results
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import (
    DeclaredRule,
    configured,
    parse_rules,
    read_config,
    read_rules,
)

OVER_BUDGET = 1
_MODULES = {"text": "text", "markdown": "markdown", "html": "html", "json": "json_report"}


def run(options: argparse.Namespace) -> int:
    """Write the report, and return the exit code for its verdict."""
    try:
        refuse_overwriting(options)
        report = make(options)
        if options.html is not None:
            _write(report, "html", options.html)
        _write(report, options.format, options.output)
        # Last: what fails before must not leave a verdict without its report.
        if options.github:
            _tell_github(markdown.render(report), _outputs(report))
    except Exception as error:
        _write_failure(error, options)
        raise
    return exit_code(report)


def _write_failure(error: Exception, options: argparse.Namespace) -> None:
    """
    Write why there is no report: posted in its place, it replaces an older comment.

    Where ``--output`` may name a file that is read, or is in another format, it replaces nothing
    but a report in Markdown.
    """
    is_ours = isinstance(error, BillingError)
    reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
    failure = markdown.render_failure(without_secrets(reason, os.environ))
    try:
        if _is_for_failures(options, error):
            write_output(failure, options.output)
    finally:
        if options.github:
            _tell_github(failure, {"verdict": "unknown"})


def write_usage_failure(problem: str, given: list[str]) -> None:
    """Write why there is no report where the arguments *given* are wrong, which has been said."""
    with suppress(CommandError):
        # What is wrong can be that --output names the rules.
        _write_failure(OverwritingError(problem), output_in(given))


def _is_for_failures(options: argparse.Namespace, error: Exception) -> bool:
    """Return whether ``--output`` is for Markdown and no file that is read, as far as is known."""
    is_markdown = bool(options.format == "markdown")
    if options.output is None or (is_markdown and not isinstance(error, OverwritingError)):
        return is_markdown
    return _is_report(Path(options.output), or_nothing=is_markdown)


def _is_report(file: Path, *, or_nothing: bool) -> bool:
    """Return whether *file* is a Markdown report, or also if it is nothing yet."""
    if not stat.S_ISREG(mode_of(file)):
        # Among snapshots, it would be taken for one.
        return or_nothing and ".json" not in file.name.lower()
    try:
        with file.open("rb") as opened:
            begin = opened.read(len(markdown.MARKER))
    except OSError:
        return False
    return begin == markdown.MARKER.encode() or (or_nothing and not begin)


def exit_code(report: Report) -> int:
    """Return the exit code for the verdict of *report*."""
    over = OVER_BUDGET if report.verdict == "over" else 0
    return over if report.is_known else COULD_NOT_TELL


def make(options: argparse.Namespace) -> Report:
    """Return the report that *options* ask for. Raises `BillingError`."""
    rules, at = _rules(options), options.at or inputs.now()
    reads = any("accountIds" in rule.settings for rule in rules)
    if options.files and options.stack is not None and not reads:
        raise CommandError(
            "--stack has no effect with --from or --snapshot, unless --rules has accounts to read"
        )
    before = inputs.config(options)
    found, missing, left_out, violations = inputs.accounts(options, before, at)
    are_absent = len(missing) > 1 and any(lacking.is_absent for lacking in missing)
    if missing and not (found or reads or are_absent or violations):
        # No rules are left to judge, and there is one reason for all.
        raise missing[0].problem
    snapshots = [invoice.snapshot for invoice in found if invoice.snapshot]
    snapshots += [lacking.snapshot for lacking in missing if not lacking.is_absent]
    reader = AccountReader(os.environ, before, snapshots)
    secrets = known_secrets(before, options)
    baselines = [
        each for file in options.baselines for each in inputs.in_file(file, options, secrets)
    ]
    compared = compared_with(found, baselines)
    needed = [lacking for lacking in missing if not lacking.is_unused]
    judged = [*judge(rules, compared, at, reader, needed), *policy_results(violations, compared)]
    if options.fixed_lines and not snapshots:
        raise CommandError("--fixed-line has no effect without usage: give a --snapshot")
    return make_report(
        compared,
        at=at,
        rules=judged,
        missing=missing,
        left_out=left_out,
        fixed_lines=options.fixed_lines,
    )


def _rules(options: argparse.Namespace) -> list[DeclaredRule]:
    if options.policy_pack_config is not None and options.rules is None:
        raise CommandError("--policy-pack-config has no effect without --rules")
    rules = [] if options.rules is None else read_rules(options.rules)
    if options.policy_pack_config is not None:
        config = read_config(options.policy_pack_config)
        with errors_under(one_line(options.policy_pack_config), RuleError):
            rules = configured(rules, config)
    names = {rule.name for rule in rules}
    for rule in _of_flags(options):
        if rule.name in names:
            raise CommandError(
                f"{rule.source} is a second rule '{rule.name}': leave it out, or give the one in "
                f'{one_line(options.rules)} another name, with "rule": "{rule.name}" in it'
            )
        rules.append(rule)
    return configured(rules, {})


def _of_flags(options: argparse.Namespace) -> Iterator[DeclaredRule]:
    by_line = dict(options.budget_line)
    if len(by_line) < len(options.budget_line):
        raise CommandError("--budget-line is given twice for one glob")
    for flag, name, settings in (
        ("--budget", "max-amount-due", {"limit": options.budget}),
        ("--budget-projected", "max-projected-amount-due", {"limit": options.budget_projected}),
        ("--budget-line", "max-line-amount", {"limits": by_line or None}),
    ):
        if None not in settings.values():
            with errors_under(flag, RuleError):
                [rule] = parse_rules({"rules": {name: settings}})
                yield replace(rule, source=flag)


def _write(report: Report, form: str, output: str | None) -> None:
    if form == "text" and output is None:
        from pulumi_cf_invoice.report import text

        text.write(report, sys.stdout)
        return
    module = import_module(f"pulumi_cf_invoice.report.{_MODULES[form]}")
    write_output(module.parts(report) if form == "json" else module.render(report), output)


def _tell_github(summary: str, outputs: Mapping[str, object]) -> None:
    for variable, content in (
        ("GITHUB_STEP_SUMMARY", summary),
        ("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items())),
    ):
        if variable not in os.environ:
            raise CommandError(f"--github is for a step of GitHub Actions: {variable} is not set")
        try:
            with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
                file.write(content)
        except OSError as error:
            raise CommandError(f"cannot write {os.environ[variable]}: {error.strerror}") from None


def _outputs(report: Report) -> dict[str, object]:
    """Return the outputs of the step; an output that differs between invoices is empty."""
    totals, projected = report.totals, [invoice.projected_amount_due for invoice in report.invoices]
    known = [amount for amount in projected if amount is not None]
    summed = len(totals) == 1 and len(known) == len(projected)
    periods = {invoice.invoice.period_text for invoice in report.invoices}
    outlooks = [invoice.outlook.text for invoice in report.invoices if invoice.outlook]
    return {
        "verdict": report.verdict,
        # It is shown alone.
        "headline": f"{report.headline} {report.origin}".rstrip(),
        "outlook": "; ".join(outlooks),
        "amount-due": totals[0][0] if len(totals) == 1 else "",
        "amount-due-text": " and ".join(report.total_texts),
        "projected-amount-due": money.number(money.total(known)) if summed else "",
        "currency": totals[0][1] if len(totals) == 1 else "",
        "period": periods.pop() if len(periods) == 1 else "",
    }
