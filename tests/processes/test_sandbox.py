"""The sandbox as people start it."""

import signal
import subprocess
import sys

import pytest

from tests.factories import ACCOUNT
from tests.unit.test_sandbox import COMMAND, HTTP, TOKEN


def test_the_command_prints_two_exports_and_stops_at_a_signal() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[0].startswith("export CLOUDFLARE_BASE_URL=http://127.0.0.1:")
        assert lines[1] == "export CLOUDFLARE_API_TOKEN=sandbox-token\n"
        base_url = lines[0].split("=")[1].strip()
        account = f"{base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
        assert HTTP.get(account, headers=TOKEN).status_code == 200
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output == ""
    assert "Traceback" not in errors


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(missing: str) -> None:
    program = f"import sys, runpy; sys.modules[{missing!r}] = None; sys.argv = ['sandbox']; "
    program += "runpy.run_module('pulumi_cf_invoice.sandbox', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    install = "install pulumi-cf-invoice with its extra 'sandbox', from where you have the package"
    assert done.stderr == f"the sandbox needs {missing}: {install}\n"
