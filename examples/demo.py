"""`make demo`: a stack that knows its upcoming invoice, on a real engine, start to finish."""

import inspect
import json
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
from pulumi import automation

from pulumi_cf_invoice import get_forecast
from pulumi_cf_invoice.sandbox import Sandbox

QUICKSTART = Path(__file__).parent / "quickstart" / "__main__.py"
POLICY_PACK = Path(__file__).parent / "policy-pack"
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


def main() -> int:
    """Run the demo and return the exit code."""
    with tempfile.TemporaryDirectory() as directory, Sandbox() as sandbox:
        os.environ.update(
            CLOUDFLARE_BASE_URL=sandbox.base_url,
            CLOUDFLARE_API_TOKEN="sandbox-token",
            CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
            PULUMI_CONFIG_PASSPHRASE="demo",
            PULUMI_HOME=f"{directory}/home",
            PULUMI_SKIP_UPDATE_CHECK="true",
        )
        say("A sandbox of Cloudflare's billing API is up, and this program is pointed at it:")
        print(QUICKSTART.read_text())
        stack = _stack(directory)

        say("1. The first preview: nothing is deployed, and the figures are known already.")
        run(stack.preview, diff=True)

        say("2. The update, with the figures as stack outputs.")
        run(stack.up)

        say("3. Somebody uses more tokens. The next preview shows what moved.")
        sandbox.amount_due = 20001
        run(stack.preview, diff=True)

        say("4. A policy pack blocks the preview over $150.00, and warns from $120.00 on.")
        blocked = run(stack.preview, may_fail=True, **_pack(directory, sandbox))
        if "over the limit of $150.00 by $50.01" not in blocked:
            return 1

        say("5. A waiver raises the limit for a week, and says so. The preview passes.")
        waived = run(stack.preview, **_pack(directory, sandbox, _waiver()))
        if "A waiver with the limit 250 USD is in force" not in waived:
            return 1

        say("6. What is coming, and how long the credits last, by the usage of each day:")
        print(inspect.getsource(with_forecast))
        told = run(stack.preview, program=with_forecast)
        if " for " not in told or "credits" not in told.lower():
            return 1

        say("7. The token is wrong: one line says what failed and what to do.")
        os.environ["CLOUDFLARE_API_TOKEN"] = "expired"
        refused = run(stack.preview, may_fail=True)
        if "HTTP 403, code 10000" not in refused:
            return 1

        say("8. Cleaning up needs neither a token nor the API.")
        run(stack.destroy)
    say("Done: the sandbox is down and nothing is left behind.")
    return 0


def with_forecast() -> None:
    """Run the program above, and export a forecast and how long the credits last."""
    runpy.run_path(str(QUICKSTART))
    forecast = get_forecast()
    pulumi.export("forecast", forecast.text)
    pulumi.export("runway", forecast.runway.text if forecast.runway else "unknown")


def say(text: str) -> None:
    """Tell the viewer what happens next."""
    print(f"\n\033[1m── {text}\033[0m\n" if sys.stdout.isatty() else f"\n── {text}\n", flush=True)


def run(operation: Callable[..., Any], may_fail: bool = False, **options: Any) -> str:
    """Run a stack operation, print Pulumi's output as it arrives, and return it."""
    color = "always" if sys.stdout.isatty() else "never"
    lines: list[str] = []

    def show(text: str) -> None:
        lines.append(text)
        print(text, end="" if text.endswith("\n") else "\n", flush=True)

    try:
        operation(on_output=show, color=color, suppress_progress=True, **options)
    except automation.CommandError:
        if not may_fail:
            raise
    return "".join(lines)


def _pack(directory: str, sandbox: Sandbox, waiver: dict[str, Any] | None = None) -> dict[str, Any]:
    """Copy the example policy pack, and point the rule that reads its own account at *sandbox*."""
    pack = Path(directory) / "policy-pack"
    ignore = shutil.ignore_patterns("venv", "wheels")
    shutil.copytree(POLICY_PACK, pack, dirs_exist_ok=True, ignore=ignore)
    if not (pack / "venv").exists():
        # Pulumi would wait forever for a missing environment, and this one has all that it needs.
        (pack / "venv").symlink_to(sys.prefix)
    file = pack / "rules.json"
    content = json.loads(file.read_text())
    content["rules"]["account-budget"]["baseUrl"] = sandbox.base_url
    if waiver:
        content["rules"]["max-amount-due"]["waiver"] = waiver
    file.write_text(json.dumps(content, indent=2))
    return {"policy_packs": [str(pack)]}


def _waiver() -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(days=7)
    return {
        "until": f"{until:%Y-%m-%d}",
        "by": "the head of platform",
        "reason": "launch week",
        "limit": "250 USD",
    }


def _stack(directory: str) -> automation.Stack:
    backend = Path(directory) / "backend"
    backend.mkdir()
    settings = automation.ProjectSettings(
        "quickstart", "python", backend=automation.ProjectBackend(f"file://{backend}")
    )
    return automation.create_or_select_stack(
        "dev",
        project_name="quickstart",
        program=lambda: runpy.run_path(str(QUICKSTART)),
        opts=automation.LocalWorkspaceOptions(project_settings=settings),
    )


if __name__ == "__main__":
    sys.exit(main())
