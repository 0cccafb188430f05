"""A release of a copy of this project that says who publishes it, up to the uploads."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.harness import AUTHOR, command_line, copy_files, run
from tests.shared import shared
from tools.environment import installing
from tools.languages.__main__ import sdk_generator
from tools.toolchain import same_versions

ROOT = Path(__file__).parents[2]
LANGUAGES = ROOT / ".languages"
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
VERSION = "0.1.0"
TAG = f"v{VERSION}"
REPOSITORY = "Octo-Org/pulumi-cf-invoice"
URL = f"https://github.com/{REPOSITORY}"
SERVER = f"github://api.github.com/{REPOSITORY}"
NODE_SDK = "@octo-org/cf-invoice"
GO_SDK = f"github.com/{REPOSITORY}/sdk/go"
SYSTEMS = [f"{name}-{cpu}" for name in ("darwin", "linux", "windows") for cpu in ("amd64", "arm64")]


def step(job: str, name: str) -> str:
    """Return the script of a step of the release's workflow."""
    steps = WORKFLOW["jobs"][job]["steps"]
    [script] = [step["run"] for step in steps if step.get("name") == name]
    return str(script)


def shell(script: str, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script as a runner does, with the tag that started the workflow."""
    given = {"GITHUB_REF_NAME": TAG, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_ACTOR": "octocat"}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=directory,
        env={**installing(), "npm_config_prefer_offline": "true", **given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def say(project: Path, *, author: str = "Octo Org", repository: str = URL) -> None:
    """Write to pyproject.toml who publishes the project, and where."""
    file = project / "pyproject.toml"
    text = re.sub("^(# )?(authors|urls.Repository) = .*\n", "", file.read_text(), flags=re.M)
    metadata = f"authors = [{{ name = {json.dumps(author)} }}]\n" if author else ""
    metadata += f"urls.Repository = {json.dumps(repository)}\n" if repository else ""
    file.write_text(text.replace("[project]\n", f"[project]\n{metadata}"))


def commit(project: Path) -> None:
    """Commit all files, and tag the commit for a release."""
    run(["git", "add", "."], project)
    run([*AUTHOR, "commit", "--quiet", "--message", "Release"], project)
    run(["git", "tag", "--force", TAG], project)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of this project as committed for a release, with an `origin`."""
    return shared(tmp_path_factory, "release", commit_project) / "project"


def commit_project(directory: Path) -> None:
    made, origin = directory / "project", directory / "origin"
    copy_files(made)
    say(made)
    changelog = made / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + f"\n## {VERSION}\n\nThe first one.\n\n## 0.0.1\n")
    run(["git", "init", "--quiet", "--bare", str(origin)], made)
    run(["git", "init", "--quiet"], made)
    run(["git", "add", "."], made)
    run([sys.executable, "-m", "tools.schema"], made)
    commit(made)
    # Tags that say nothing of the version: the action's, another commit's, and another form.
    for other in ("v1", "v0.1.0-rc.1", "v9", "sdk/go/v9.9.9"):
        run(["git", "tag", other], made)
    run(["git", "remote", "add", "origin", str(origin)], made)


@pytest.fixture(scope="session")
def dist(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the release of the project uploads, in a clone of it."""

    def build(directory: Path) -> None:
        run(["git", "clone", "--quiet", str(project), str(directory)], project)
        origin = run(["git", "remote", "get-url", "origin"], project).strip()
        run(["git", "remote", "set-url", "origin", origin], directory)
        built = shell(step("build", "Build"), directory)
        assert built.returncode == 0, built.stderr

    return shared(tmp_path_factory, "release-built", build) / "dist"


@pytest.fixture
def unbuilt(project: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test can change."""
    return Path(shutil.copytree(project, tmp_path / "project"))


def only(directory: Path, pattern: str) -> Path:
    [found] = directory.glob(pattern)
    return found


def refusal(project: Path, tag: str = TAG, **environment: str) -> str:
    """Return why a release is refused, in one line, checking that nothing was built."""
    script = step("build", "Build")
    refused = shell(script, project, **{"GITHUB_REF_NAME": tag, **environment})
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr
    assert not (project / "dist").exists()
    assert refused.stderr.startswith("no release: ")
    assert refused.stderr.count("\n") == 1
    return refused.stderr.removeprefix("no release: ").strip()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (
            {"repository": ""},
            "pyproject.toml does not say where the project is published: set urls.Repository to "
            "https://github.com/OWNER/NAME",
        ),
        (
            {"repository": "https://example.com/octo-org/pulumi-cf-invoice"},
            "pyproject.toml does not say where the project is published: set urls.Repository to "
            "https://github.com/OWNER/NAME",
        ),
        ({"author": ""}, "pyproject.toml does not say who publishes the project: set authors"),
    ],
)
def test_a_project_that_does_not_say_who_publishes_it_and_where_is_not_released(
    unbuilt: Path, expected: dict[str, str], message: str
) -> None:
    say(unbuilt, **expected)
    commit(unbuilt)
    assert refusal(unbuilt) == message


