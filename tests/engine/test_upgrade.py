"""
Stacks deployed by earlier versions keep working.

Each folder in `data/states` is named after a version and holds stacks deployed with it, as written
by `pulumi stack export` but without Pulumi's source positions. These files are frozen: a new
version adds a folder of its own.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from tests.engine.conftest import MakeStack
from tests.engine.forms import FORMS, Form
from tests.factories import ACCOUNT, OTHER_ACCOUNT

STATES = Path(__file__).parent / "data" / "states"
AMOUNTS_DUE = {"first-update": 18846, "second-update": 20001, "secret-account": 18846, "get": 18846}
PROGRAMS: dict[str, Callable[[Form], Any]] = {
    "first-update": lambda form: form.resource("upcoming"),
    "second-update": lambda form: form.resource("upcoming"),
    "secret-account": lambda form: form.resource("upcoming", pulumi.Output.secret(OTHER_ACCOUNT)),
    "get": lambda form: form.get("upcoming", ACCOUNT),
}


@pytest.mark.parametrize("version", sorted(path.name for path in STATES.iterdir()))
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_stack_of_an_earlier_version_previews_refreshes_updates_and_is_destroyed(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    form: str,
    name: str,
) -> None:
    """Nothing changes until the amount due does, and the update then stores the new amount."""
    stack = make_stack(lambda: PROGRAMS[name](FORMS[form]), **settled)
    exported = json.loads((STATES / version / f"{form}-{name}.json").read_text())
    # What came from another address would be a change.
    resource = exported["deployment"]["resources"][-1]
    for properties in (resource.get("inputs", {}), resource["outputs"]):
        properties[FORMS[form].spelled("base_url")] = sandbox.base_url
    stack.restore(exported)
    # In these states the amount due has moved and no line has, as with tax.
    due = dict.fromkeys(("amount_due", "amount_remaining"), AMOUNTS_DUE[name])
    monkeypatch.setitem(SCENARIOS, "usual", replace(SCENARIOS["usual"], invoice=due))

    preview = stack.preview(expect_no_changes=True)
    assert preview.ok, preview.text
    # Pulumi counts a refresh of a `get` resource as a change, although the program has none.
    refresh = stack.refresh(expect_no_changes=name != "get")
    assert refresh.ok, refresh.text

    sandbox.amount_due = 25000
    update = stack.up()
    assert update.ok, update.text
    outputs = stack.resource("upcoming")["outputs"]
    assert outputs[FORMS[form].spelled("amount_due")] == 25000
    if name != "get":
        assert ("update", "upcoming") in update.steps
        last_update = outputs[FORMS[form].spelled("last_update")]
        assert last_update[FORMS[form].spelled("amount_due")] == AMOUNTS_DUE[name]
    assert stack.preview(expect_no_changes=True).ok
    assert stack.destroy().ok
