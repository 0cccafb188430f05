"""What the docs and the benchmarks run in a process of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests import docs
from tests.docs import ROOT


def test_the_unit_test_in_the_docs_passes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "quickstart" / "__main__.py", tmp_path / "infrastructure.py")
    (tmp_path / "test_program.py").write_text(
        docs.block("import pulumi\n\nfrom pulumi_cf_invoice import testing")
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_forecasts_section_needs_no_language_host() -> None:
    """Its environment has the libraries that it compares with, and not the plugin's SDK."""
    code = "import benchmarks.__main__, benchmarks.forecast, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pulumi_cf_invoice_sdk" not in done.stdout.split()
