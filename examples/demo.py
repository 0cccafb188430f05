"""`make demo`: a team and its budget, on a real engine, from start to finish."""

import inspect
import json
import os
import re
import runpy
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
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
BUDGET = {"max-amount-due": {"limit": "195 USD"}}
PACK = """\
from pulumi_cf_invoice.policy import spend_policy_pack

spend_policy_pack("cf-invoice-spend", rules="rules.json")
"""
LEFT_OUT = re.compile(
    r"warning: using pulumi-|Loading policy packs|\[urn=|^Duration|^The resources in the stack"
    r"|^If you want to remove|\d (error|warning|message)"
    r"|^Diagnostics:|error: preview failed|^@ |^ +pulumi:pulumi:Stack|^ +The figures come from"
)
"""Pulumi's output that does not belong to the story: its progress, and what does not change."""


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
        say("A stand-in for Cloudflare's billing API runs here, and this program reads from it:")
        print(QUICKSTART.read_text().partition("\n\n")[2].strip())
        stack = _stack(directory)

        say("1. The first preview: nothing is deployed yet, but the figures are already known.")
        run(stack.preview)

        say("2. The team deploys.")
        run(stack.up)

        say(
            "3. Somebody uses more tokens. The next preview shows what moved, down to the quantity."
        )
        sandbox.amount_due = 20001
        moved = run(stack.preview, only=r" => |Previewing|InvoicePreview", diff=True)
        if "18846 => 20001" not in moved:
            return 1

        say(f"4. The budget is $195. A policy pack with {json.dumps(BUDGET)} blocks the preview.")
        blocked = run(stack.preview, may_fail=True, **_pack(directory, BUDGET))
        if "over the limit of $195.00 by $5.01" not in blocked:
            return 1

        say("5. The head of platform grants $250 for a week, in the same file. The preview passes.")
        waived = run(stack.preview, **_pack(directory, _waived(BUDGET)))
        if "A waiver with the limit 250 USD is in force" not in waived:
            return 1

        say("6. What is coming, and how long will the credits last? The program asks that too:")
        print(inspect.getsource(with_forecast).partition('"""\n')[2].rstrip())
        print()
        coming = run(stack.preview, program=with_forecast, only="^Outputs|forecast|runway")
        if "credits" not in coming.lower():
            return 1

        say("7. CLOUDFLARE_API_TOKEN=expired: one line says what failed and what to do.")
        os.environ["CLOUDFLARE_API_TOKEN"] = "expired"
        refused = run(stack.preview, may_fail=True, only="^ +error: .*has a problem")
        if "HTTP 403, code 10000" not in refused:
            return 1

        say("8. Cleaning up needs neither a token nor the API.")
        run(stack.destroy)
    say("Done: the stand-in is down and nothing is left behind. Next:")
    print(
        "examples/quickstart/README.md    the same program as a project of your own\n"
        "examples/policy-pack/README.md   the gate, with every kind of rule\n"
        "docs/quickstart.md               your own account, or the stand-in to play with\n"
        "docs/ci.md                       the verdict on each pull request"
    )
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


def run(
    operation: Callable[..., Any], only: str = "", may_fail: bool = False, **options: Any
) -> str:
    """Run a stack operation, print the part of Pulumi's output that matters, and return it."""
    color = "always" if sys.stdout.isatty() else "never"
    printed: list[str] = []

    def show(text: str) -> None:
        for line in text.splitlines():
            plain = re.sub(r"\x1b\[[\d;]*m", "", line)
            is_told = re.search(only, plain) if only else not LEFT_OUT.search(plain)
            if plain.strip() and is_told and plain not in printed:
                printed.append(plain)
                print(line, flush=True)

    try:
        operation(on_output=show, color=color, suppress_progress=True, **options)
    except automation.CommandError:
        if not may_fail:
            raise
    return "\n".join(printed)


def _pack(directory: str, rules: dict[str, Any]) -> dict[str, Any]:
    """Write a policy pack with *rules*, and return the options of a preview that runs it."""
    pack = Path(directory) / "policy-pack"
    pack.mkdir(exist_ok=True)
    # Pulumi would create an environment first, but this one has all that the pack needs.
    (pack / "PulumiPolicy.yaml").write_text(
        "runtime: {name: python, options: {virtualenv: venv}}\nversion: 0.1.0\n"
    )
    if not (pack / "venv").exists():
        (pack / "venv").symlink_to(sys.prefix)
    (pack / "__main__.py").write_text(PACK)
    (pack / "rules.json").write_text(json.dumps({"rules": rules}, indent=2))
    return {"policy_packs": [str(pack)]}


def _waived(rules: dict[str, Any]) -> dict[str, Any]:
    until = datetime.now(UTC) + timedelta(days=7)
    waiver = {
        "until": f"{until:%Y-%m-%d}",
        "by": "the head of platform",
        "reason": "launch week",
        "limit": "250 USD",
    }
    return {"max-amount-due": {**rules["max-amount-due"], "waiver": waiver}}


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
