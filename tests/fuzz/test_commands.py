"""The whole command, with a damaged file of each kind that it takes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.command import Done, run
from tests.factories import ACCOUNT, SECRET
from tests.fuzz.damage import damage_lines, damage_text
from tests.fuzz.oracles import FUZZ, hold_nothing_hidden, hold_one_clean_line
from tests.fuzz.recorded import (
    CHEAP,
    DEAR,
    FAILED,
    NOT_EVALUATED,
    SNAPSHOTS,
    STREAMS,
    read,
)

OTHER = "b" * 32
SNAPSHOT = f"{json.dumps(SNAPSHOTS[0], indent=1)}\n"
FILES = [*STREAMS, *NOT_EVALUATED, CHEAP + DEAR, FAILED, SNAPSHOT, "x"]
ACCOUNTS = f"# All accounts\n{ACCOUNT} prod\n{OTHER} dev\n"
RULES = json.dumps(
    {"rules": {"max-amount-due": {"limit": "2 USD"}, "max-increase": {"limit": "9%"}}}
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all: another for each would take longest, and so would a synced output."""
    return tmp_path_factory.mktemp("fuzz")


def write(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    return str(file)


def report(*arguments: str) -> Done:
    """Run a report on what is over its budget, and hold that it says so, or why not in one line."""
    token = {"CLOUDFLARE_API_TOKEN": SECRET}
    done = run("report", *arguments, "--budget", "0.50 USD", "--format", "json", **token)
    hold_nothing_hidden(done.stdout + done.stderr)
    assert done.returncode in (1, 2)
    if not done.stdout:
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        hold_one_clean_line(done.stderr.rstrip("\n"))
    return done


def judged(done: Done) -> set[str]:
    """Return the accounts that a report has."""
    return set(re.findall(r'"account_id": "(\w+)"', done.stdout))


def read_itself(folder: Path, data: st.DataObject) -> None:
    damaged = damage_text(data.draw(st.sampled_from(FILES)), data)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(damaged)))
        damaged = f"{damaged[:at]}{SECRET}{damaged[at:]}"
    found = read(damaged)
    option = "--snapshot" if isinstance(found, list) and found[0].snapshot else "--from"
    done = report(option, write(folder / "input", damaged))
    assert done.returncode == (1 if isinstance(found, list) else 2)
    assert bool(done.stdout) == isinstance(found, list)


def list_accounts(folder: Path, data: st.DataObject) -> None:
    damage = data.draw(st.sampled_from([damage_text, damage_lines]))
    damaged = damage(ACCOUNTS, data)
    previews = write(folder / "previews", CHEAP + DEAR)
    done = report("--from", previews, "--accounts", write(folder / "accounts", damaged))
    # A line can be lost unnoticed, or become a comment. Whatever else is on it is judged.
    left = re.sub(r"(?m)^#\s*[0-9a-f]{32}\b.*", "", damaged)
    listed = {each for each in (ACCOUNT, OTHER) if each in left}
    assert judged(done) == listed or not done.stdout


def compare(folder: Path, data: st.DataObject) -> None:
    damaged = damage_text(data.draw(st.sampled_from([CHEAP + DEAR, *STREAMS])), data)
    previews = write(folder / "previews", CHEAP + DEAR)
    done = report("--from", previews, "--baseline", write(folder / "baseline", damaged))
    assert read(damaged) or not done.stdout


def read_folder(folder: Path, data: st.DataObject) -> None:
    snapshots = folder / "snapshots"
    snapshots.mkdir(exist_ok=True)
    write(snapshots / f"{OTHER}.json", SNAPSHOT.replace(ACCOUNT, OTHER))
    damaged = damage_text(SNAPSHOT, data)
    write(snapshots / f"{ACCOUNT}.json", damaged)
    done = report("--snapshot", str(snapshots))
    assert judged(done) == {ACCOUNT, OTHER} or not done.stdout


def take_rules(folder: Path, data: st.DataObject) -> None:
    damaged = damage_text(RULES, data)
    previews = write(folder / "previews", CHEAP + DEAR)
    done = report("--from", previews, "--rules", write(folder / "rules.json", damaged))
    assert not done.stdout or all(
        f'"{name}"' in done.stdout for name in json.loads(damaged)["rules"]
    )


@FUZZ
@given(
    st.sampled_from([read_itself, read_itself, list_accounts, compare, read_folder, take_rules]),
    st.data(),
)
def test_a_report_is_made_only_where_each_of_its_files_was_read(
    folder: Path, make: Any, data: st.DataObject
) -> None:
    make(folder, data)
