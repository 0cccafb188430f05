"""Answers of a forge that are damaged, odd or refusals."""

import copy
import json
from collections.abc import Iterator
from itertools import cycle
from typing import Any
from unittest.mock import patch

import pytest
import tenacity
from hypothesis import given, strategies as st

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.comments.connection import Answer, Connection, shortened
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.forge import Forge, Request
from pulumi_cf_invoice.comments.gitea import Gitea
from pulumi_cf_invoice.comments.github import GitHub
from pulumi_cf_invoice.comments.gitlab import GitLab
from pulumi_cf_invoice.comments.posting import post
from tests.factories import SECRET
from tests.fuzz.damage import ODD, add_token, add_unknown, damage_json
from tests.fuzz.oracles import FUZZ, TIMED, hold_in_proportion, hold_one_clean_line

COMMENTS: dict[type[Forge], Any] = {
    GitHub: {
        "data": {
            "repository": {
                "pullRequest": {
                    "id": "PR_1",
                    "comments": {
                        "nodes": [{"id": "C", "url": "u", "body": "m", "viewerDidAuthor": True}],
                        "pageInfo": {"hasNextPage": False, "endCursor": None},
                    },
                }
            },
            "addComment": {"commentEdge": {"node": {"id": "C", "url": "u"}}},
            "updateIssueComment": {"issueComment": {"id": "C", "url": "u"}},
        },
        "errors": None,
    },
    GitLab: [{"id": 1, "body": "m", "author": {"id": 2}, "system": False}],
    Gitea: [{"id": 1, "body": "m", "user": {"id": 2}, "html_url": "u"}],
}
REFUSAL = {"message": "no", "errors": [{"message": "no", "type": "x"}]}


@pytest.fixture(scope="module", autouse=True)
def _no_pauses() -> Iterator[None]:
    with patch.object(retries, "backoff", tenacity.wait_none()):
        yield


def posted(forge: type[Forge], answers: list[Answer]) -> bool:
    """Post with *answers*, again and again, and return whether that succeeded, in one line."""
    request = Request(forge, "http://127.0.0.1:9", "owner/name", 12, SECRET)
    each = cycle(answers)
    try:
        with patch.object(Connection, "ask", lambda *_, **__: next(each)):
            hold_one_clean_line(post(request, "m"))
    except CommentError as error:
        hold_one_clean_line(error)
        return False
    return True


@FUZZ
@given(st.sampled_from(list(COMMENTS)), st.data())
def test_an_answer_of_a_forge_is_understood_or_reported_in_one_line(
    forge: type[Forge], data: st.DataObject
) -> None:
    def answer() -> Answer:
        content = copy.deepcopy(data.draw(st.sampled_from([COMMENTS[forge]] * 4 + [REFUSAL])))
        damages = st.sampled_from([damage_json, add_unknown, add_token])
        for damage in data.draw(st.lists(damages, max_size=3)):
            damage(content, data)
        if data.draw(st.integers(0, 5)) == 0:
            content = data.draw(ODD)
        status = data.draw(st.sampled_from([200, 200, 200, 201, 301, 401, 403, 404, 422, 429, 500]))
        wait = data.draw(st.sampled_from(["", "0", "soon", "99999", SECRET]))
        return Answer(status, {"retry-after": wait}, content)

    answers = [answer() for _ in range(data.draw(st.integers(1, 3)))]
    is_posted = posted(forge, answers)
    assert not is_posted or any(200 <= each.status < 300 for each in answers)


PIECES = (
    "x",
    "\\",
    '"',
    "\\u00e9",
    "[",
    "{}",
    " ",
    "&",
    "%7",
    "\u200b",
    "\x1b[",
    SECRET,
    SECRET[:9],
)


@TIMED
@given(
    st.sampled_from(list(COMMENTS)),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(["read", "refusal", "comments"]),
)
def test_an_answer_of_a_forge_is_read_in_time_in_proportion(
    forge: type[Forge], piece: str, where: str
) -> None:
    def made(length: int) -> Any:
        if where == "read":
            return (piece * (length // len(piece))).encode()
        if where == "refusal":
            return Answer(403, {}, {"errors": [{"message": piece * (length // len(piece))}]})
        comment = {"id": 1, "body": piece, "html_url": piece, "url": piece}
        content = copy.deepcopy(COMMENTS[forge])
        listed = content
        if forge is GitHub:
            listed = content["data"]["repository"]["pullRequest"]["comments"]["nodes"]
        listed += [{**comment, "id": n} for n in range(length // 100)]
        return Answer(200, {}, content)

    def read(answer: Any) -> None:
        if isinstance(answer, bytes):
            parts = [answer[at : at + 4096] for at in range(0, len(answer), 4096)]
            json.dumps([part.decode(errors="replace") for part in shortened(parts)])
        else:
            posted(forge, [answer])

    hold_in_proportion(made, read)
