import gzip
import html
import json
import pickle
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trustme
from hypothesis import given, strategies as st

from pulumi_cf_invoice.comments import FORGES, connection, posting
from pulumi_cf_invoice.comments.connection import shortened
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.forge import Request
from pulumi_cf_invoice.comments.places import find_place, find_request
from pulumi_cf_invoice.comments.posting import describe, post
from pulumi_cf_invoice.comments.reports import marker, tagged
from pulumi_cf_invoice.report.markdown import (
    END,
    MARKER,
    checksum,
    escape,
    render_failure,
    words,
)
from tests import forge
from tests.command import run
from tests.forge import BOT, NUMBER, STRANGER, Forge
from tests.unit.test_cli import UPDATE
from tests.unit.test_client import on_the_wire

ENVIRONMENTS = Path(__file__).parent / "data" / "environments"


def made(body: str) -> str:
    """Return *body* as `cf-invoice report` writes it, between its first and its last line."""
    text = f"{MARKER}\n\n{body}"
    return f"{text}\n\n<!-- end of report {checksum(text)} -->\n"


REPORT = made("### Within budget")
OVER = made("### Over budget")


class Job:
    """A job of a forge, with the variables that its runner sets."""

    def __init__(self, name: str, variables: dict[str, str]) -> None:
        self.name = name
        self.variables = variables

    def request(self, **given: Any) -> Request:
        """Return the request that the job runs for."""
        # A job of Gitea has to say that it is one.
        forge = "gitea" if self.name == "gitea" else None
        return find_request(self.variables, **{"forge": forge, **given})


@pytest.fixture
def forge_() -> Iterator[Forge]:
    with forge.running() as running:
        yield running


@pytest.fixture(params=FORGES)
def job(request: pytest.FixtureRequest, forge_: Forge) -> Job:
    """A job for a request, on each of the forges in turn."""
    return Job(request.param, getattr(forge_, request.param))


def variables_of(name: str) -> dict[str, str]:
    """Return the environment variables in a file."""
    lines = (ENVIRONMENTS / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def event_of(directory: Path, content: Any) -> dict[str, str]:
    """Write the event of a job on a branch, and return the variables that name it."""
    file = directory / "event.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_PATH": str(file)}


def refusal(request: Request) -> str:
    """Post the report, and return the one line that says why it is refused."""
    with pytest.raises(CommentError) as refused:
        post(request, tagged(REPORT, None))
    message = str(refused.value)
    assert message.isprintable()
    return message


def test_the_first_report_is_a_new_comment(job: Job, forge_: Forge) -> None:
    message = post(job.request(), tagged(REPORT, None))
    assert message.startswith("Commented on ")
    assert forge_.bodies == [REPORT]
    [token] = forge_.tokens
    assert token in ("Bearer job-token", "comment-token", "token gitea-job-token")


def test_the_next_report_updates_our_comment_and_nobody_elses(job: Job, forge_: Forge) -> None:
    forge_.add(f"{MARKER}\n\nby a stranger", STRANGER)
    forge_.add("a word of the same bot", BOT)
    forge_.add(f"a quotation of {MARKER}", BOT)
    request = job.request()
    post(request, tagged(REPORT, None))
    message = post(request, tagged(OVER, None))
    assert message.startswith("Updated the comment on ")
    assert [body.splitlines()[-1] for body in forge_.bodies[:3]] == [
        "by a stranger",
        "a word of the same bot",
        f"a quotation of {MARKER}",
    ]
    assert forge_.bodies[3:] == [OVER]


def test_what_jobs_at_once_left_twice_is_updated_everywhere(job: Job, forge_: Forge) -> None:
    others = [
        (tagged(REPORT, "shop/dev"), BOT),
        (REPORT, STRANGER),
        ("a word of the same bot", BOT),
    ]
    forge_.add(REPORT)
    for body, author in others:
        forge_.add(body, author)
    forge_.add(REPORT)
    message = post(job.request(), tagged(OVER, None))
    assert message.startswith("Updated 2 comments with this report on ")
    assert forge_.bodies == [OVER, *(body for body, _ in others), OVER]


def test_a_leftover_comment_that_may_not_be_updated_is_an_error(job: Job, forge_: Forge) -> None:
    forge_.add(REPORT)
    forge_.add(REPORT)
    # A page, an update and a page come first; GitLab and Gitea are asked for their user before.
    forge_.refusals += [(200, None, {})] * (3 if job.name == "github" else 4)
    forge_.refuse(403, {"message": "no"})
    assert "said HTTP 403: no." in refusal(job.request())


def test_reports_of_several_tags_are_comments_of_their_own(job: Job, forge_: Forge) -> None:
    request = job.request()
    for tag in (None, "shop/dev", "shop/dev-2", None, "shop/dev"):
        post(request, tagged(REPORT, tag))
    assert [body.splitlines()[0] for body in forge_.bodies] == [
        MARKER,
        "<!-- pulumi-cf-invoice report shop/dev -->",
        "<!-- pulumi-cf-invoice report shop/dev-2 -->",
    ]


def test_a_dry_run_asks_nobody_and_shows_comment_and_place(job: Job, forge_: Forge) -> None:
    variables = {name: value for name, value in job.variables.items() if "TOKEN" not in name}
    place = find_place(variables, forge=job.name)
    message = describe(place, tagged(REPORT, "dev"))
    assert message.startswith("Would comment on ")
    assert place.text in message
    assert f"request {NUMBER} of " in place.text
    assert message.endswith(tagged(REPORT, "dev"))
    assert forge_.requests == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "a request (not known here: --forge, --repository, --request, --api-url)"),
        (
            {"forge": "github"},
            "a pull request, by https://api.github.com/graphql (not known here: --repository, "
            "--request)",
        ),
        (
            {"forge": "gitlab", "number": 3},
            "merge request 3 (not known here: --repository, --api-url)",
        ),
        (
            {"forge": "gitea", "repository": "a/b", "api_url": "https://git.example.org/api/v1"},
            "a pull request of a/b, by https://git.example.org/api/v1 (not known here: --request)",
        ),
    ],
)
def test_a_dry_run_says_what_the_environment_does_not_tell(given: Any, text: str) -> None:
    assert describe(find_place({}, **given), "report").startswith(f"Would comment on {text}")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_can_get_better_is_tried_again(status: int, job: Job, forge_: Forge) -> None:
    forge_.refuse(status, {"message": "later"})
    forge_.refuse(status, "<html>", Retry_After="0")
    post(job.request(), tagged(REPORT, None))
    assert len(forge_.comments) == 1


def test_a_comment_whose_answer_got_lost_is_not_made_twice(job: Job, forge_: Forge) -> None:
    # GitLab and Gitea are asked for their user first.
    forge_.lose_answer(after=1 if job.name == "github" else 2)
    message = post(job.request(), tagged(REPORT, None))
    assert message.startswith("Updated")
    assert len(forge_.comments) == 1


