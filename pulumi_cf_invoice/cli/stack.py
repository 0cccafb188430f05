"""Stack config outside a program, as reported by ``pulumi config``."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import without_secrets
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.files import read_file
from pulumi_cf_invoice.billing.settings import (
    CREDENTIALS,
    NAMESPACE,
    SETTINGS,
    GetConfig,
    in_plain_text,
    unknown_keys,
)

_SECONDS = 60
# Of YAML at the beginning of a line, and of JSON.
_NAME = re.compile(r"""^(?:name|[ \t{]*["']name["'])[ \t]*:[ \t]*["']?([\w.-]+)""", re.M)
_KEYS = (
    *(f"cf-invoice:{name}" for name in SETTINGS),
    *(f"cloudflare:{name}" for name in (*CREDENTIALS, "baseUrl")),
)
_EMPTY = {"value": ""}
_NOT_OPENED = "[unknown]"
"""What Pulumi shows for an ESC environment's value that it was not asked to open."""


def read_config(stack: str | None) -> GetConfig:
    """
    Return the stack config of *stack*, or of the selected stack if that is None.

    Secrets are only decrypted if a setting that applies is one. Raises `SettingsError`.
    """
    config = _run(stack)
    _examine(config)
    applying = _that_apply(config)
    if any(_is_hidden(config[key]) for key in applying):
        config = _run(stack, "--show-secrets")
    # A credential that does not apply has to be known as well, if it is, to be redacted.
    values = {
        key: config[key].get("value")
        for key in _KEYS
        if key in config and (key in applying or not _is_hidden(config[key]))
    }
    return values.get


def _examine(config: Mapping[str, Any]) -> None:
    """Refuse settings that do nothing, and warn of secrets in plain text."""
    prefix = f"{NAMESPACE}:"
    unknown = unknown_keys(key.removeprefix(prefix) for key in config if key.startswith(prefix))
    if unknown and _project() != NAMESPACE:
        raise SettingsError(unknown[0])
    for problem in unknown:
        print(f"cf-invoice: {problem} (or is it the program's own?)", file=sys.stderr)
    plain = (key for key, entry in config.items() if not entry.get("secret") and _has_value(entry))
    for warning in in_plain_text(key for key in plain if not _is_hidden(config[key])):
        print(f"cf-invoice: warning: {warning}", file=sys.stderr)


def _project() -> str | None:
    """Return the name of the project in this folder or the nearest above it, as Pulumi finds it."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        for name in ("Pulumi.yaml", "Pulumi.yml", "Pulumi.json"):
            with suppress(OSError, ValueError):
                text = read_file(folder / name).decode()
                found = _NAME.search(text)
                return found[1] if found else None
    return None


def _that_apply(config: Mapping[str, Any]) -> set[str]:
    """Return the keys of *config* that apply: the first source that has any credential decides."""
    has_own = any(_has_value(config.get(f"cf-invoice:{name}", _EMPTY)) for name in CREDENTIALS)
    passed_over = {f"cloudflare:{name}" for name in CREDENTIALS} if has_own else set()
    return {key for key in _KEYS if key in config} - passed_over


def _has_value(entry: Mapping[str, Any]) -> bool:
    return _is_hidden(entry) or bool(str(entry["value"]).strip())


def _is_hidden(entry: Mapping[str, Any]) -> bool:
    return entry.get("value") in (None, _NOT_OPENED)


def _run(stack: str | None, *more: str) -> dict[str, Any]:
    command = ["pulumi", "config", "--json", "--non-interactive", *more]
    if stack:
        command += ["--stack", stack]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise SettingsError("cannot read stack config: there is no `pulumi` on PATH") from None
    except OSError as error:
        raise SettingsError(
            f"cannot read stack config: `pulumi` cannot be run: {error.strerror}"
        ) from None
    except subprocess.TimeoutExpired:
        raise SettingsError(
            f"cannot read stack config: `pulumi config` did not answer within {_SECONDS} s"
        ) from None
    if done.returncode:
        raise SettingsError(f"cannot read stack config: {_error_in(done.stderr)}")
    try:
        config = json.loads(done.stdout)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or not all(
        isinstance(entry, dict) for entry in config.values()
    ):
        raise SettingsError(
            "cannot read stack config: `pulumi config --json` did not print an object"
        )
    return config


def _error_in(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    error = (errors or lines or ["`pulumi config` failed and did not say why"])[0]
    return one_line(without_secrets(error, os.environ), 300)
