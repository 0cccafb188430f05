"""
Write the four schemas, and the names of the SDKs wherever programs import them.

``python -m tools.schema`` writes the schemas of the plugin, the file of rules, the report and the
forecasts; with ``--check`` it writes nothing, and fails if one is stale.

Run it after changing a model, or the project's publisher and repository, which are part of the
SDKs' names. The version is a placeholder, which the build and the plugin fill in.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from build.util import project_wheel_metadata

from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.plugin.version import PLACEHOLDER
from pulumi_cf_invoice.report import forecasts, json_report
from pulumi_cf_invoice.rules import file as rules_file
from tools import generated

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "pulumi_cf_invoice" / "schema.json"
IMPORTING = ["README.md", "docs", "examples", "tests/engine/languages", "tools/languages"]


def main() -> int:
    """Write the files, and return the exit code."""
    check = generated.is_check(sys.argv[1:])
    before = json.loads(SCHEMA.read_text())
    after = schema.package(project_wheel_metadata(ROOT, isolated=False), PLACEHOLDER)
    files = {
        SCHEMA: _formatted(after),
        rules_file.SCHEMA_FILE: rules_file.schema_text(),
        Path(json_report.__file__).with_name("report.schema.json"): json_report.schema(),
        Path(forecasts.__file__).with_name("forecast.schema.json"): forecasts.schema(),
    }
    code = generated.write(files, "make schema", check)
    if not check:
        for old, new in zip(_sdk_names(before), _sdk_names(after), strict=True):
            if old != new:
                _rename(old, new)
    return code


def _formatted(spec: dict[str, Any]) -> str:
    """Return a schema as the engine prints that of a plugin."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "schema.json"
        file.write_text(json.dumps(spec))
        command = ["pulumi", "package", "get-schema", str(file)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _sdk_names(spec: dict[str, Any]) -> tuple[str, str, str]:
    """Return what Pulumi calls the Node SDK, the Go SDK, and the folder of either in a project."""
    namespace = spec.get("namespace", "")
    repository = spec.get("repository", "https://example.com/pulumi-cf-invoice")
    folder = f"{namespace}-cf-invoice" if namespace else "cf-invoice"
    return (
        f"@{namespace or 'pulumi'}/cf-invoice",
        f"{repository.removeprefix('https://')}/sdk/go",
        f"sdks/{folder}",
    )


def _rename(old: str, new: str) -> None:
    command = ["git", "grep", "--files-with-matches", "--fixed-strings", old, "--", *IMPORTING]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    for name in found.stdout.splitlines():
        path = ROOT / name
        path.write_text(path.read_text().replace(old, new))


if __name__ == "__main__":
    sys.exit(main())
