"""The YAML example, run by Pulumi's own command line."""

import yaml

from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeCommandLine
from tests.engine.languages.harness import EXAMPLES, ROOT

EXAMPLE = EXAMPLES / "yaml" / "quickstart"


def test_the_example_shows_its_figures_and_what_moved(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    project = make_command_line(EXAMPLE)
    pulumi_yaml = project.directory / "Pulumi.yaml"
    pulumi_yaml.write_text(pulumi_yaml.read_text().replace("/path/to/pulumi-cf-invoice", str(ROOT)))
    assert project.shell("pulumi preview"), project.printed
    assert 'amountDueText: "$188.46"' in project.printed
    assert project.shell("pulumi up --yes"), project.printed
    sandbox.amount_due = 20001
    assert project.shell("pulumi preview"), project.printed
    assert "amountDue    : 18846 => 20001" in project.printed


def test_the_example_keeps_to_the_schema() -> None:
    program = yaml.safe_load((EXAMPLE / "Pulumi.yaml").read_text())
    package = schema.package()
    for resource in program["resources"].values():
        name = resource["type"].replace(":", ":index:")
        assert set(resource.get("properties", {})) <= set(
            package["resources"][name]["inputProperties"]
        )
    call = program["variables"]["invoice"]["fn::invoke"]
    function = package["functions"][call["function"].replace(":", ":index:")]
    assert set(call["arguments"]) <= set(function["inputs"]["properties"])
    for written in program["outputs"].values():
        source, _, name = written.strip("${}").partition(".")
        outputs = (
            function["outputs"]
            if source == "invoice"
            else package["resources"]["cf-invoice:index:InvoicePreview"]
        )
        assert name in outputs["properties"]
