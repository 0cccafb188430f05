"""Stack config as a running Pulumi program sees it, and the warnings about it, once per run."""

import json
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.config import (
    CONFIG,
    get_config,
    get_config_env,
    get_config_secret_keys_env,
    is_config_secret,
)
from pulumi.runtime.settings import get_project

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.program.run import current_monitor

_messages_of_runs: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_examined_runs: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def examine() -> None:
    """
    Refuse settings in stack config that do nothing, and warn of secrets in plain text.

    In a project with the same name as the namespace, they may be the program's, and are only noted.
    Raises `SettingsError`.
    """
    monitor = current_monitor()
    if monitor in _examined_runs:
        return
    keys = {**get_config_env(), **CONFIG.get()}
    prefix = f"{settings.NAMESPACE}:"
    own = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    unknown = settings.unknown_keys(own)
    if unknown and get_project() != settings.NAMESPACE:
        raise SettingsError(unknown[0])
    for problem in unknown:
        say_once(pulumi.log.info, f"{problem} (or is it the program's own?)")
    # Threads only see those of the environment.
    secret = get_config_secret_keys_env()
    plain = (
        key
        for key in keys
        if str(get_config(key)).strip() and not is_config_secret(key) and key not in secret
    )
    for warning in settings.in_plain_text(plain):
        say_once(pulumi.log.warn, warning)
    if monitor is not None:
        _examined_runs[monitor] = True


def say_once(log: Callable[[str], None], message: str) -> None:
    """Pass *message* to *log*, once per run of the program."""
    monitor = current_monitor()
    if monitor is None:
        return
    logged = _messages_of_runs.setdefault(monitor, set())
    if message not in logged:
        logged.add(message)
        log(message)


def is_default_provider_disabled(package: str) -> bool:
    """Return whether the stack config disables Pulumi's default provider for *package*."""
    written = get_config("pulumi:disable-default-providers")
    try:
        packages = json.loads(written) if isinstance(written, str) else written
    except ValueError:
        return False
    return isinstance(packages, list) and not {"*", package}.isdisjoint(packages)
