import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.comments import CommentError, find_request, marker, post, tagged
from pulumi_cf_invoice.report.markdown import MARKER
from tests import forge
from tests.forge import BOT, STRANGER, Forge
from tests.unit.test_cli import run

REPORT = f"{MARKER}\n\n### Within budget\n"


@pytest.fixture
def forge_() -> Iterator[Forge]:
    with forge.running() as running:
        yield running


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest, forge_: Forge) -> dict[str, str]:
    """The variables of a job for a request, on each of the forges in turn."""
    found: dict[str, str] = getattr(forge_, request.param)
    return found


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "backoff", lambda _: 0.0)


def test_the_first_report_is_a_new_comment(job: dict[str, str], forge_: Forge) -> None:
    said = post(find_request(job), tagged(REPORT, None))
    assert said.startswith("Commented on ")
    assert forge_.bodies == [REPORT]
    assert forge_.tokens == {"Bearer job-token" if "GH_TOKEN" in job else "comment-token"}


def test_the_next_report_updates_our_comment_and_nobody_elses(
    job: dict[str, str], forge_: Forge
) -> None:
    forge_.add(f"{MARKER}\n\nby a stranger", STRANGER)
    forge_.add("a word of the same bot", BOT)
    forge_.add(f"a quotation of {MARKER}", BOT)
    request = find_request(job)
    post(request, tagged(REPORT, None))
    said = post(request, tagged(f"{MARKER}\n\n### Over budget\n", None))
    assert said.startswith("Updated the comment on ")
    assert [body.splitlines()[-1] for body in forge_.bodies] == [
        "by a stranger",
        "a word of the same bot",
        f"a quotation of {MARKER}",
        "### Over budget",
    ]


def test_reports_of_several_tags_are_comments_of_their_own(
    job: dict[str, str], forge_: Forge
) -> None:
    request = find_request(job)
    for tag in (None, "shop/dev", "shop/dev-2", None, "shop/dev"):
        post(request, tagged(REPORT, tag))
    assert [body.splitlines()[0] for body in forge_.bodies] == [
        MARKER,
        "<!-- pulumi-cf-invoice report shop/dev -->",
        "<!-- pulumi-cf-invoice report shop/dev-2 -->",
    ]


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    job: dict[str, str], forge_: Forge
) -> None:
    request = find_request(job)
    assert post(request, tagged(REPORT, None), dry_run=True).startswith("Would comment on ")
    assert forge_.comments == []
    forge_.add(REPORT)
    body = tagged(f"{REPORT}\nmore", None)
    assert post(request, body, dry_run=True).startswith("Would update the comment on ")
    assert forge_.bodies == [REPORT]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_can_get_better_is_tried_again(
    status: int, job: dict[str, str], forge_: Forge
) -> None:
    forge_.refuse(status, {"message": "later"})
    forge_.refuse(status, "<html>", Retry_After="0")
    post(find_request(job), tagged(REPORT, None))
    assert len(forge_.comments) == 1


def test_a_comment_whose_answer_got_lost_is_not_made_twice(
    job: dict[str, str], forge_: Forge
) -> None:
    # GitLab is asked for its user first.
    forge_.lose_answer(after=1 if "GH_TOKEN" in job else 2)
    said = post(find_request(job), tagged(REPORT, None))
    assert said.startswith("Updated")
    assert len(forge_.comments) == 1


def test_githubs_secondary_limit_is_waited_for(forge_: Forge) -> None:
    forge_.refuse(403, {"message": "secondary rate limit"}, Retry_After="0")
    forge_.refuse(200, {"errors": [{"type": "RATE_LIMITED", "message": "limit"}]})
    forge_.refuse(200, {"errors": [{"message": "Something went wrong"}]})
    post(find_request(forge_.github), tagged(REPORT, None))
    assert len(forge_.comments) == 1


def test_it_gives_up_after_four_attempts_and_after_an_hour_is_asked_for(
    job: dict[str, str], forge_: Forge
) -> None:
    for _ in range(4):
        forge_.refuse(503, {"message": "down"})
    with pytest.raises(CommentError, match=r"said HTTP 503: down\. Run again later\."):
        post(find_request(job), tagged(REPORT, None))
    assert len(forge_.requests) == 4
    forge_.refuse(429, {"message": "slow down"}, Retry_After="3600")
    with pytest.raises(CommentError, match="HTTP 429: slow down"):
        post(find_request(job), tagged(REPORT, None))
    assert len(forge_.requests) == 5


