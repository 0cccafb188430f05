"""What the Action runs where it could not install anything else."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.comments import not_installed
from pulumi_cf_invoice.comments.reports import marker
from tests import forge, receivers
from tests.factories import SECRET

FAILED = "An older comment could not be replaced: "
Answer = Callable[[socket.socket], None]


@contextmanager
def server(answer: Answer, asked: list[bytes] | None = None) -> Iterator[str]:
    """Answer each request as *answer* does, note its body in *asked*, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append(body)
            with suppress(OSError):
                answer(self.connection)

    with receivers.serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as running:
        yield f"http://127.0.0.1:{running.server_port}"


def trickle(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(100):
        client.sendall(b"X")
        time.sleep(0.05)


def answering(text: str) -> Answer:
    return lambda client: client.sendall(text.encode())


def with_comments(page: Any) -> dict[str, Any]:
    return {"data": {"repository": {"pullRequest": {"comments": page}}}}


def printed(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    **more: str,
) -> str:
    """
    Run it as the Action does, with a forge at *url* and *more* variables, and return what it
    prints.
    """
    report = tmp_path / "report.md"
    report.write_text("x")
    for name, value in {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_GRAPHQL_URL": url,
        "GITHUB_REPOSITORY": "owner/name",
        "PULL_REQUEST": "12",
        "GH_TOKEN": SECRET,
        **more,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["not_installed.py", str(report)])
    not_installed.main()
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"no HTTP, but {SECRET}\r\n\r\n",
        f"HTTP/1.1 403 {SECRET}\r\n\r\n",
        f"HTTP/1.1 302 Found\r\nLocation: https://{SECRET}.example.com\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "X: x\r\n" * 200,
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        "HTTP/1.1 200 OK\r\n\r\n" + "[" * 100_000,
        'HTTP/1.1 200 OK\r\n\r\n{"data": {"repository": null}}',
        f'HTTP/1.1 200 OK\r\n\r\n{{"errors": ["{SECRET}"]}}',
    ],
)
def test_an_odd_answer_is_one_line_without_the_token(
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with server(answering(text)) as url:
        line = printed(url, tmp_path, monkeypatch, capsys)
    assert line.startswith(FAILED)
    assert line.count("\n") == 1
    assert SECRET not in line


@pytest.mark.parametrize(
    "answer",
    [
        [],
        None,
        {},
        {"data": None},
        {"data": {"repository": None}},
        with_comments({}),
        with_comments({"nodes": [{"viewerDidAuthor": True, "id": "C"}], "pageInfo": {}}),
        with_comments({"nodes": [{"viewerDidAuthor": True, "body": None}], "pageInfo": {}}),
        with_comments({"nodes": [], "pageInfo": None}),
    ],
)
def test_an_answer_that_lacks_something_is_said_in_words(
    answer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with server(answering(f"HTTP/1.1 200 OK\r\n\r\n{json.dumps(answer)}")) as url:
        line = printed(url, tmp_path, monkeypatch, capsys)
    assert line == f"{FAILED}GitHub's answer lacks what was asked for.\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "GitHub could not be reached."),
        ("HTTP/1.1 403 no\r\n\r\n", "GitHub said HTTP 403."),
        ("HTTP/1.1 302 Found\r\nLocation: https://example.com\r\n\r\n", "GitHub said HTTP 302."),
        ("HTTP/1.1 200 OK\r\n\r\n<html>", "GitHub's answer lacks what was asked for."),
        ('HTTP/1.1 200 OK\r\n\r\n{"errors": [1]}', "GitHub refused."),
    ],
)
def test_what_else_goes_wrong_is_said_in_words(
    answer: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with server(answering(answer)) as url:
        line = printed(url, tmp_path, monkeypatch, capsys)
    assert line == f"{FAILED}{why}\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULL_REQUEST", "abc"),
        ("PULL_REQUEST", ""),
        ("GH_TOKEN", f"{SECRET}\n{SECRET}"),
        ("GH_TOKEN", f"{SECRET}\u20ac"),
        ("GH_TOKEN", ""),
        ("GITHUB_GRAPHQL_URL", "https://[x/graphql"),
    ],
)
def test_a_job_of_which_a_variable_cannot_be_read_is_not_githubs_fault(
    name: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[bytes] = []
    with server(answering(""), asked) as url:
        line = printed(url, tmp_path, monkeypatch, capsys, **{name: value})
    assert line == f"{FAILED}{not_installed.ODD_JOB}\n"
    assert asked == []


def test_a_report_that_is_no_text_is_not_githubs_fault(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_bytes(b"\xff\xfe")
    with pytest.raises(not_installed.NotReplacedError, match="what would replace it"):
        not_installed.read(str(report))


def test_an_answer_that_trickles_in_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(not_installed, "SECONDS", 0.5)
    with server(trickle) as url:
        line = printed(url, tmp_path, monkeypatch, capsys)
    assert line.endswith("GitHub did not answer in time.\n")


def test_what_jobs_at_once_left_twice_is_replaced_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, tagged = (f"{marker(tag)}\n\nwithin" for tag in (None, "dev"))
    with forge.running() as running:
        for body, author in [
            (ours, forge.BOT),
            (tagged, forge.BOT),
            (ours, forge.STRANGER),
            (ours, forge.BOT),
        ]:
            running.add(body, author)
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
    assert line == "Replaced the older comment.\n"
    replaced = f"{marker(None)}\n\nx"
    assert running.bodies == [replaced, tagged, ours, replaced]


def test_long_comments_of_others_do_not_keep_an_older_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with forge.running() as running:
        running.per_page = 100
        for _ in range(99):
            running.add("😀" * 65_536, forge.STRANGER)
        running.add(marker(None))
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
    assert line == "Replaced the older comment.\n"


@pytest.mark.parametrize("odd", [None, {"id": "B", "body": None, "viewerDidAuthor": True}])
def test_a_comment_that_is_null_does_not_keep_an_older_report(
    odd: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with forge.running() as running:
        running.add(marker(None))
        ours = {"id": "1", "body": marker(None), "viewerDidAuthor": True}
        page = {"nodes": [odd, ours], "pageInfo": {"hasNextPage": False}}
        running.refusals += [(200, with_comments(page), {})]
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
        [body] = running.bodies
    assert line == "Replaced the older comment.\n"
    assert body == f"{marker(None)}\n\nx"


def test_a_page_that_comes_again_is_not_taken_for_all_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy ignores which page is asked for."""
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    body = json.dumps(with_comments(page))
    asked: list[bytes] = []
    with server(answering(f"HTTP/1.1 200 OK\r\n\r\n{body}"), asked) as url:
        line = printed(url, tmp_path, monkeypatch, capsys)
    assert line == f"{FAILED}GitHub's answer lacks what was asked for.\n"
    assert len(asked) == 2


def test_comments_after_the_pages_that_are_read_are_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with forge.running() as running:
        for number in range(101):
            running.add(f"comment {number}", forge.STRANGER)
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
        assert line == f"{FAILED}the request has more than 100 pages of comments.\n"
        running.comments[0] |= {"body": marker(None), "author": forge.BOT}
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
    assert line == "Replaced the older comment.\n"


@pytest.mark.parametrize("answer", [None, {}, {"updateIssueComment": None}])
def test_an_answer_that_does_not_say_that_it_updated_a_comment_is_none(
    answer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with forge.running() as running:
        running.add(marker(None))
        running.refusals += [(200, None, {}), (200, {"data": answer}, {})]
        line = printed(f"{running.address}/graphql", tmp_path, monkeypatch, capsys)
    assert line == f"{FAILED}GitHub's answer lacks what was asked for.\n"


@pytest.mark.parametrize("written", ["12", "refs/heads/gh-readonly-queue/a/pr-7/pr-12-0a1b2c"])
def test_the_comment_is_looked_for_where_the_job_names_the_request(
    written: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = json.dumps(with_comments({"nodes": [], "pageInfo": {"hasNextPage": False}}))
    asked: list[bytes] = []
    with server(answering(f"HTTP/1.1 200 OK\r\n\r\n{body}"), asked) as url:
        line = printed(url, tmp_path, monkeypatch, capsys, PULL_REQUEST=written)
    assert line == "There is no older comment.\n"
    assert [json.loads(query)["variables"]["number"] for query in asked] == [12]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.github.com/graphql", True),
        ("https://github.com/api/graphql", True),
        ("https://github.com:443/api/graphql", True),
        ("https://github.com:8443/api/graphql", False),
        ("http://127.0.0.1:1/graphql", True),
        ("http://api.github.com/graphql", False),
        ("https://api.github.com.example.com/graphql", False),
        ("https://api.github.com@example.com/graphql", False),
        ("https://example.com/graphql", False),
    ],
)
def test_the_token_is_for_the_server_of_the_job(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: bool
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    assert not_installed.is_of_job(url) is expected