def test_githubs_limits_are_waited_for(forge_: Forge) -> None:
    forge_.refuse(403, {"message": "secondary rate limit"}, Retry_After="0")
    forge_.refuse(403, {"message": "API rate limit exceeded"})
    forge_.refuse(200, {"errors": [{"type": "RATE_LIMITED", "message": "limit"}]})
    post(find_request(forge_.github), tagged(REPORT, None))
    assert len(forge_.comments) == 1
    limit = "API rate limit already exceeded for user ID 1."
    forge_.refuse(200, {"errors": [{"type": "RATE_LIMIT", "message": limit}]})
    too_quick = {"type": "UNPROCESSABLE", "message": "was submitted too quickly"}
    forge_.refuse(200, {"data": {"addComment": None}, "errors": [too_quick]})
    forge_.refuse(200, {"message": "You have exceeded a secondary rate limit."})
    post(find_request(forge_.github), tagged(REPORT, None))
    assert len(forge_.comments) == 1
    forge_.refuse(200, {"errors": [{"message": "Something went wrong"}]})
    post(find_request(forge_.github), tagged(REPORT, None))


def test_it_gives_up_after_four_attempts_and_after_an_hour_is_asked_for(
    job: Job, forge_: Forge
) -> None:
    for _ in range(4):
        forge_.refuse(503, {"message": "down"})
    assert "said HTTP 503: down. Run again later." in refusal(job.request())
    assert len(forge_.requests) == 4
    forge_.refuse(429, {"message": "slow down"}, Retry_After="3600")
    assert "HTTP 429: slow down" in refusal(job.request())
    assert len(forge_.requests) == 5