GITHUB_REFUSALS: list[tuple[int, Any, str]] = [
    (401, {"message": "Bad credentials"}, "HTTP 401: Bad credentials. Set GH_TOKEN to a token"),
    (
        200,
        {"errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]},
        "Resource not accessible by integration. Give the job the permission "
        "`pull-requests: write`; the token of a fork's pull request may only read.",
    ),
    (403, {"message": "SSO needed"}, "HTTP 403: SSO needed. Give the job the permission"),
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
    (404, {"message": "404 Project Not Found"}, "404 Project Not Found. Check --repository"),
    (200, {}, "answer lacks what was asked for. Check --api-url."),
    (301, "", "GitLab said HTTP 301. Check --api-url."),
]


@pytest.mark.parametrize(
    ("name", "status", "content", "told"),
    [("github", *one) for one in GITHUB_REFUSALS] + [("gitlab", *one) for one in GITLAB_REFUSALS],
)
def test_a_refusal_says_what_the_forge_said_and_what_is_missing(
    name: str, status: int, content: Any, told: str, forge_: Forge
) -> None:
    forge_.refuse(status, content)
    variables: dict[str, str] = getattr(forge_, name)
    with pytest.raises(CommentError) as refused:
        post(find_request(variables), tagged(REPORT, None))
    assert str(refused.value).startswith("cannot comment on ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert forge_.comments == []


def test_an_unreachable_forge_is_one_line(job: dict[str, str]) -> None:
    address = "http://127.0.0.1:9"
    with pytest.raises(CommentError, match=r"no answer from 127\.0\.0\.1: .*\. Check the network"):
        post(find_request(job, api_url=address), tagged(REPORT, None))


@pytest.mark.parametrize("proxy", ["http://user:s3cret@:bad", "s3cret://proxy"])
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_password(
    proxy: str, forge_: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    request = find_request(forge_.github, api_url="https://forge.invalid/graphql")
    with pytest.raises(CommentError, match="no connection can be set up") as no:
        post(request, tagged(REPORT, None))
    assert "s3cret" not in str(no.value)


def test_a_report_that_is_too_long_for_a_comment_is_refused(forge_: Forge) -> None:
    with pytest.raises(CommentError, match="has 65,568 characters, and a comment at most 65,536"):
        post(find_request(forge_.github), tagged("x" * 65_532, None))
    assert forge_.comments == []


@pytest.mark.parametrize("tag", ["", " ", "-->", "a--b", "a b", "-a", "é", "x" * 65, "a\nb"])
def test_a_tag_that_cannot_stand_in_a_marker_is_refused(tag: str) -> None:
    with pytest.raises(CommentError, match="is not up to 64 letters, digits and"):
        marker(tag)


@pytest.mark.parametrize("report", ["", "\n", MARKER, f"\ufeff{MARKER}\n"])
def test_an_empty_report_is_refused(report: str) -> None:
    with pytest.raises(CommentError, match="the report is empty"):
        tagged(report, None)


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


@pytest.mark.parametrize(
    "event",
    [
        {"pull_request": {"number": 12}},
        {"issue": {"number": 12, "pull_request": {"url": "…"}}},
    ],
)
def test_the_number_is_found_in_the_event(event: Any, forge_: Forge, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event))
    of_branch = {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_PATH": str(file)}
    assert find_request(forge_.github | of_branch).number == 12


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("GITHUB_ACTIONS", "neither GitHub Actions nor GitLab CI: give --forge"),
        ("GITHUB_REPOSITORY", "it is not known where: give --repository"),
        ("GITHUB_REF", "runs for no pull or merge request: give --request"),
        ("GH_TOKEN", "no token: set GH_TOKEN or GITHUB_TOKEN"),
        ("GITLAB_CI", "neither GitHub Actions nor GitLab CI: give --forge"),
        ("CI_PROJECT_ID", "it is not known where: give --repository"),
        ("CI_MERGE_REQUEST_IID", "runs for no pull or merge request: give --request"),
        ("GITLAB_TOKEN", "no token: set GITLAB_TOKEN"),
    ],
)
@pytest.mark.parametrize("value", ["", None])
def test_what_a_job_lacks_is_named(
    missing: str, told: str, value: str | None, forge_: Forge
) -> None:
    variables = dict(forge_.github if missing in forge_.github else forge_.gitlab)
    if value is None:
        del variables[missing]
    else:
        variables[missing] = value
    with pytest.raises(CommentError, match=f"cannot comment: .*{told}"):
        find_request(variables)


@pytest.mark.parametrize("event", ["", "{", "[]", '{"issue": {"number": 12}}', '{"issue": 1}'])
def test_an_event_of_no_request_names_no_number(event: str, forge_: Forge, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(event)
    with pytest.raises(CommentError, match="no pull or merge request"):
        find_request(
            forge_.github | {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_PATH": str(file)}
        )


def test_a_token_is_sent_over_https_alone_and_shown_nowhere(forge_: Forge) -> None:
    with pytest.raises(CommentError, match=r"--api-url: .* is neither https nor on this machine"):
        find_request(forge_.github, api_url="http://github.example.com/graphql")
    assert "job-token" not in repr(find_request(forge_.github))
    for token in ("job\ntoken", "jöb-token"):
        with pytest.raises(CommentError, match="not one line of printable ASCII text") as refused:
            find_request(forge_.github | {"GH_TOKEN": token})
        assert token not in str(refused.value)


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
    again = run("comment", "-", "--tag", "dev", "--dry-run", stdin=REPORT, **forge_.github)
    assert again.stdout.startswith("Would update the comment on pull request 12 of owner/name: ")
    assert len(forge_.comments) == 1


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
    wrong = run("comment", "-", "--request", "x", stdin=REPORT, **forge_.github)
    assert wrong.returncode == 2
    assert "'x' is not the number of a request" in wrong.stderr
