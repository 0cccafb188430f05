"""
Run a command with the few variables of this environment that it may depend on.

``python -m tools.environment COMMAND …`` keeps the variables that locate programs and files, and
those that installers need to reach their registries: proxies, certificates, and the settings of
pip, npm and Go. Everything else in a developer's shell is left out, so that no test passes because
of it.
"""

import json
import os
import sys
from collections.abc import Mapping, MutableMapping

KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TERM", "TMPDIR", "XDG_CACHE_HOME", "PYENV_ROOT")
"""Where programs and files are."""
MACHINERY = (
    *("PULUMI_CF_INVOICE_PYTHON", "COVERAGE_"),
    *("PYTEST_XDIST_", "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_INSTALLERS"),
)
"""What the tests' own tools hand on, by its first letters."""
INSTALLERS = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"),
    *("PIP_", "UV_", "NPM_CONFIG_", "PLAYWRIGHT_"),
    *("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOFLAGS"),
    *("GOPATH", "GOCACHE", "GOMODCACHE", "GOTOOLCHAIN"),
)
"""What installers need, by its first letters, in upper or lower case."""
_SET_ASIDE = "PYTEST_INSTALLERS"


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a command gets of *environment*, installers' settings included."""
    return {**_for_tests(environment), **_of_installers(environment)}


def set_aside(environment: MutableMapping[str, str]) -> None:
    """Leave in *environment* what tests get, and set aside what `installing` returns."""
    aside = environment.get(_SET_ASIDE) or json.dumps(_of_installers(environment))
    left = _for_tests(environment)
    environment.clear()
    environment.update(left, **{_SET_ASIDE: aside})


def installing() -> dict[str, str]:
    """Return the variables of an installer that a test starts, in place of `os.environ`."""
    return {**os.environ, **json.loads(os.environ.get(_SET_ASIDE, "{}"))}


def _for_tests(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name in KEPT or name.startswith(MACHINERY)
    }


def _of_installers(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if name.upper().startswith(INSTALLERS)
    }


if __name__ == "__main__":
    os.execvpe(sys.argv[1], sys.argv[1:], isolated(os.environ))