def test_a_fork_does_not_release_under_the_names_of_the_project(project: Path) -> None:
    fork = "somebody/pulumi-cf-invoice"
    refused = shell(step("build", "Build"), project, GITHUB_REPOSITORY=fork)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"no release: this is the repository {fork}, and the project is published at {URL}\n"
    )


@pytest.mark.parametrize("tag", ["v9.9.9", VERSION, "v1"])
def test_a_tag_that_is_not_the_version_is_refused(unbuilt: Path, tag: str) -> None:
    assert refusal(unbuilt, tag) == f"the tag is {tag}, and the version of these files {VERSION}"


def test_files_that_are_not_those_of_the_tag_are_refused(unbuilt: Path) -> None:
    (unbuilt / "LICENSE").write_text("Another one.\n")
    reason = refusal(unbuilt)
    assert re.fullmatch(
        rf"the tag is {TAG}, and the version of these files 0\.2\.0\.dev0\+g\w{{7}}\.d\d{{8}}",
        reason,
    )


def test_a_schema_of_other_models_is_refused(unbuilt: Path) -> None:
    file = unbuilt / "pulumi_cf_invoice" / "schema.json"
    file.write_text(file.read_text().replace('"cf-invoice"', '"cf-invoices"'))
    commit(unbuilt)
    expected = "schema.json is not the schema of these models: run `make schema`"
    assert refusal(unbuilt) == expected