LOCKED = "The request is locked: unlock its conversation"
ARCHIVED = "The repository is archived, and takes no comments."
SSO = "The organization requires single sign-on: authorize the token"
GITHUB_REFUSALS: list[tuple[int, Any, str]] = [
    (401, {"message": "Bad credentials"}, "HTTP 401: Bad credentials. Set GH_TOKEN to a token"),
    (
        200,
        {"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]},
        "Resource not accessible by integration. Give the job the permission "
        "`pull-requests: write`; the token of a fork's pull request may only read.",
    ),
    (403, {"message": "Forbidden"}, "HTTP 403: Forbidden. Give the job the permission"),
    (
        200,
        {
            "data": {"addComment": None},
            "errors": [
                {
                    "type": "FORBIDDEN",
                    "path": ["addComment"],
                    "message": "Unable to create comment because issue is locked.",
                }
            ],
        },
        f"because issue is locked. {LOCKED}",
    ),
    (
        200,
        {
            "data": {"repository": None},
            "errors": [
                {
                    "type": "FORBIDDEN",
                    "path": ["repository"],
                    "extensions": {"saml_failure": True},
                    "message": "Resource protected by organization SAML enforcement. You must "
                    "grant your Personal Access token access to this organization.",
                }
            ],
        },
        f"access to this organization. {SSO}",
    ),
    (
        200,
        {
            "errors": [
                {
                    "type": "UNPROCESSABLE",
                    "message": "Body is too long (maximum is 65536 characters)",
                }
            ]
        },
        "(maximum is 65536 characters). Write the report with `cf-invoice report",
    ),
    (
        200,
        {
            "errors": [
                {
                    "type": "UNPROCESSABLE",
                    "message": "Repository was archived so is read-only.",
                }
            ]
        },
        ARCHIVED,
    ),
    (403, {"message": "Repository was archived so is read-only."}, ARCHIVED),
    (
        403,
        {
            "message": "Although you appear to have the correct authorization credentials, the "
            "`acme` organization has an IP allow list enabled"
        },
        "run the job on a runner that has one",
    ),
    (
        403,
        {"message": "`acme` forbids access via a personal access token (classic)."},
        "Use a kind of token that the organization allows.",
    ),
    (
        200,
        {
            "errors": [
                {"message": "Field 'x' doesn't exist", "extensions": {"code": "undefinedField"}}
            ]
        },
        "Check --api-url, --repository and --request.",
    ),
    (200, {"errors": [{"type": "NEW_KIND", "message": "no"}]}, "GitHub said no. Check --api-url"),
    (
        200,
        {"data": None, "errors": [{"type": "NOT_FOUND", "message": "No repository owner/name."}]},
        "GitHub said No repository owner/name. Check --repository, --request and --api-url",
    ),
    (404, "<html>not here</html>", "GitHub said HTTP 404. Check --repository"),
    (200, {"data": {"repository": None}}, "answer lacks what was asked for. Check --api-url."),
    (200, "<html>a proxy</html>", "answer lacks what was asked for. Check --api-url."),
    (200, [1], "answer lacks what was asked for. Check --api-url."),
    (302, "", "GitHub said HTTP 302. Check --api-url."),
]
GITLAB_REFUSALS: list[tuple[int, Any, str]] = [
    (401, {"message": "401 Unauthorized"}, "HTTP 401: 401 Unauthorized. Set GITLAB_TOKEN to a"),
    (
        403,
        {"error": "insufficient_scope", "scope": "api read_api"},
        "HTTP 403: insufficient_scope. Give GITLAB_TOKEN, a project access token, the scope `api`",
    ),
    (403, {"message": "403 Forbidden"}, "a locked merge request and an archived project take no"),
    (403, {"message": "Discussion is locked"}, LOCKED),
    (404, {"message": "404 Project Not Found"}, "404 Project Not Found. Check --repository"),
    (200, {}, "answer lacks what was asked for. Check --api-url."),
    (301, "", "GitLab said HTTP 301. Check --api-url."),
]
GITEA_REFUSALS: list[tuple[int, Any, str]] = [
    (401, {"message": "token is required"}, "token is required. Set GITEA_TOKEN to a token"),
    (403, {"message": "token does not have scope [write:issue]"}, "the scopes `write:issue`"),
    (403, {"message": "You cannot comment on a locked issue."}, LOCKED),
    (423, {"message": "owner/name is archived"}, ARCHIVED),
    (404, {"message": "The target couldn't be found."}, "Check --repository"),
    (200, [], "answer lacks what was asked for. Check --api-url."),
]


@pytest.mark.parametrize(
    ("name", "status", "content", "expected"),
    [("github", *entry) for entry in GITHUB_REFUSALS]
    + [("gitlab", *entry) for entry in GITLAB_REFUSALS]
    + [("gitea", *entry) for entry in GITEA_REFUSALS],
)
def test_a_refusal_says_what_the_forge_said_and_what_to_do_and_is_final(
    name: str, status: int, content: Any, expected: str, forge_: Forge
) -> None:
    forge_.refuse(status, content)
    message = refusal(Job(name, getattr(forge_, name)).request())
    assert message.startswith("cannot comment on ")
    assert expected in message
    assert forge_.comments == []
    assert len(forge_.requests) == 1


def test_single_sign_on_is_reported_by_githubs_header(forge_: Forge) -> None:
    forge_.refuse(403, {"message": "Forbidden"}, X_GitHub_SSO="required; url=https://github.com/x")
    assert f"HTTP 403: Forbidden. {SSO}" in refusal(find_request(forge_.github))


ODD = [
    "",
    "null",
    "true",
    "5",
    '"text"',
    "NaN",
    "[" * 100_000,
    '{"id":' + "9" * 5000 + "}",
    b"\xff\xfe\x00",
    [],
    [1],
    [[]],
    [{}],
    [None],
    {},
    {"id": None},
    {"id": True},
    {"id": 1.5},
    {"id": "../../../user"},
    {"id": 10**30},
    {"id": {"id": 1}},
    [{"id": "../x", "author": {"id": BOT}, "user": {"id": BOT}, "body": REPORT}],
    [{"id": 1, "author": "me", "user": "me", "body": None}],
    {"errors": 5},
    {"errors": "no"},
    {"errors": [1]},
    {"errors": {"type": "FORBIDDEN"}},
    {"errors": [{"type": ["FORBIDDEN"], "message": {"a": 1}}]},
    {"data": []},
    {"data": {"repository": {"pullRequest": []}}},
    {"data": {"repository": {"pullRequest": {"id": "PR", "comments": {"nodes": {}}}}}},
    {
        "data": {
            "repository": {"pullRequest": {"id": "PR", "comments": {"nodes": [], "pageInfo": 1}}}
        }
    },
    {
        "data": {
            "repository": {
                "pullRequest": {
                    "id": "PR",
                    "comments": {
                        "nodes": [{"id": [], "viewerDidAuthor": "true", "body": REPORT}],
                        "pageInfo": {"hasNextPage": True, "endCursor": {}},
                    },
                }
            }
        }
    },
    {"data": {"addComment": {"commentEdge": {"node": [1]}}}},
    *(
        {
            "data": {
                "repository": {
                    "pullRequest": {
                        "id": identifier,
                        "comments": {"nodes": [], "pageInfo": {"hasNextPage": False}},
                    }
                }
            }
        }
        for identifier in (0.5, 10**400, {"id": 0.5}, [0.5])
    ),
]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_odd_answer_is_one_clean_line(after: int, job: Job, forge_: Forge) -> None:
    request = job.request()
    for content in ODD:
        forge_.comments.clear()
        forge_.refusals[:] = [*[(200, None, {})] * after, (200, content, {})]
        try:
            message = post(request, tagged(REPORT, None))
        except CommentError as error:
            message = str(error)
        assert message.isprintable(), content
        # Whatever was odd was asked for again, or nothing was written after it.
        assert len(forge_.comments) <= 1, content


@pytest.mark.parametrize(
    "content", [{"message": "nope"}, "<html>login</html>", [], "null", {"id": None}, {"id": "x"}]
)
def test_an_answer_that_does_not_say_that_it_updated_a_comment_is_none(
    content: Any, forge_: Forge
) -> None:
    forge_.add(REPORT)
    forge_.refusals += [(200, None, {}), (200, None, {}), (200, content, {})]
    assert "answer lacks what was asked for" in refusal(find_request(forge_.gitlab))


LINK = {"Link": '<https://gitlab.example.org/notes?page=2>; rel="next", <x?page=1>; rel="first"'}


@pytest.mark.parametrize("following", ["1", "0", "-1", "3", "x", "9" * 30, "2, 2"])
def test_a_page_that_leads_nowhere_is_refused(following: str, forge_: Forge) -> None:
    forge_.refusals += [(200, None, {}), (200, [], {"X_Next_Page": following})]
    assert "answer lacks what was asked for" in refusal(find_request(forge_.gitlab))
    assert len(forge_.requests) == 2


@pytest.mark.parametrize(
    ("count", "headers"),
    [(100, {}), (100, LINK), (1, LINK)],
    ids=["full", "full, linked", "linked"],
)
def test_a_page_of_which_a_proxy_drops_what_follows_is_not_taken_for_the_last(
    count: int, headers: dict[str, str], forge_: Forge
) -> None:
    forge_.add("first page", STRANGER)
    forge_.add(REPORT)
    notes = [{"id": n, "body": "hi", "author": {"id": STRANGER}} for n in range(9, 9 + count)]
    forge_.refusals += [(200, None, {}), (200, notes, headers)]
    post(find_request(forge_.gitlab), tagged(OVER, None))
    assert forge_.bodies == ["first page", OVER]


@pytest.mark.parametrize("headers", [{}, LINK], ids=["full", "linked"])
def test_a_page_that_comes_again_is_not_gone_through_again(
    headers: dict[str, str], forge_: Forge
) -> None:
    """A proxy ignores which page is asked for."""
    forge_.add(REPORT)
    report = {"id": 1, "body": REPORT, "author": {"id": BOT}}
    others = [{"id": n, "body": "hi", "author": {"id": STRANGER}} for n in range(2, 101)]
    full = (200, [report, report, *others[1:]], headers)
    forge_.refusals += [(200, None, {}), full, (200, None, {}), full]
    said = post(find_request(forge_.gitlab), tagged(OVER, None))
    assert said.startswith("Updated the comment on")
    assert [request.partition(" ")[0] for request in forge_.requests] == [
        "GET",
        "GET",
        "PUT",
        "GET",
    ]


def test_a_page_that_comes_again_and_has_no_report_is_refused(forge_: Forge) -> None:
    notes = [{"id": n, "body": "hi", "author": {"id": STRANGER}} for n in range(100)]
    forge_.refusals += [(200, None, {}), (200, notes, {}), (200, notes, {})]
    assert "answer lacks what was asked for" in refusal(find_request(forge_.gitlab))


def test_a_full_page_that_gitlab_says_is_the_last_is(forge_: Forge) -> None:
    forge_.add("first page", STRANGER)
    forge_.add("never asked for", STRANGER)
    notes = [{"id": n, "body": "hi", "author": {"id": STRANGER}} for n in range(9, 109)]
    forge_.refusals += [(200, None, {}), (200, notes, {"X_Next_Page": ""})]
    post(find_request(forge_.gitlab), tagged(REPORT, None))
    assert [request.partition(" ")[0] for request in forge_.requests] == ["GET", "GET", "POST"]


def test_a_cursor_that_stays_is_refused(forge_: Forge) -> None:
    comments = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    page = {"data": {"repository": {"pullRequest": {"id": "PR", "comments": comments}}}}
    forge_.refuse(200, page)
    forge_.refuse(200, page)
    assert "answer lacks what was asked for" in refusal(find_request(forge_.github))
    assert len(forge_.requests) == 2


def test_a_request_with_more_comments_than_are_read_is_refused(job: Job, forge_: Forge) -> None:
    for number in range(101):
        forge_.add(f"comment {number}", STRANGER)
    assert "has more than 100 pages of comments" in refusal(job.request())
    assert len(forge_.comments) == 101


def test_a_report_on_a_page_that_is_read_is_updated_whatever_follows(
    job: Job, forge_: Forge
) -> None:
    forge_.add(REPORT)
    for number in range(100):
        forge_.add(f"comment {number}", STRANGER)
    post(job.request(), tagged(OVER, None))
    assert forge_.bodies[0] == OVER
    assert len(forge_.comments) == 101


def test_long_comments_of_others_do_not_keep_an_older_report(job: Job, forge_: Forge) -> None:
    forge_.per_page = 100
    for _ in range(30):
        forge_.add("😀" * 65_536, STRANGER)
    forge_.add(REPORT)
    post(job.request(), tagged(OVER, None))
    assert forge_.bodies[30:] == [OVER]


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\0\U0001f600'), min_size=1)


@given(
    st.recursive(
        TEXTS | st.integers() | st.none(),
        lambda values: st.lists(values) | st.dictionaries(TEXTS, values),
    ),
    st.booleans(),
    st.integers(1, 50),
)
def test_short_texts_are_kept_however_they_arrive(content: Any, escaped: bool, size: int) -> None:
    sent = json.dumps(content, ensure_ascii=escaped).encode()
    parts = [sent[start : start + size] for start in range(0, len(sent), size)]
    assert b"".join(shortened(parts)) == sent


@given(TEXTS, st.booleans(), st.integers(500, 5000))
def test_of_a_long_text_the_beginning_is_kept(text: str, escaped: bool, size: int) -> None:
    text *= 15_000 // len(text)
    sent = json.dumps([text, "next"], ensure_ascii=escaped).encode()
    parts = [sent[start : start + size] for start in range(0, len(sent), size)]
    kept, following = json.loads(b"".join(shortened(parts)))
    assert following == "next"
    assert 300 < len(kept) < 10_000
    # Of what is escaped in two parts, only the first may be kept.
    assert text.startswith(kept[:-1])


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_is_bounded_in_size_decompressed(
    encoding: str, job: Job, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LARGEST_ANSWER", 1000)
    answer = b" " * 1001
    sent = gzip.compress(answer) if encoding == "gzip" else answer
    forge_.refuse(200, sent, Content_Encoding=encoding)
    assert "the answer of 127.0.0.1 is too large." in refusal(job.request())
    assert len(forge_.requests) == 1


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [(b"not gzip", "gzip"), (gzip.compress(b"{}", mtime=0)[:-9], "gzip"), (b"{}", "br")],
)
def test_an_answer_whose_encoding_cannot_be_read_is_refused(
    sent: bytes, encoding: str, job: Job, forge_: Forge
) -> None:
    forge_.refuse(200, sent, Content_Encoding=encoding)
    assert (
        "encoding (br)" in (message := refusal(job.request())) or "compression is broken" in message
    )


def test_a_forge_that_never_ends_its_answer_is_given_up(
    job: Job, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.5)
    forge_.trickle = True
    assert "127.0.0.1 did not answer in time" in refusal(job.request())


def test_what_failed_before_the_time_was_up_is_reported(
    job: Job, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.5)
    forge_.refuse(503, {"message": "down"})
    forge_.trickle = True
    assert "before that: " in refusal(job.request())


def test_no_thread_is_one_line(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    message = refusal(job.request())
    assert message.startswith("cannot comment on ")
    assert message.endswith(": can't start new thread. Close some programs, and run again.")


def test_an_unreachable_forge_is_one_line(job: Job) -> None:
    message = refusal(job.request(api_url="http://127.0.0.1:9"))
    assert "no answer from 127.0.0.1: " in message
    assert message.endswith("Check the network, and run again.")


@pytest.mark.parametrize("proxy", ["http://user:s3cret@:bad", "s3cret://proxy"])
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_password(
    proxy: str, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    request = find_request(forge_.github, api_url="https://forge.invalid/graphql")
    message = refusal(request)
    assert "no connection can be set up" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("no_proxy", (ENVIRONMENTS / "no-proxy.txt").read_text().splitlines())
def test_entries_of_no_proxy_that_httpx_cannot_parse_are_passed_over(
    no_proxy: str, job: Job, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    post(job.request(), tagged(REPORT, None))
    assert len(forge_.comments) == 1
    # The proxy is asked for any other host.
    assert "no answer from forge.invalid" in refusal(job.request(api_url="https://forge.invalid"))


def test_what_a_proxy_that_refuses_writes_is_not_repeated(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b"HTTP/1.1 407 Basic dXNlcjpwYXNz\r\nContent-Length: 0\r\n\r\n"
    with on_the_wire(lambda: answer) as address:
        monkeypatch.setenv("HTTPS_PROXY", address.replace("//", "//user:pass@"))
        message = refusal(job.request(api_url="https://forge.invalid"))
    assert "the proxy refused: 407 Proxy Authentication Required. Check the network" in message


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts."""
    return trustme.CA()


@pytest.fixture
def guarded(authority: trustme.CA) -> Iterator[Forge]:
    """A forge with a certificate of its own."""
    with forge.running(authority.issue_cert("127.0.0.1")) as running:
        yield running


@pytest.mark.parametrize("name", FORGES)
def test_a_certificate_of_its_own_names_the_variable_and_is_final(
    name: str, guarded: Forge
) -> None:
    message = refusal(Job(name, getattr(guarded, name)).request())
    assert "no trusted TLS connection to 127.0.0.1: " in message
    assert "Set SSL_CERT_FILE to a file" in message
    assert guarded.connections == 1


@pytest.mark.parametrize("name", FORGES)
def test_a_certificate_of_its_own_is_trusted_by_ssl_cert_file(
    name: str,
    guarded: Forge,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    post(Job(name, getattr(guarded, name)).request(), tagged(REPORT, None))
    assert len(guarded.comments) == 1


def test_gitlabs_own_certificate_file_is_trusted_beside_the_others(
    guarded: Forge, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    variables = {**guarded.gitlab, "CI_SERVER_TLS_CA_FILE": str(tmp_path / "ca.pem")}
    post(find_request(variables), tagged(REPORT, None))
    assert len(guarded.comments) == 1


def test_certificates_that_cannot_be_read_are_one_line(guarded: Forge, tmp_path: Path) -> None:
    variables = {**guarded.gitlab, "CI_SERVER_TLS_CA_FILE": str(tmp_path / "missing.pem")}
    message = refusal(find_request(variables))
    assert "no connection can be set up" in message
    assert "SSL_CERT_FILE and CI_SERVER_TLS_CA_FILE" in message


@pytest.mark.parametrize(
    "hidden", ["{0}", "a{0}b", "{1}\x1b{2}", "{1}\u202e{2}", "{1}\u200b{2}", "{1}\u3164{2}"]
)
def test_the_token_is_redacted_in_what_a_forge_says(hidden: str, job: Job, forge_: Forge) -> None:
    request = job.request()
    token = request.token
    message = hidden.format(token, token[:3], token[3:])
    forge_.refuse(401, {"message": message, "errors": [{"message": f"again {token}"}]})
    text = refusal(request)
    assert token not in text
    assert "[redacted]" in text


def test_the_token_is_redacted_in_a_comments_address(
    forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forge, "REPOSITORY", "owner/job-token")
    variables = {**forge_.github, "GITHUB_REPOSITORY": "owner/job-token"}
    message = post(find_request(variables), tagged(REPORT, None))
    assert "https://github.com/owner/[redacted]/pull/12" in message


def test_a_report_that_is_too_long_for_a_comment_is_refused(forge_: Forge) -> None:
    long = tagged(made("x" * 65_483), None)
    with pytest.raises(
        CommentError, match="has 65,560 characters, and a comment may have at most 65,536"
    ):
        post(find_request(forge_.github), long)
    with pytest.raises(CommentError, match="a comment may have at most 65,536"):
        describe(find_place(forge_.github), long)
    assert forge_.requests == []


@pytest.mark.timeout(5)
def test_what_is_too_long_for_any_forge_is_refused_before_it_is_read() -> None:
    with pytest.raises(CommentError, match="characters, and a comment may have at most 1,000,000"):
        tagged(made("\n" * 20 * 2**20), None)


@pytest.mark.parametrize("tag", ["", " ", "-->", "a--b", "a b", "-a", "é", "x" * 65, "a\nb"])
def test_a_tag_that_cannot_stand_in_a_marker_is_refused(tag: str) -> None:
    with pytest.raises(CommentError, match="must be 1 to 64 letters, digits and"):
        marker(tag)


@pytest.mark.parametrize("report", ["", "\n", "\ufeff", f"\ufeff{made('')}"])
def test_an_empty_report_is_refused(report: str) -> None:
    with pytest.raises(CommentError, match="the report is empty"):
        tagged(report, None)


@pytest.mark.parametrize("whole", [REPORT, render_failure("no")])
def test_a_report_that_is_cut_off_anywhere_is_refused(whole: str) -> None:
    assert tagged(whole, None) == whole
    for length in range(len(whole) - 1):
        with pytest.raises(CommentError, match=r"the report is (empty|not whole)"):
            tagged(whole[:length], None)
    for length in range(1, whole.rstrip().rindex("\n")):
        with pytest.raises(CommentError, match=r"the report is (empty|not whole)"):
            tagged(whole[length:], None)


@given(st.data())
def test_a_report_that_lacks_or_repeats_something_in_its_middle_is_refused(
    data: st.DataObject,
) -> None:
    """Such as one whose rows over the limit are gone, or half of one before half of another."""
    whole = made("### Over budget\n\n| line | $5.00 |\n| line | $7.00 |\n\nAs of today.")
    first, last = MARKER, whole.rstrip().rpartition("\n")[2]
    inside = whole.removeprefix(first).rstrip().removesuffix(last)
    begin, end = sorted(data.draw(st.integers(0, len(inside))) for _ in range(2))
    lost, twice = inside[:begin] + inside[end:], inside[:end] + inside[begin:]
    for damaged in (lost, twice):
        # Blanks around lines do not count: some programs add or remove them.
        lines, unharmed = ([line.strip() for line in t.split("\n")] for t in (damaged, inside))
        if "\n".join(lines).strip() == "\n".join(unharmed).strip():
            continue
        with pytest.raises(CommentError, match=r"the report is (empty|not whole)"):
            tagged(f"{first}{damaged}{last}\n", None)


def test_line_ends_and_blanks_around_lines_do_not_count() -> None:
    for end in ("\r\n", "\r"):
        assert tagged(REPORT.replace("\n", end), None).splitlines() == REPORT.splitlines()
    assert "Within" in tagged(REPORT.replace("budget", "budget  "), None)


@pytest.mark.parametrize("before", ["    ", "\t", "> ", "- "])
@pytest.mark.parametrize("around", ["", "before\n"])
def test_a_report_that_is_indented_or_quoted_is_refused(before: str, around: str) -> None:
    """It would be shown as code, and half of it would not be noticed."""
    lines = [f"{before}{line}" for line in REPORT.splitlines()]
    with pytest.raises(CommentError, match="the report is indented or quoted"):
        tagged(around + "\n".join(lines), None)
    with pytest.raises(CommentError, match=r"the report is (indented|not whole)"):
        tagged(around + "\n".join(lines[:-1]), None)


@pytest.mark.parametrize("before", ["    ", " \t"])
def test_a_report_of_which_a_part_is_indented_is_refused(before: str) -> None:
    first, *rest, last = REPORT.splitlines()
    inside = [before * bool(line) + line for line in rest]
    with pytest.raises(CommentError, match="the report is indented"):
        tagged("\n".join([first, *inside, last]), None)


@pytest.mark.parametrize(
    "opened",
    [
        "```",
        "~~~~ markdown",
        "````\n```",
        "```\n~~~",
        "- ```",
        "> ```",
        "1. ```",
        "```\n```\n~~~",
        "<pre>",
        "<PRE class='x'>",
        "<style>",
    ],
)
def test_a_report_inside_code_is_refused(opened: str) -> None:
    """Its headline would be one line of many, and its table would be none."""
    for after in ("", "\n```\n"):
        with pytest.raises(CommentError, match="the report is inside the code or HTML that begins"):
            tagged(f"Spend:\n{opened}\n{REPORT}{after}", None)


@pytest.mark.parametrize(
    "ended",
    [
        "```\nmake spend\n```",
        "~~~ sh\n```\n~~~~",
        "- ```\n  make spend\n  ```",
        "> ```\n> make spend\n> ```",
        "``` `a` is no fence",
        "As `code` and ```code```",
        "<pre>make spend</pre>",
        "<pretty>",
    ],
)
def test_a_report_behind_code_is_posted(ended: str) -> None:
    assert "Within" in tagged(f"{ended}\n\n{REPORT}", None)
    assert "Within" in tagged(f"{ended}\n\n{REPORT}\n```\nmore\n```", None)


def test_half_a_report_is_refused_whatever_its_line_ends() -> None:
    with pytest.raises(CommentError, match="the report is not whole"):
        tagged(REPORT.replace("\n", "\r")[:-40], None)


@pytest.mark.parametrize("parts", [(REPORT, OVER), (OVER, "\n\n", REPORT), (REPORT, REPORT)])
def test_two_reports_in_one_file_are_refused(parts: tuple[str, ...]) -> None:
    """As where each run is appended: the first headline would be yesterday's."""
    with pytest.raises(CommentError, match="more than one report: post each by itself"):
        tagged("".join(parts), None)


def test_the_end_of_a_report_before_a_whole_one_is_refused() -> None:
    with pytest.raises(CommentError, match="its first line is missing"):
        tagged(f"{OVER.removeprefix(MARKER)}{REPORT}", None)


def test_words_of_ones_own_may_stand_around_a_report() -> None:
    text = f"before\n\n{REPORT}\nafter"
    assert text in tagged(text, "dev")


@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_a_report_in_another_format_is_refused(form: str, forge_: Forge) -> None:
    """Names are not escaped in it as in Markdown, so that they could mention people."""
    report = run("report", "--from", UPDATE, "--format", form).stdout
    refused = run("comment", "-", stdin=report, **forge_.github)
    assert refused.returncode == 2
    assert refused.stderr.endswith("write it again with `cf-invoice report --format markdown`\n")
    assert forge_.requests == []


@pytest.mark.parametrize("begin", [0, 1])
def test_a_report_without_its_first_and_last_line_is_refused(begin: int) -> None:
    inside = "\n".join(REPORT.splitlines()[1:-1][begin:])
    with pytest.raises(CommentError, match="it has neither the first nor the last line of one"):
        tagged(f"### My own words\n\n{inside}" if begin else inside, None)


def test_half_a_report_behind_a_whole_one_is_refused() -> None:
    half = END.sub("", OVER)
    with pytest.raises(CommentError, match="more than one report"):
        tagged(f"{REPORT}{half}", None)


def test_the_command_refuses_half_a_report(forge_: Forge) -> None:
    whole = run("report", "--from", UPDATE, "--format", "markdown").stdout
    half = run("comment", "-", stdin=whole[: len(whole) // 2], **forge_.github)
    assert half.returncode == 2
    assert "the report is not whole, because its last line" in half.stderr
    assert forge_.requests == []
    assert tagged(whole, None) == whole


def test_a_report_in_utf_16_is_posted_as_text(tmp_path: Path) -> None:
    """PowerShell writes what a command prints in it."""
    written = tmp_path / "report.md"
    written.write_bytes(REPORT.encode("utf-16"))
    assert run("comment", str(written), "--dry-run").stdout.endswith(f"\n\n{REPORT}\n")
    written.write_bytes(REPORT.encode() + "more".encode("utf-16"))
    refused = run("comment", str(written), "--dry-run")
    assert refused.returncode == 2
    assert "report.md: line 6 is not text in UTF-8" in refused.stderr


def test_what_is_given_comes_before_the_variables(forge_: Forge) -> None:
    request = find_request(
        forge_.github | {"GITLAB_TOKEN": "mine"},
        forge="gitlab",
        api_url=f"{forge_.address}/",
        repository="group/name",
        number=3,
    )
    assert request.text == "merge request 3 of project group/name"
    post(request, tagged(REPORT, None))
    assert "POST /projects/group%2Fname/merge_requests/3/notes HTTP/1.1" in forge_.requests


def test_a_job_of_another_forge_does_not_tell_where_the_request_is(forge_: Forge) -> None:
    variables = {**forge_.github, "GITLAB_TOKEN": "mine", "CI_API_V4_URL": forge_.address}
    with pytest.raises(CommentError, match="give --repository"):
        find_request(variables, forge="gitlab", number=3)
    with pytest.raises(CommentError, match="give --request"):
        find_request(variables, forge="gitlab", repository="3")


REQUEST_OF_OURS = {
    "number": 12,
    "head": {"repo": {"id": 1}},
    "base": {"repo": {"id": 1}},
}
QUEUED = "refs/heads/gh-readonly-queue/release/1.0/pr-12-2f3cd9a7e0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5"


@pytest.mark.parametrize(
    "event",
    [
        {"pull_request": {"number": 12}},
        {"issue": {"number": 12, "pull_request": {"url": "…"}}},
        {"merge_group": {"head_ref": QUEUED}},
        {"repository": {"id": 1}, "workflow_run": {"pull_requests": [REQUEST_OF_OURS]}},
        {"workflow_run": {"pull_requests": [{"number": 12}]}},
    ],
)
def test_the_number_is_found_in_the_event(event: Any, forge_: Forge, tmp_path: Path) -> None:
    assert find_request(forge_.github | event_of(tmp_path, event)).number == 12


def test_the_number_is_found_in_the_ref_of_a_merge_queue(forge_: Forge) -> None:
    queue = {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": QUEUED}
    assert find_request(forge_.github | queue).number == 12
    # A branch of that name is no queue.
    with pytest.raises(CommentError, match="give --request"):
        find_request(forge_.github | queue | {"GITHUB_EVENT_NAME": "push"})


@pytest.mark.parametrize(
    "event",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        {"issue": {"number": 12}},
        {"issue": 1},
        {"pull_request": {"number": "x"}},
        {"pull_request": {"number": 10**17}},
        {"merge_group": {"head_ref": "refs/heads/pr-12-abc"}},
        {"merge_group": {}},
        # A fork's.
        {"repository": {"id": 1}, "workflow_run": {"pull_requests": []}},
        {
            "repository": {"id": 1},
            "workflow_run": {"pull_requests": [{**REQUEST_OF_OURS, "head": {"repo": {"id": 2}}}]},
        },
        # From here to the repository that this is a fork of.
        {
            "repository": {"id": 1},
            "workflow_run": {"pull_requests": [{**REQUEST_OF_OURS, "base": {"repo": {"id": 2}}}]},
        },
        # Two requests of one branch.
        {
            "repository": {"id": 1},
            "workflow_run": {"pull_requests": [REQUEST_OF_OURS, {**REQUEST_OF_OURS, "number": 13}]},
        },
    ],
)
def test_an_event_of_no_request_or_of_a_forks_names_no_number(
    event: Any, forge_: Forge, tmp_path: Path
) -> None:
    with pytest.raises(CommentError, match="give --request"):
        find_request(forge_.github | event_of(tmp_path, event))


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("ghp_one\nghp_two", "one line of printable ASCII text: was it copied with a line break?"),
        ("ghp_\u00e4bc", "one line of printable ASCII text"),
        ('"ghp_abcdefgh"', "a blank or a quotation mark in it"),
        ("Bearer ghp_abcdefgh", "a blank or a quotation mark in it"),
    ],
)
@pytest.mark.parametrize("variable", ["GH_TOKEN", "GITLAB_TOKEN"])
def test_a_token_that_cannot_be_sent_is_one_line_without_it(
    variable: str, token: str, problem: str, forge_: Forge
) -> None:
    variables = forge_.github if variable == "GH_TOKEN" else forge_.gitlab
    with pytest.raises(CommentError) as refused:
        find_request({**variables, variable: token})
    message = str(refused.value)
    assert message.startswith(f"cannot comment: {variable} has an access token ")
    assert problem in message
    assert "ghp" not in message


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("GITHUB_ACTIONS", "neither GitHub Actions nor GitLab CI: give --forge"),
        ("GITHUB_REPOSITORY", "the repository is not known: give --repository"),
        ("GITHUB_REF", "runs for no pull or merge request, or for several: give --request"),
        ("GH_TOKEN", "no token: set GH_TOKEN or GITHUB_TOKEN"),
        (
            "GITHUB_GRAPHQL_URL",
            "which GitHub server the token belongs to is not known: give --api-url",
        ),
        ("GITLAB_CI", "neither GitHub Actions nor GitLab CI: give --forge"),
        ("CI_API_V4_URL", "which GitLab server the token belongs to is not known: give --api-url"),
        ("CI_PROJECT_ID", "the repository is not known: give --repository"),
        (
            "CI_MERGE_REQUEST_IID",
            "runs for no pull or merge request, or for several: give --request",
        ),
        ("GITLAB_TOKEN", "no token: set GITLAB_TOKEN"),
    ],
)
@pytest.mark.parametrize("value", ["", " \n", None])
def test_what_a_job_lacks_is_named(
    missing: str, expected: str, value: str | None, forge_: Forge
) -> None:
    variables = dict(forge_.github if missing in forge_.github else forge_.gitlab)
    if value is None:
        del variables[missing]
    else:
        variables[missing] = value
    with pytest.raises(CommentError, match=f"cannot comment: .*{expected}"):
        find_request(variables)


def test_the_token_of_a_job_of_gitea_goes_nowhere_unless_it_is_named() -> None:
    with pytest.raises(CommentError, match="not GitHub's: on Gitea and Forgejo give --forge gitea"):
        find_request(variables_of("gitea.env"))
    request = find_request(variables_of("gitea.env"), forge="gitea")
    assert request.api_url == "https://git.example.org/api/v1"
    assert (request.text, request.token) == ("pull request 7 of team/infra", "gitea-job-token")


def test_the_command_sends_nothing_in_a_job_of_gitea(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        variables = {**variables_of("gitea.env"), "HTTPS_PROXY": address, "NO_PROXY": ""}
        refused = run("comment", "-", stdin=REPORT, **variables)
        assert refused.returncode == 2
        assert refused.stderr.startswith("cf-invoice: cannot comment: this job's token belongs to")
        assert refused.stderr.count("\n") == 1
        with pytest.raises(BlockingIOError):
            proxy.accept()


GITEA = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://git.example.org",
    "GITHUB_GRAPHQL_URL": "",
    "GITHUB_REPOSITORY": "team/infra",
    "GITHUB_REF": "refs/pull/7/head",
    "GITHUB_TOKEN": "theirs",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"FORGEJO_ACTIONS": "true"},
        {"GITEA_ACTIONS": "1"},
        {"GITEA_ACTIONS": "true", "GITHUB_GRAPHQL_URL": "https://api.github.com/graphql"},
        {"GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com"},
        {"GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": ""},
        {"FORGEJO_ACTIONS": "true", "GITHUB_ACTIONS": ""},
        {"GITHUB_SERVER_URL": "https://github.com.example.org"},
        {"GITHUB_SERVER_URL": "https://codeberg.org"},
    ],
)
def test_no_form_of_a_job_of_gitea_or_forgejo_is_taken_for_githubs(more: dict[str, str]) -> None:
    with pytest.raises(CommentError, match="--forge gitea"):
        find_request(GITEA | more)
    with pytest.raises(CommentError, match=r"--api-url|--repository"):
        find_request(GITEA | more, forge="github")


def test_the_token_of_a_job_of_gitea_is_not_sent_to_github_by_name_either() -> None:
    there: dict[str, Any] = {
        "api_url": "https://api.github.com/graphql",
        "repository": "a/b",
        "number": 1,
    }
    variables = GITEA | {"GITEA_ACTIONS": "true"}
    with pytest.raises(CommentError, match="no token: set GH_TOKEN"):
        find_request(variables, forge="github", **there)
    assert find_request(variables | {"GH_TOKEN": "a"}, forge="github", **there).token == "a"


def test_githubs_token_is_not_sent_to_gitea(forge_: Forge) -> None:
    there: dict[str, Any] = {
        "api_url": "https://codeberg.org/api/v1",
        "repository": "a/b",
        "number": 1,
    }
    of_job = forge_.github | {"GITHUB_TOKEN": "job-token"}
    for variables in (of_job, {"GITHUB_TOKEN": "mine"}):
        with pytest.raises(CommentError, match="no token: set GITEA_TOKEN or FORGEJO_TOKEN"):
            find_request(variables, forge="gitea", **there)


@pytest.mark.parametrize(
    ("server", "endpoint", "asked"),
    [
        ("https://github.com", "", "https://api.github.com/graphql"),
        ("https://GitHub.com/", "", "https://api.github.com/graphql"),
        ("https://github.com", "https://api.github.com/graphql", "https://api.github.com/graphql"),
        (
            "https://ghe.example",
            "https://ghe.example/api/graphql",
            "https://ghe.example/api/graphql",
        ),
        ("https://a.ghe.com", "https://api.a.ghe.com/graphql", "https://api.a.ghe.com/graphql"),
        ("https://ghe.example", "http://127.0.0.1:1/graphql", "http://127.0.0.1:1/graphql"),
        ("", "https://ghe.example/api/graphql", "https://ghe.example/api/graphql"),
    ],
)
def test_a_token_goes_to_the_github_that_it_belongs_to(
    server: str, endpoint: str, asked: str, forge_: Forge
) -> None:
    variables = {"GITHUB_SERVER_URL": server, "GITHUB_GRAPHQL_URL": endpoint}
    assert find_request(forge_.github | variables).api_url == asked


@pytest.mark.parametrize(
    ("server", "endpoint", "expected"),
    [
        ("https://ghe.example", "https://api.github.com/graphql", "leads to api.github.com"),
        ("https://github.com", "https://ghe.example/api/graphql", "leads to ghe.example"),
        ("https://ghe.example", "", "--api-url"),
        ("https://ghe.example", "http://ghe.example/api/graphql", "neither https nor on this"),
        ("https://[", "https://api.github.com/graphql", "give --api-url"),
    ],
)
def test_a_token_goes_to_no_github_that_it_does_not_belong_to(
    server: str, endpoint: str, expected: str, forge_: Forge
) -> None:
    variables = {"GITHUB_SERVER_URL": server, "GITHUB_GRAPHQL_URL": endpoint}
    with pytest.raises(CommentError, match=expected):
        find_request(forge_.github | variables)


@pytest.mark.parametrize("name", ["gitlab", "gitea"])
def test_a_token_goes_to_no_other_server_than_the_jobs_own(name: str, forge_: Forge) -> None:
    server, address = {
        "gitlab": ("CI_SERVER_URL", "CI_API_V4_URL"),
        "gitea": ("GITHUB_SERVER_URL", "GITHUB_API_URL"),
    }[name]
    job = getattr(forge_, name) | {server: "https://git.example"}
    own = find_request(job | {address: "https://git.example/api"}, forge=name)
    assert own.api_url == "https://git.example/api"
    assert find_request(job | {address: "https://git.example:443/api"}, forge=name)
    for elsewhere in (
        "https://git.example.org/api",
        "https://git.example@evil.org/api",
        "https://git.example:8443/api",
    ):
        with pytest.raises(CommentError, match=rf"to git\.example \({server}\), and {address}"):
            find_request(job | {address: elsewhere}, forge=name)
    given = find_request(job, forge=name, api_url="https://other.example/api")
    assert given.api_url == "https://other.example/api"


@pytest.mark.parametrize(
    ("variables", "runner"),
    [
        ({"CI": "true", "BITBUCKET_BUILD_NUMBER": "1"}, "Bitbucket Pipelines"),
        ({"TF_BUILD": "True", "SYSTEM_ACCESSTOKEN": "t", "GITHUB_TOKEN": "t"}, "Azure Pipelines"),
        ({"CI": "woodpecker", "CI_FORGE_TYPE": "gitea", "GITHUB_TOKEN": "t"}, "Woodpecker"),
        ({"CIRCLECI": "true", "GITHUB_TOKEN": "t"}, "CircleCI"),
    ],
)
def test_any_other_runner_is_told_the_way_by_hand(variables: dict[str, str], runner: str) -> None:
    with pytest.raises(CommentError, match=f"{runner}, which is neither .* give --forge"):
        find_request(variables)


def test_the_variables_of_two_forges_are_not_guessed_at(forge_: Forge) -> None:
    with pytest.raises(CommentError, match="of GitHub and GitLab: give --forge"):
        find_request(forge_.github | forge_.gitlab)
    assert find_request(forge_.github | forge_.gitlab, forge="gitlab").token == "comment-token"


def test_a_merge_request_of_a_fork_is_in_the_project_that_it_is_to_be_merged_into(
    forge_: Forge,
) -> None:
    variables = variables_of("gitlab-fork.env") | {"CI_API_V4_URL": forge_.address}
    request = find_request(variables)
    assert request.text == "merge request 3 of project 7"
    post(request, tagged(REPORT, None))
    assert "POST /projects/7/merge_requests/3/notes HTTP/1.1" in forge_.requests


def test_a_token_is_sent_over_https_alone_and_shown_nowhere(forge_: Forge) -> None:
    with pytest.raises(CommentError, match=r"--api-url: .* is neither https nor on this machine"):
        find_request(forge_.github, api_url="http://github.example.com/graphql")
    with pytest.raises(CommentError, match=r"such as https://git\.example\.com/api/v4, without"):
        find_request(forge_.github, api_url="https://github.example.com/graphql?a")
    with pytest.raises(CommentError, match=r"--api-url: .* 10\.0\.0\.256 is not an IP address"):
        find_request(forge_.github, api_url="https://10.0.0.256/graphql")
    assert "job-token" not in repr(find_request(forge_.github))
    for token in ("job\ntoken", "jöb-token"):
        with pytest.raises(CommentError, match="not one line of printable ASCII text") as refused:
            find_request(forge_.github | {"GH_TOKEN": token})
        assert token not in str(refused.value)


def test_a_token_with_a_line_break_at_its_end_is_the_token(forge_: Forge) -> None:
    assert find_request(forge_.github | {"GH_TOKEN": " job-token\r\n"}).token == "job-token"
    blank = {"GH_TOKEN": "\n", "GITHUB_TOKEN": "other-token\n"}
    assert find_request(forge_.github | blank).token == "other-token"


def test_a_repository_is_one_clean_line_wherever_it_is_named(forge_: Forge) -> None:
    request = find_request(forge_.github, repository="owner/\x1b[31mname\n::error::x")
    assert request.text.isprintable()
    refusal(request)
    assert find_place(forge_.github, repository="a/b\nc").text.isprintable()


@pytest.mark.parametrize("repository", ["name", "owner/", "/name", "a/b/c", "../x"])
def test_a_repository_that_is_none_is_refused(repository: str, forge_: Forge) -> None:
    request = find_request(forge_.github, repository=repository)
    with pytest.raises(CommentError):
        post(request, tagged(REPORT, None))


def test_an_error_can_be_pickled(forge_: Forge) -> None:
    forge_.refuse(401, {"message": "no"})
    with pytest.raises(CommentError) as refused:
        post(find_request(forge_.github), tagged(REPORT, None))
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_the_command_posts_a_file_and_says_where(forge_: Forge, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text(REPORT)
    done = run("comment", str(report), "--tag", "dev", **forge_.github)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Commented on pull request 12 of owner/name: "
        "https://github.com/owner/name/pull/12#issuecomment-1\n"
    )


BACKSLASH = r"\\\1"


@pytest.mark.parametrize("token", ["ghp_s3cret-t0ken", "a*b~c&d_s3cret", "s3cret-gh-1-t0ken"])
@pytest.mark.parametrize("how", ["report", "other tool", "escaped", "wrapped"])
def test_a_credential_in_a_report_is_not_posted(token: str, how: str, forge_: Forge) -> None:
    """What wrote the report may have been another tool, or have had no such variable."""
    name = made(f"| {escape(f'line of {token}')} | {words(f'It says {token}.')} |")
    body = {
        "report": name,
        "other tool": f"The run with {token} failed.\n\n{REPORT}",
        "escaped": f"Of {re.sub('([^a-z0-9])', BACKSLASH, token)}, it failed.\n\n{REPORT}",
        "wrapped": f"The run with {token[:-3]}\n{token[-3:]} failed.\n\n{REPORT}",
    }[how]
    environment = {**forge_.github, "CLOUDFLARE_API_TOKEN": f"{token}\n"}
    done = run("comment", "-", stdin=body, **environment)
    assert done.returncode == 0
    [posted] = forge_.bodies
    dry = run("comment", "-", "--dry-run", stdin=body, **environment).stdout
    for shown in (posted, dry):
        assert "[redacted]" in shown
        assert "s3cret" not in html.unescape(shown)
    assert posted.startswith(MARKER)
    assert ("line of" in posted) == (how == "report")


def test_a_credential_that_is_a_word_of_ours_does_not_hide_the_comment(forge_: Forge) -> None:
    environment = {**forge_.github, "X_TOKEN": "cf-invoice"}
    for _ in range(2):
        assert run("comment", "-", stdin=REPORT, **environment).returncode == 0
    [posted] = forge_.bodies
    assert posted.startswith(MARKER)


def test_a_dry_run_of_the_command_needs_no_token_and_no_network(forge_: Forge) -> None:
    variables = {name: value for name, value in forge_.github.items() if name != "GH_TOKEN"}
    dry = run("comment", "-", "--tag", "dev", "--dry-run", stdin=REPORT, **variables)
    assert (dry.returncode, dry.stderr) == (0, "")
    assert dry.stdout.startswith("Would comment on pull request 12 of owner/name, by http://")
    assert tagged(REPORT, "dev") in dry.stdout
    assert forge_.requests == []
    unknown = run("comment", "-", "--dry-run", stdin=REPORT)
    assert unknown.returncode == 0
    assert unknown.stdout.startswith("Would comment on a request (not known here: --forge")


def test_the_command_fails_in_one_line(forge_: Forge, tmp_path: Path) -> None:
    missing = run("comment", str(tmp_path / "missing.md"), **forge_.github)
    assert missing.returncode == 2
    assert missing.stderr == (
        f"cf-invoice: cannot read {tmp_path / 'missing.md'}: No such file or directory\n"
    )
    forge_.refuse(401, {"message": "Bad credentials"})
    refused = run("comment", "-", stdin=REPORT, **forge_.github)
    assert refused.returncode == 2
    assert refused.stderr.startswith("cf-invoice: cannot comment on pull request 12 of owner/name")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "number", ["x", "0", "-1", "9" * 18, "2147483648", "\uff11\uff12", "1.0", ""]
)
def test_a_number_that_no_request_can_have_is_refused(number: str, forge_: Forge) -> None:
    wrong = run("comment", "-", f"--request={number}", stdin=REPORT, **forge_.github)
    assert wrong.returncode == 2
    assert f"{number!r} is not the number of a request" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
    assert forge_.requests == []
