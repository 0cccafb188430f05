"""
Write the tables in the docs that are generated from the code: ``python -m tools.tables``.

With ``--check`` it writes nothing, and fails if one is stale.

In its page, each table is between two comments: ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.credentials import PARTS
from pulumi_cf_invoice.billing.invoice import AMOUNTS, FIGURES
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.cli.arguments import parser
from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.rules.file import settings_of
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS
from pulumi_cf_invoice.state import PLUGIN_TYPE, camel_case, snake_case
from tools import generated

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "pulumi_cf_invoice"
_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->\n)", flags=re.S)

Spec = Mapping[str, Any]


def outputs() -> str:
    """Return a row for each output of the resource."""
    return _properties("output", schema.package()["resources"][PLUGIN_TYPE])


def nested_outputs() -> str:
    """Return a section for each type of the objects in outputs, with a row for each property."""
    package = schema.package()
    return _types(package, package["resources"][PLUGIN_TYPE])


def functions() -> str:
    """Return a section for each function besides the invoice's, with its arguments and result."""
    package = schema.package()
    sections = []
    for token, read in schema.FUNCTIONS.items():
        if read.name == INVOICE_PREVIEW.name:
            continue
        sections += [
            f"### {snake_case(token.rpartition(':')[2])}\n\n{read.summary}\n",
            _function(package, token),
        ]
    return "\n".join(sections)


def forecast() -> str:
    """Return the arguments and the result of the forecast's function."""
    return _function(schema.package(), schema.FORECAST)


def forecast_benchmark() -> str:
    """Return what the benchmark measured of forecasts."""
    _, _, section = (ROOT / "benchmarks" / "RESULTS.md").read_text().partition("## Forecast\n\n")
    return section.partition("\n## ")[0]


def amounts() -> str:
    """Return a row for each amount, in the three forms in which the model has it."""
    rows = (
        [*(f"`{name}{form}`" for form in ("", "_decimal", "_text")), _meaning(_figure(name))]
        for name in AMOUNTS
    )
    return _table(["minor units", "major units, exact", "for people", "meaning"], rows)


def stack_outputs() -> str:
    """Return a row for each stack output that is not an amount."""
    others = [name for name in FIGURES if not name.startswith(AMOUNTS)]
    rows = ([f"`{name}`", _meaning(_figure(name))] for name in others)
    return _table(["stack output", "meaning"], rows)


def configuration() -> str:
    """Return a row for each setting, with its name in every source."""
    arguments = {"accountId": "account_id"} | {
        name: f"Credentials({part}=…)"
        for name, part in zip(settings.CREDENTIALS, PARTS, strict=True)
    }
    properties = schema.package()["provider"]["inputProperties"]
    keys = [source.values for source in settings.config_sources(lambda key: key)]
    rows = (
        [
            f"`{name}`",
            _meaning(properties[name]),
            f"`{arguments[name]}`" if name in arguments else "",
            ", then ".join(f"`{key[name]}`" for key in keys if key.get(name)),
            f"`{variable}`",
        ]
        for name, variable in settings.VARIABLES.items()
    )
    return _table(["setting", "meaning", "argument", "stack config", "environment"], rows)


def rules() -> str:
    """Return a row for each kind of rule."""
    rows = (
        [
            f"`{kind.name}`",
            ", ".join(f"`{name}`" for name in settings_of(kind)),
            _one_paragraph(kind.__doc__ or ""),
        ]
        for kind in KINDS.values()
    )
    return _table(["rule", "settings", "what it asks for"], rows)


def rule_settings() -> str:
    """Return a row for each setting of the rules, with the rules that have it."""
    meanings: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS.values():
        for name, setting in settings_of(kind).items():
            meanings.setdefault((name, setting.description), []).append(kind.name)
    rows = (
        [f"`{name}`", meaning, ", ".join(f"`{kind}`" for kind in kinds)]
        for (name, meaning), kinds in meanings.items()
    )
    return _table(["setting", "meaning", "rules"], rows)


def commands() -> str:
    """Return a row for each command of ``cf-invoice``."""
    rows = ([f"`cf-invoice {name}`", purpose] for name, purpose, _ in commands_with_parsers())
    return _table(["command", "what it does"], rows)


def options() -> str:
    """Return a section for each command that has arguments, with its example."""
    return "\n".join(
        f"### cf-invoice {name}\n\n"
        f"{_table(['argument', 'meaning'], map(_argument, command._actions[1:]))}\n"
        f"```\n{command.epilog}\n```\n"
        for name, _, command in commands_with_parsers()
        if command.epilog
    )


def action_inputs() -> str:
    """Return a row for each input of the GitHub Action."""
    return _of_action("input", "inputs")


def action_outputs() -> str:
    """Return a row for each output of the GitHub Action."""
    return _of_action("output", "outputs")


