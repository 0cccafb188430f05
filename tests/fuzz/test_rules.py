"""Files of rules that are torn, cut or joined, or that hold anything at all."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.billing.errors import RuleError
from pulumi_cf_invoice.rules.file import configured, read_rules
from tests.factories import ACCOUNT, OTHER_ACCOUNT, SECRET
from tests.fuzz.damage import (
    add_token,
    add_unknown,
    damage_json,
    damage_text,
    write_behind_object,
    write_name_twice,
)
from tests.fuzz.oracles import (
    CANARY,
    FUZZ,
    TIMED,
    hold_in_proportion,
    hold_one_clean_line,
)

RULES: dict[str, Any] = {
    "rules": {
        "max-amount-due": {"limit": {"limit": "250 USD", "accounts": {ACCOUNT: "100 USD"}}},
        "near": {"rule": "max-amount-due", "limit": "200 USD", "enforcementLevel": "advisory"},
        "max-line-amount": {"limits": {"openai/*": "5 USD"}, "defaultLimit": "9 USD"},
        "max-increase": {"limit": "20%"},
        "allowed-statuses": {"statuses": ["draft", "open"]},
        "account-budget": {
            "accountIds": [ACCOUNT, OTHER_ACCOUNT],
            "limit": "1000 USD",
            "failOpen": True,
            "waiver": {"until": "2026-12-01", "by": "a", "reason": "b", "limit": "1500 USD"},
        },
    }
}
TEXT = f"{json.dumps(RULES, indent=1)}\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of rules, the same one for all: another for each would take longest of all."""
    return tmp_path_factory.mktemp("fuzz") / "rules.json"


def names_in(file: Path, text: str) -> set[str] | None:
    """Return the names of the rules in *text*, or None if it is refused, in one line."""
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return {rule.name for rule in configured(read_rules(file), {})}
    except RuleError as error:
        # As every command says it.
        hold_one_clean_line(Secrets([SECRET]).redact(str(error)))
        return None


@FUZZ
@given(
    st.lists(st.sampled_from([damage_json, damage_json, add_token]), min_size=1, max_size=3),
    st.booleans(),
    st.data(),
)
def test_a_file_of_rules_is_taken_whole_or_refused_in_one_line(
    file: Path, damages: list[Any], is_unknown: bool, data: st.DataObject
) -> None:
    content = copy.deepcopy(RULES)
    for damage in [*damages, *([add_unknown] if is_unknown else [])]:
        damage(content, data)
    names = names_in(file, json.dumps(content))
    assert names is None or names >= set(content["rules"])
    assert names is None or CANARY not in json.dumps(content)


@FUZZ
@given(st.data())
def test_a_file_of_rules_that_is_torn_is_refused_or_taken_whole(
    file: Path, data: st.DataObject
) -> None:
    damaged = damage_text(TEXT, data)
    names = names_in(file, damaged)
    assert names is None or names >= set(json.loads(damaged)["rules"])


@FUZZ
@given(
    st.sampled_from([write_behind_object, write_name_twice, lambda text, _: text + text]),
    st.data(),
)
def test_a_file_of_rules_with_more_than_its_object_is_refused(
    file: Path, write: Any, data: st.DataObject
) -> None:
    assert names_in(file, write(TEXT, data)) is None


PIECES = ("x", "*", "?", "[", "USD ", "1", "5 USD", "-", " ", '"', "\\", "{", '{"a": ', "\u200b")


@TIMED
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(["text", "limit", "limits", "statuses", "names"]),
)
def test_a_file_of_rules_is_read_in_time_in_proportion(file: Path, piece: str, where: str) -> None:
    def made(length: int) -> str:
        content = copy.deepcopy(RULES)
        rules, number = content["rules"], length // (len(piece) + 20)
        text = piece * (length // len(piece))
        if where == "text":
            return f"{TEXT}{text}"
        if where == "limit":
            rules["max-amount-due"]["limit"] = text
        if where == "limits":
            rules["max-line-amount"]["limits"] = {f"{piece}{n}": "5 USD" for n in range(number)}
        if where == "statuses":
            rules["allowed-statuses"]["statuses"] = [f"{piece}{n}" for n in range(number)]
        if where == "names":
            rules |= {f"near{n}": {**rules["near"], "limit": piece} for n in range(number)}
        return json.dumps(content)

    hold_in_proportion(made, lambda text: names_in(file, text))
