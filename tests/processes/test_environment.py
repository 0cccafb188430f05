"""What tests see of the environment that they are started in."""

import json
import os
import subprocess
import sys

from tests.docs import ROOT
from tools.environment import installing, isolated, set_aside

OF_A_SHELL = {
    "PATH": "/bin",
    "HOME": "/home/someone",
    "PYTHONUNBUFFERED": "1",
    "CLOUDFLARE_API_TOKEN": "a-token",
    "CF_INVOICE_TIMEOUT": "5",
    "PULUMI_CONFIG_PASSPHRASE": "secret",
    "PYTEST_ADDOPTS": "-k nothing",
    "GITHUB_ACTIONS": "true",
    "https_proxy": "http://proxy:3128",
    "PIP_INDEX_URL": "https://example.com/simple",
    "npm_config_registry": "https://example.com/npm",
    "GOPROXY": "https://example.com/go",
    "SSL_CERT_FILE": "/etc/certificates.pem",
}
INSTALLERS = ["https_proxy", "PIP_INDEX_URL", "npm_config_registry", "GOPROXY", "SSL_CERT_FILE"]


def test_a_command_of_make_gets_paths_and_what_installers_need() -> None:
    assert list(isolated(OF_A_SHELL)) == ["PATH", "HOME", *INSTALLERS]


def test_tests_get_no_setting_of_an_installer() -> None:
    environment = dict(OF_A_SHELL)
    set_aside(environment)
    assert environment.keys() == {"PATH", "HOME", "PYTEST_INSTALLERS"}
    # As in a worker, which is started with what is left.
    set_aside(environment)
    assert list(json.loads(environment["PYTEST_INSTALLERS"])) == INSTALLERS


def test_what_a_test_installs_with_is_this_environment_and_what_was_set_aside() -> None:
    assert installing().items() >= dict(os.environ).items()


def test_this_run_has_nothing_of_a_developers_shell() -> None:
    assert isolated(os.environ).keys() >= os.environ.keys() - {"PYTEST_INSTALLERS"}


def test_every_target_of_make_that_runs_tests_isolates_them() -> None:
    recipes = (ROOT / "Makefile").read_text().splitlines()
    runs = [line for line in recipes if line.startswith("\t") and "-m pytest" in line]
    assert len(runs) >= 6
    for line in runs:
        assert "$(ISOLATED) " in line or "-m tools.environment " in line


def test_a_command_is_run_in_the_environment_that_is_left() -> None:
    show = "import os, json; print(json.dumps(dict(os.environ)))"
    python = [sys.executable, "-m", "tools.environment", sys.executable, "-c", show]
    environment = {**OF_A_SHELL, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        python, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout).keys() >= {"PATH", "GOPROXY"}
    assert "PYTHONUNBUFFERED" not in json.loads(done.stdout)