def test_a_version_that_the_changelog_does_not_have_is_refused(unbuilt: Path) -> None:
    (unbuilt / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- A change.\n")
    commit(unbuilt)
    assert refusal(unbuilt) == f"CHANGELOG.md has no section `## {VERSION}`"


def test_a_program_that_is_missing_is_named(unbuilt: Path, tmp_path: Path) -> None:
    for name in ("bash", "git", "go", "python"):
        launcher = tmp_path / "bin" / name
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(f'#!/bin/sh\nexec "{shutil.which(name)}" "$@"\n')
        launcher.chmod(0o755)
    expected = "npm is missing: install it, and run this again"
    assert refusal(unbuilt, PATH=str(tmp_path / "bin")) == expected


def test_what_was_built_before_is_not_mixed_with_a_release(dist: Path) -> None:
    again = shell(step("build", "Build"), dist.parent)
    assert again.returncode == 1
    assert again.stderr == (
        f"no release: {dist} is there already: remove it, or name another --output\n"
    )


def test_one_tag_makes_all_that_is_uploaded_and_nothing_else(dist: Path) -> None:
    files = {str(file.relative_to(dist)) for file in dist.rglob("*") if file.is_file()}
    go = {name for name in files if name.startswith("go/")}
    assert {"go/go.mod", "go/LICENSE", "go/cfinvoice/invoicePreview.go"} <= go
    assert files - go == {
        "notes.md",
        "schema.json",
        f"npm/octo-org-cf-invoice-{VERSION}.tgz",
        f"pypi/pulumi_cf_invoice-{VERSION}-py3-none-any.whl",
        f"pypi/pulumi_cf_invoice-{VERSION}.tar.gz",
        f"pypi-sdk/pulumi_cf_invoice_sdk-{VERSION}-py3-none-any.whl",
        *(f"plugin/pulumi-resource-cf-invoice-{TAG}-{system}.tar.gz" for system in SYSTEMS),
    }
    assert (dist / "notes.md").read_text() == "The first one.\n\n"


@pytest.mark.longest
def test_the_same_commit_makes_the_same_bytes(project: Path, dist: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    built = shell(f"python -m tools.release {TAG} --output '{again}'", project)
    assert built.returncode == 0, built.stderr
    assert contents(again) == contents(dist)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


def test_an_index_takes_the_packages_which_have_the_licence_and_the_repository(dist: Path) -> None:
    archives = [*(dist / "pypi").iterdir(), *(dist / "pypi-sdk").iterdir()]
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, archives)], ROOT)
    for wheel in (archive for archive in archives if archive.suffix == ".whl"):
        with zipfile.ZipFile(wheel) as archive:
            [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
            headers = Parser().parsestr(archive.read(metadata).decode())
            licence = archive.read(f"{Path(metadata).parent}/licenses/LICENSE").decode()
        assert headers["Version"] == VERSION
        assert f"Repository, {URL}" in headers.get_all("Project-URL", [])
        assert licence == (ROOT / "LICENSE").read_text()
    with tarfile.open(only(dist / "pypi", "*.tar.gz")) as sdist:
        assert f"pulumi_cf_invoice-{VERSION}/LICENSE" in sdist.getnames()


def test_on_an_index_the_readme_shows_its_pictures_and_its_links_lead_to_the_tag(
    dist: Path,
) -> None:
    with zipfile.ZipFile(only(dist / "pypi", "*.whl")) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        shown = archive.read(name).decode().partition("\n\n")[2]
    pictures, links = (re.findall(rf"{kind}\[[^]]*\]\((.*?)\)", shown) for kind in ("!", "(?<!!)"))
    files = f"https://raw.githubusercontent.com/{REPOSITORY}/{TAG}/"
    assert pictures == [f"{files}docs/preview.svg", f"{files}docs/comment.png"]
    assert f"{URL}/blob/{TAG}/docs/quickstart.md#without-a-token" in links
    for link in links:
        assert link.startswith(f"{URL}/blob/{TAG}/")
    for path in (link.partition(f"/{TAG}/")[2].partition("#")[0] for link in pictures + links):
        assert (ROOT / path).exists()
        shown = shown.replace(f"]({URL}/blob/{TAG}/{path}", f"]({path}")
    assert shown.replace(files, "").strip() == (ROOT / "README.md").read_text().strip()


def test_every_archive_of_the_plugin_has_the_same_content(dist: Path) -> None:
    archives = {file.read_bytes() for file in (dist / "plugin").iterdir()}
    assert len(archives) == 1
    assert gzip.decompress(archives.pop())


@pytest.mark.longest
def test_the_plugin_is_installed_from_its_archive_and_serves_a_program(
    dist: Path, tmp_path: Path, settled: dict[str, str], offline: dict[str, str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    program = yaml.safe_load(
        (ROOT / "examples" / "yaml" / "quickstart" / "Pulumi.yaml").read_text()
    )
    (project / "Pulumi.yaml").write_text(yaml.dump(program))
    shell = command_line(tmp_path, project)
    # Without this environment, and any other whose plugin would come first.
    path = shell.environment["PATH"].split(os.pathsep)
    shell.environment |= {
        **settled,
        **offline,
        "PATH": os.pathsep.join(
            entry for entry in path if not Path(entry, "pulumi-resource-cf-invoice").exists()
        ),
    }
    archive = only(dist / "plugin", "*-linux-amd64.tar.gz")
    install = f"pulumi plugin install resource cf-invoice {TAG} --file '{archive}'"
    assert shell.shell(install), shell.printed
    assert shell.shell("pulumi stack init dev && pulumi preview"), shell.printed
    assert 'amountDueText: "$188.46"' in shell.printed
    assert "pulumi-resource-cf-invoice from $PATH" not in shell.printed
    assert shell.shell("pulumi package get-schema cf-invoice > schema.json"), shell.printed
    served = json.loads((project / "schema.json").read_text())
    assert served == json.loads((dist / "schema.json").read_text())


def test_the_schema_says_what_a_registry_and_pulumi_want_to_know(dist: Path) -> None:
    schema = json.loads((dist / "schema.json").read_text())
    assert schema["version"] == VERSION
    assert schema["publisher"] == "Octo Org"
    assert schema["namespace"] == "octo-org"
    assert schema["homepage"] == schema["repository"] == URL
    assert schema["pluginDownloadURL"] == SERVER
    raw = f"https://raw.githubusercontent.com/{REPOSITORY}/HEAD/"
    assert schema["logoUrl"].startswith(raw)
    assert (ROOT / schema["logoUrl"].removeprefix(raw)).is_file()


def plugin_of(plugin: dict[str, Any]) -> tuple[str, str, str]:
    return plugin["name"], plugin["version"], plugin["server"]


def test_the_python_sdk_tells_pulumi_where_its_plugin_is(dist: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    run([*pip, str(tmp_path), str(only(dist / "pypi-sdk", "*.whl"))], tmp_path)
    plugin = json.loads((tmp_path / "pulumi_cf_invoice_sdk" / "pulumi-plugin.json").read_text())
    assert plugin_of(plugin) == ("cf-invoice", VERSION, SERVER)
    program = "import pulumi_cf_invoice_sdk as sdk; print(sdk.__file__, sdk.InvoicePreview)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    message = run([sys.executable, "-c", program], tmp_path, environment)
    assert message.startswith(str(tmp_path))


@pytest.mark.parametrize("example", ["quickstart", "cost-aware-gateway"])
def test_a_typescript_example_compiles_with_the_node_sdk(
    project: Path, dist: Path, tmp_path: Path, example: str
) -> None:
    for name in ("index.ts", "tsconfig.json"):
        shutil.copy(project / "examples" / "typescript" / example / name, tmp_path)
    installed, modules = LANGUAGES / "typescript" / "node_modules", tmp_path / "node_modules"
    (modules / NODE_SDK).mkdir(parents=True)
    for scope in ("@pulumi", "@types"):
        (modules / scope).symlink_to(installed / scope)
    with tarfile.open(only(dist / "npm", "*.tgz")) as archive:
        archive.extractall(tmp_path / "unpacked")
    shutil.copytree(tmp_path / "unpacked" / "package", modules / NODE_SDK, dirs_exist_ok=True)
    run(["node", str(installed / "typescript" / "bin" / "tsc")], tmp_path)
    load = f"console.log(require('{NODE_SDK}').InvoicePreview.__pulumiType)"
    assert run(["node", "-e", load], tmp_path) == "cf-invoice:index:InvoicePreview\n"
    package = json.loads((modules / NODE_SDK / "package.json").read_text())
    assert plugin_of(package["pulumi"]) == ("cf-invoice", VERSION, SERVER)
    # npm's provenance asks for it.
    assert package["repository"] == URL
    assert "postinstall" not in package["scripts"]


def test_go_takes_the_sdk_from_the_tag_that_the_release_pushes(
    project: Path, dist: Path, tmp_path: Path
) -> None:
    runner = tmp_path / "runner"
    run(["git", "clone", "--quiet", str(project), str(runner)], tmp_path)
    origin = run(["git", "remote", "get-url", "origin"], project).strip()
    run(["git", "remote", "set-url", "origin", origin], runner)
    shutil.copytree(dist, runner / "dist")
    tagged = shell(step("github", "Tag the Go SDK"), runner)
    assert tagged.returncode == 0, tagged.stderr
    refs = run(["git", "ls-remote", origin], tmp_path).split()[1::2]
    assert refs == [f"refs/tags/sdk/go/{TAG}"]

    program = tmp_path / "program"
    program.mkdir()
    shutil.copy(project / "examples" / "go" / "quickstart" / "main.go", program)
    go = {**installing(), "GOFLAGS": "-modcacherw -mod=mod"}
    # GitHub is the bare repository here.
    github = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": URL,
        "GOPRIVATE": "github.com/Octo-Org",
        "GOMODCACHE": str(tmp_path / "modules"),
    }
    download = ["go", "mod", "download", "-json", f"{GO_SDK}@{TAG}"]
    module = json.loads(run(download, program, {**go, **github}))["Dir"]
    run(["go", "mod", "init", program.name], program, go)
    run(["go", "mod", "edit", f"-require={GO_SDK}@{TAG}", f"-replace={GO_SDK}={module}"], program)
    compiled = same_versions(program, ROOT / "tools" / "engine", tmp_path / "engine.mod")
    run(["go", "vet", *compiled, "."], program, go)


def test_the_sdks_have_the_same_names_however_the_package_is_added(
    dist: Path, tmp_path: Path
) -> None:
    """`pulumi package add` generates them from the schema, wherever that comes from."""
    run([str(sdk_generator()), "-local", str(dist / "schema.json"), str(tmp_path)], tmp_path)
    assert json.loads((tmp_path / "nodejs" / "package.json").read_text())["name"] == NODE_SDK
    assert f"module {GO_SDK}\n" in (tmp_path / "go" / "go.mod").read_text()
    assert (tmp_path / "python" / "pulumi_cf_invoice_sdk").is_dir()


def test_the_examples_follow_the_names_and_the_folder_of_an_added_package(project: Path) -> None:
    """Pulumi puts the SDK of a package with a namespace into `sdks/NAMESPACE-NAME`."""
    module = (project / "examples" / "go" / "quickstart" / "go.mod").read_text()
    assert f"replace {GO_SDK} => ./sdks/octo-org-cf-invoice\n" in module
    for manifest in (project / "examples" / "typescript").glob("*/package.json"):
        dependencies = json.loads(manifest.read_text())["dependencies"]
        assert dependencies[NODE_SDK] == "file:sdks/octo-org-cf-invoice"
    assert f'from "{NODE_SDK}";' in (project / "docs" / "languages.md").read_text()


def test_a_schema_is_written_as_a_plugin_prints_it(project: Path) -> None:
    """Setting no new names changes no file."""
    before = run(["git", "status", "--short"], project)
    run([sys.executable, "-m", "tools.schema"], project)
    assert run(["git", "status", "--short"], project) == before