def scenarios() -> str:
    """Return a row for each scenario of the sandbox."""
    rows = ([f"`{name}`", scenario.description] for name, scenario in SCENARIOS.items())
    return _table(["scenario", "what it answers with"], rows)


def faults() -> str:
    """Return a row for each fault of the sandbox."""
    rows = ([f"`{name}`", fault.description] for name, fault in FAULTS.items())
    return _table(["fault", "what goes wrong"], rows)


def modules() -> str:
    """Return a section for each room of the package, with a row for each module."""
    rooms: dict[Path, list[list[str]]] = {}
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (len(path.parts), path)):
        docstring = re.match(r'"""(.*?)"""', path.read_text(), flags=re.S)
        first, _, _ = (docstring[1] if docstring else "").strip().partition("\n\n")
        meaning = _one_paragraph(first).replace("``", "`").rstrip(".").replace("|", "\\|")
        rooms.setdefault(path.parent, []).append([f"`{path.name}`", meaning])
    return "\n".join(
        f"### {'At the top' if room == PACKAGE else f'{room.name}/'}\n\n"
        f"{_table(['module', 'what it is'], rows)}"
        for room, rows in rooms.items()
    )


TABLES: Mapping[str, Callable[[], str]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        outputs,
        nested_outputs,
        functions,
        forecast,
        forecast_benchmark,
        amounts,
        stack_outputs,
        configuration,
        rules,
        rule_settings,
        commands,
        options,
        action_inputs,
        action_outputs,
        scenarios,
        faults,
        modules,
    )
}


def updated(page: str) -> str:
    """Return the text of a page with its tables as the code has them now."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", page)


def main() -> int:
    """Write the tables into the pages, and return the exit code."""
    pages = {path: updated(path.read_text(encoding="utf-8")) for path in sorted(DOCS.glob("*.md"))}
    return generated.write(pages, "make docs", generated.is_check(sys.argv[1:]))


def _types(package: Spec, spec: Spec) -> str:
    """Return a section for each type of the objects in the properties of *spec*."""
    return "\n".join(
        f"### {token.rpartition(':')[2]}\n\n{_properties('property', package['types'][token])}"
        for token in dict.fromkeys(_tokens(package, spec))
    )


def _tokens(package: Spec, spec: Spec) -> Iterator[str]:
    for inner in spec["properties"].values():
        reference = inner.get("items", inner).get("$ref")
        if reference:
            token = reference.removeprefix("#/types/")
            yield token
            yield from _tokens(package, package["types"][token])


def _function(package: Spec, token: str) -> str:
    """Return the arguments of a function besides the account, and its result with its types."""
    spec = package["functions"][token]
    arguments = {
        name: argument
        for name, argument in spec["inputs"]["properties"].items()
        if name != "accountId"
    }
    tables = [
        *([_properties("argument", {"properties": arguments})] if arguments else []),
        _properties("result", spec["outputs"]),
        _types(package, spec["outputs"]),
    ]
    return "\n".join(table for table in tables if table)


def _properties(header: str, spec: Spec) -> str:
    rows = (
        [f"`{snake_case(name)}`", _type(field), _meaning(field)]
        for name, field in spec["properties"].items()
    )
    return _table([header, "type", "meaning"], rows)


def _type(spec: Spec) -> str:
    if "items" in spec:
        return f"list of {_type(spec['items'])}"
    if "$ref" in spec:
        name = spec["$ref"].rpartition(":")[2]
        return f"[{name}](#{name.lower()})"
    return str(spec["type"])


def _figure(name: str) -> Spec:
    function = schema.package()["functions"]["cf-invoice:index:getInvoicePreview"]
    found: Spec = function["outputs"]["properties"][camel_case(name)]
    return found


def _meaning(spec: Spec) -> str:
    """Return what a property means, without the places that it comes from."""
    meaning = re.split(" (?:Environment|API): ", spec["description"])[0]
    return re.sub("`([a-z]\\w*)`", lambda name: f"`{snake_case(name[1])}`", meaning)


def commands_with_parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield each command with its purpose and its parser."""
    # argparse has no public way to list what a parser takes.
    [of_commands] = [
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    purposes = {choice.dest: choice.help or "" for choice in of_commands._choices_actions}
    for name, command in of_commands.choices.items():
        yield name, purposes[name], command


def _argument(action: argparse.Action) -> list[str]:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if action.choices:
        value = "{" + ",".join(action.choices) + "}"
    if action.nargs == "?":
        value = f"[{value}]"
    return [f"`{' '.join([*action.option_strings, str(value)]).strip()}`", action.help or ""]


def _of_action(header: str, part: str) -> str:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    rows = (
        [f"`{name}`", _one_paragraph(described["description"])]
        for name, described in action[part].items()
    )
    return _table([header, "meaning"], rows)


def _one_paragraph(docstring: str) -> str:
    return " ".join(docstring.split())


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(header)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


if __name__ == "__main__":
    sys.exit(main())
