"""What every connection shares: the environment's proxies, and who is asked without one."""

from pathlib import Path

import pytest

from pulumi_cf_invoice.billing import TransportError
from pulumi_cf_invoice.billing.http import proxy_for
from tests.command import run
from tests.factories import ACCOUNT, TOKEN
from tests.unit.test_client import client, on_the_wire

ENVIRONMENTS = Path(__file__).parent / "data" / "environments"
UNREADABLE = (ENVIRONMENTS / "no-proxy.txt").read_text().splitlines()
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _only_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "https://api.cloudflare.com"),
        ("cloudflare.com", "https://api.cloudflare.com"),
        (".cloudflare.com", "https://api.cloudflare.com"),
        ("*.cloudflare.com", "https://api.cloudflare.com"),
        ("API.Cloudflare.com", "https://api.cloudflare.com"),
        ("localhost api.cloudflare.com", "https://api.cloudflare.com"),
        ("api.cloudflare.com:443", "https://api.cloudflare.com"),
        ("https://api.cloudflare.com", "https://api.cloudflare.com"),
        ("all://api.cloudflare.com", "https://api.cloudflare.com"),
        ("10.0.0.0/8", "https://10.1.2.3:8443"),
        ("10.1.2.3", "https://10.1.2.3:8443"),
        ("fd07:b51a:cc66:f0::/64", "https://[fd07:b51a:cc66:f0::1]"),
        ("[fd07:b51a:cc66:f0::1]", "https://[fd07:b51a:cc66:f0::1]"),
        ("", "https://127.0.0.1:8443"),
        ("", "https://localhost"),
        ("", "https://[::1]:8443"),
    ],
)
def test_an_exempt_host_is_asked_without_the_proxy(
    no_proxy: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) is None


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407", "the proxy refused: 407 Proxy Authentication Required. Check"),
        ("599", "the proxy refused: 599. Check"),
    ],
)
def test_what_a_proxy_that_refuses_writes_is_not_repeated(
    status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be the password that was sent to it."""
    answer = f"HTTP/1.1 {status} Basic dXNlcjpwYXNz\r\nContent-Length: 0\r\n\r\n".encode()
    with on_the_wire(lambda: answer) as address:
        monkeypatch.setenv("HTTPS_PROXY", address.replace("//", "//user:pass@"))
        with pytest.raises(TransportError) as refused:
            client("https://billing.invalid").get_invoice_preview(ACCOUNT)
    assert said in str(refused.value)
    assert "dXNlcjpwYXNz" not in str(refused.value)


@pytest.mark.parametrize(
    "no_proxy",
    [
        *UNREADABLE,
        "",
        ",",
        "[::1",
        "::1]",
        "[::1,]:x,http://[",
        "10.0.0.0/99",
        "fe80::1%eth0",
        "://",
        "http://api.cloudflare.com",
        "api.cloudflare.com:8443",
        "*cloudflare*",
        "flare.com",
        ".api.cloudflare.com",
        "\x00",
        "ä.example",
    ],
)
def test_any_other_host_is_asked_through_the_proxy(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy})
    assert proxy_for("https://api.cloudflare.com/client/v4") == PROXY


def test_a_proxy_may_lack_its_scheme_and_serve_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert proxy_for("https://api.cloudflare.com") == PROXY


@pytest.mark.parametrize("no_proxy", UNREADABLE)
def test_a_read_works_with_entries_of_no_proxy_that_httpx_cannot_parse(
    no_proxy: str, settled: dict[str, str]
) -> None:
    done = run("show", **settled, NO_PROXY=no_proxy, HTTPS_PROXY=PROXY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "$188.46 " in done.stdout


def test_a_token_with_a_line_break_at_its_end_is_read(settled: dict[str, str]) -> None:
    done = run("show", **(settled | {"CLOUDFLARE_API_TOKEN": f"{TOKEN}\r\n"}))
    assert (done.returncode, done.stderr) == (0, "")
