"""The package as users have it: installed in an environment without this repository in sight."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.engine.harness import CommandLine, command_line, copy_example, lend_environment, run
from tests.factories import ACCOUNT
from tests.shared import shared

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pulumi_cf_invoice"
WANTED = "install pulumi-cf-invoice with its extra {!r}, from where you have the package\n"


@dataclass
class Environment:
    """A virtual environment in which commands see no other one, and no variables of the tests."""

    directory: Path
    offline: dict[str, str]

    def create(self) -> None:
        """Make the environment, with nothing in it."""
        run([sys.executable, "-m", "venv", "--without-pip", str(self.directory)], ROOT)

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    def pip(self, *arguments: str) -> str:
        """Run pip of the tests' environment for this one."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), *arguments]
        return run(pip, self.directory, {**os.environ, **self.offline})

    def command(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of this environment."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.directory,
            env={"PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def wheel(archives: Path) -> Path:
    [found] = archives.glob("*.whl")
    return found


def environment_with(
    requirement: str, name: str, factory: pytest.TempPathFactory, offline: dict[str, str]
) -> Environment:
    """Return the environment of a *name* for this session, in which *requirement* is installed."""

    def install(directory: Path) -> None:
        made = Environment(directory, offline)
        made.create()
        made.pip("install", "--quiet", requirement)

    return Environment(shared(factory, name, install), offline)


@pytest.fixture(scope="session")
def without_extras(
    tmp_path_factory: pytest.TempPathFactory, archives: Path, offline: dict[str, str]
) -> Environment:
    """An environment with the wheel and its dependencies, and nothing else."""
    return environment_with(str(wheel(archives)), "without-extras", tmp_path_factory, offline)


@pytest.fixture(scope="session")
def installed(
    tmp_path_factory: pytest.TempPathFactory, archives: Path, offline: dict[str, str]
) -> Environment:
    """An environment with the wheel and its extras."""
    requirement = f"{wheel(archives)}[policy,report,sandbox]"
    return environment_with(requirement, "installed", tmp_path_factory, offline)


@pytest.fixture(scope="module")
def served(installed: Environment) -> Iterator[dict[str, str]]:
    """The variables that the installed sandbox prints, while it runs."""
    command = [str(installed.bin / "cf-invoice"), "sandbox", "--port", "0"]
    command += ["--now", "2026-09-15T12:00:00Z"]
    with subprocess.Popen(
        command, cwd=installed.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        printed = process.stdout.readline() + process.stdout.readline()
        variables = dict(re.findall("^export (.*)=(.*)$", printed, flags=re.M))
        yield {**variables, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}
        process.terminate()


@pytest.fixture
def project(tmp_path: Path, installed: Environment, served: dict[str, str]) -> CommandLine:
    """A shell in a copy of the quickstart that runs in the installed environment."""
    copy_example(ROOT / "examples" / "quickstart", tmp_path / "project")
    (tmp_path / "project" / "venv").symlink_to(installed.directory)
    shell = command_line(tmp_path, tmp_path / "project")
    shell.environment |= served
    shell.environment["PATH"] = f"{installed.bin}:{shell.environment['PATH']}"
    return shell


def files(directory: Path) -> set[str]:
    return {
        str(file.relative_to(directory.parent))
        for file in directory.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_wheel_and_sdist_hold_the_whole_package(archives: Path) -> None:
    with zipfile.ZipFile(wheel(archives)) as archive:
        assert {n for n in archive.namelist() if ".dist-info/" not in n} == files(PACKAGE)
    [sdist] = archives.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files(PACKAGE) <= names


def test_an_index_would_take_both_archives(archives: Path) -> None:
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, archives.iterdir())], ROOT)


def test_without_a_repository_the_readme_of_an_index_has_no_picture_and_no_relative_link(
    archives: Path,
) -> None:
    with zipfile.ZipFile(wheel(archives)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        shown = archive.read(name).decode()
    assert "# pulumi-cf-invoice\n" in shown
    assert "](" not in shown
    assert "\n!" not in shown
    assert ":\n\n#" not in shown


@pytest.mark.parametrize("form", ["wheel", "sdist", "clone", "editable"])
def test_pulumi_does_not_take_it_for_the_sdk_of_a_plugin_in_whatever_form_it_is_installed(
    form: str, archives: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    """Pulumi's Python host looks for this file where pip says that the distribution is."""
    sources = {
        "wheel": [str(wheel(archives))],
        "sdist": [str(next(archives.glob("*.tar.gz")))],
        "clone": [str(ROOT)],
        "editable": ["--editable", str(ROOT)],
    }
    environment = Environment(tmp_path / "venv", offline)
    environment.create()
    environment.pip("install", "--quiet", "--no-deps", *sources[form])
    [listed] = json.loads(environment.pip("list", "--verbose", "--format", "json"))
    file = Path(listed["location"]) / "pulumi_cf_invoice" / "pulumi-plugin.json"
    assert json.loads(file.read_text()) == {"resource": False}
    done = environment.command(
        "python", "-I", "-c", "import pulumi_cf_invoice as p; print(p.__file__)"
    )
    assert Path(done.stdout.strip()).is_relative_to(PACKAGE) == (form == "editable"), done.stderr


def test_what_it_depends_on_is_consistent(
    without_extras: Environment, installed: Environment
) -> None:
    without_extras.pip("check")
    installed.pip("check")


@pytest.mark.parametrize(
    ("command", "code", "line"),
    [
        (["cf-invoice", "show"], 2, "cf-invoice: rich is missing: " + WANTED.format("report")),
        (
            ["cf-invoice", "completion", "bash"],
            2,
            "cf-invoice: shtab is missing: " + WANTED.format("report"),
        ),
        (
            ["cf-invoice", "sandbox"],
            2,
            "the sandbox needs starlette: " + WANTED.format("sandbox"),
        ),
        (
            ["python", "-I", "-m", "pulumi_cf_invoice.sandbox"],
            2,
            "the sandbox needs starlette: " + WANTED.format("sandbox"),
        ),
        (
            ["python", "-I", "-c", "import pulumi_cf_invoice.policy"],
            1,
            "error: pulumi_policy is missing: " + WANTED.format("policy"),
        ),
    ],
)
def test_without_its_extra_each_part_says_what_to_install(
    without_extras: Environment, command: list[str], code: int, line: str
) -> None:
    done = without_extras.command(*command)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line)


WHERE = """
import sys
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Provider(ResourceProvider):
    def create(self, props):
        return CreateResult("where", {"prefix": sys.prefix})

class Where(Resource):
    prefix: pulumi.Output[str]
    def __init__(self):
        super().__init__(Provider(), "where", {"prefix": None})

pulumi.export("program", sys.prefix)
pulumi.export("provider", Where().prefix)
"""


def test_a_stack_is_deployed_and_reported_on(project: CommandLine, installed: Environment) -> None:
    program = project.directory / "__main__.py"
    program.write_text(program.read_text() + WHERE)
    preview = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json > preview.json"
    assert project.shell(f"pulumi stack init dev && {preview}"), project.printed
    for form in ("text", "markdown", "html", "json"):
        report = f"cf-invoice report --from preview.json --budget '250 USD' --format {form}"
        assert project.shell(report), project.printed
    assert "Within budget: $188.46" in project.printed
    assert "<!doctype html>" in project.printed
    assert project.shell("cf-invoice show && cf-invoice doctor"), project.printed
    assert "openai/gpt-5.5" in project.printed
    assert project.shell("pulumi up --yes --skip-preview"), project.printed
    outputs = json.loads(run(["pulumi", "stack", "output", "--json"], *where(project)))
    assert outputs["amount_due_text"] == "$188.46"
    for process in ("program", "provider"):
        assert Path(outputs[process]).resolve() == installed.directory.resolve()


def test_a_pack_of_the_environment_gates_the_stack(
    project: CommandLine, installed: Environment
) -> None:
    pack = copy_example(ROOT / "examples" / "policy-pack", project.directory / "policy-pack")
    lend_environment(pack, installed.directory)
    assert project.shell("pulumi stack init dev"), project.printed
    assert not project.shell("pulumi preview --policy-pack policy-pack")
    assert "over the limit of $150.00 by $38.46" in project.printed


def test_a_pack_without_the_extra_is_one_line(
    project: CommandLine, without_extras: Environment
) -> None:
    pack = copy_example(ROOT / "examples" / "policy-pack", project.directory / "policy-pack")
    lend_environment(pack, without_extras.directory)
    assert project.shell("pulumi stack init dev"), project.printed
    assert not project.shell("pulumi preview --policy-pack policy-pack")
    assert "error: pulumi_policy is missing: " + WANTED.format("policy") in project.printed
    assert "Traceback" not in project.printed


def test_the_plugin_has_its_schema_and_serves_a_program_in_another_language(
    project: CommandLine, installed: Environment, archives: Path
) -> None:
    plugin = installed.bin / "pulumi-resource-cf-invoice"
    schema = run(["pulumi", "package", "get-schema", str(plugin)], *where(project))
    with zipfile.ZipFile(wheel(archives)) as archive:
        assert schema == archive.read("pulumi_cf_invoice/schema.json").decode()
    content = yaml.safe_load(
        (ROOT / "examples" / "yaml" / "quickstart" / "Pulumi.yaml").read_text()
    )
    # Without a path, Pulumi takes the plugin from PATH.
    assert "packages" not in content
    (project.directory / "Pulumi.yaml").write_text(yaml.dump(content))
    assert project.shell("pulumi stack init dev && pulumi preview"), project.printed
    assert f"pulumi-resource-cf-invoice from $PATH at {plugin}" in project.printed
    assert 'amountDueText: "$188.46"' in project.printed


def where(project: CommandLine) -> tuple[Path, dict[str, str]]:
    return project.directory, project.environment
