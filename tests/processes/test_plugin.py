"""The plugin as the engine sees it: a process that prints a port and serves requests on it."""

import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2 as proto
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from pulumi_cf_invoice.plugin.version import semver
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import pointed_at, september
from tests.factories import ACCOUNT
from tests.waiting import wait_until

URN = "urn:pulumi:dev::test::cf-invoice:index:InvoicePreview::upcoming"
COMMANDS = {
    "module": [sys.executable, "-m", "pulumi_cf_invoice"],
    "python-host": [sys.executable, "-m", "pulumi.run.plugin", "pulumi-cf-invoice"],
    "console-script": [str(Path(sys.executable).with_name("pulumi-resource-cf-invoice"))],
}


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[Any]:
    """Run a plugin, yield a stub for calling it, and check that SIGINT ends it silently."""
    process = subprocess.Popen(
        # Pulumi puts these flags before the address when logging and tracing are on.
        [*command, "--logtostderr", "-v=9", "--tracing", "http://127.0.0.1:1", "127.0.0.1:2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            yield ResourceProviderStub(channel)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def plugin() -> Iterator[Any]:
    """A plugin that knows the sandbox, for requests that leave nothing behind."""
    with september() as sandbox, running(COMMANDS["module"], **pointed_at(sandbox)) as started:
        started.Configure(proto.ConfigureRequest())
        yield started


@pytest.mark.parametrize("command", ["python-host", "console-script"])
def test_every_other_way_to_start_it_serves_and_tells_the_version(command: str) -> None:
    with running(COMMANDS[command]) as plugin:
        assert plugin.GetPluginInfo(Empty()).version == semver(version("pulumi-cf-invoice"))


def test_the_schema_is_whole_in_a_python_that_drops_docstrings(plugin: Any) -> None:
    """Descriptions in the schema are those of the code."""
    with running(COMMANDS["module"], PYTHONOPTIMIZE="2") as optimized:
        asked = proto.GetSchemaRequest()
        [whole, found] = (json.loads(each.GetSchema(asked).schema) for each in (plugin, optimized))
    assert found == whole


def test_check_read_and_invoke_answer_from_one_request(
    sandbox: Sandbox, settled: dict[str, str]
) -> None:
    with running(COMMANDS["module"], **settled) as plugin:
        plugin.Configure(proto.ConfigureRequest())
        checked = MessageToDict(plugin.Check(proto.CheckRequest(urn=URN)))["inputs"]
        read = MessageToDict(plugin.Read(proto.ReadRequest(urn=URN, id=ACCOUNT)))
        answer = plugin.Invoke(proto.InvokeRequest(tok="cf-invoice:index:getInvoicePreview"))
    assert checked == read["properties"] == read["inputs"]
    assert checked["amountDue"] == 18846
    assert checked["invoiceLines"][1]["pretaxCreditAmounts"][1] == {
        "amount": 8,
        "type": "discount",
        "discount": "di_1",
    }
    assert MessageToDict(answer)["return"]["netText"] == "$188.46"
    assert sandbox.requests == [ACCOUNT]


ASSET = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "x"}


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (
            "getForecast",
            {"fixedLine": ["a"]},
            "there is no argument 'fixedLine'; did you mean 'fixedLines'?",
        ),
        ("getForecast", {"fixedLines": "openai/*"}, "the fixed lines must be a list of globs"),
        ("getForecast", {"fixedLines": ""}, "the fixed lines must be a list of globs"),
        ("getForecast", {"fixedLines": 0}, "the fixed lines must be a list of globs"),
        ("getForecast", {"fixedLines": {}}, "the fixed lines must be a list of globs"),
        ("getUsageHistory", {"window": ASSET}, "window is of type StringAsset, but must be 'day'"),
        ("getInvoiceHistory", {"type": ASSET}, "type is of type StringAsset, but must be 'all'"),
        ("getCreditBalance", {"since": "2026-09-01"}, "there is no argument 'since'"),
    ],
)
def test_a_wrong_argument_of_a_function_is_one_line(
    plugin: Any, function: str, arguments: dict[str, Any], expected: str
) -> None:
    request = proto.InvokeRequest(tok=f"cf-invoice:index:{function}")
    request.args.update(arguments)
    with pytest.raises(grpc.RpcError) as failed:
        plugin.Invoke(request)
    assert expected in failed.value.details()
    assert "known: " not in failed.value.details()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("getUsageHistory", {"at": "2026-09-01"}),
        ("getUsageHistory", {"self": "x"}),
        ("getUsageHistory", {"since": {"day": 1}}),
        ("getUsageHistory", {"since": [1]}),
        ("getUsageHistory", {"window": 7}),
        ("getUsageHistory", {"window": {"a": "b"}}),
        ("getInvoiceHistory", {"at": None}),
        ("getInvoiceHistory", {"type": ["all"]}),
        ("getInvoicePreview", {"at": True}),
        ("getCreditBalance", {"query": {"a": "b"}}),
        ("getForecast", {"at": "2026-09-01"}),
        ("getForecast", {"fixedLines": [{"a": "b"}]}),
        ("getForecast", {"accountId": ["x"]}),
        ("getInvoicePreview", {"accountId": {"a": "b"}}),
    ],
)
def test_any_odd_argument_is_one_line(
    plugin: Any, function: str, arguments: dict[str, Any]
) -> None:
    request = proto.InvokeRequest(tok=f"cf-invoice:index:{function}")
    request.args.update(arguments)
    # When all are done, `running` checks that the plugin's standard error is empty.
    with pytest.raises(grpc.RpcError) as failed:
        plugin.Invoke(request)
    message = failed.value.details()
    assert "\n" not in message
    assert "Error" not in message
    [name] = arguments
    assert name in message or "account ID" in message or "fixed lines" in message


def test_many_resources_that_fail_at_once_say_so_and_nothing_else(
    sandbox: Sandbox, settled: dict[str, str]
) -> None:
    sandbox.fault = "http-503"
    # `running` checks that the plugin's standard error is empty.
    with running(COMMANDS["module"], **settled) as plugin:
        plugin.Configure(proto.ConfigureRequest())
        asked = [plugin.Check.future(proto.CheckRequest(urn=URN)) for _ in range(50)]
        reasons = {answer.result().failures[0].reason for answer in asked}
    assert len(reasons) == 1
    assert "HTTP 503, code 10002" in reasons.pop()


def test_an_interrupt_ends_it_in_the_middle_of_a_request(
    sandbox: Sandbox, settled: dict[str, str]
) -> None:
    sandbox.fault = "slow"
    with running(COMMANDS["module"], **settled) as plugin:
        plugin.Configure(proto.ConfigureRequest())
        asked = plugin.Check.future(proto.CheckRequest(urn=URN))
        wait_until(lambda: sandbox.requests, "the plugin asked the API")
    assert "cancelled before an answer came. Run it again." in asked.result().failures[0].reason


def test_a_warning_that_nobody_hears_fails_nothing(sandbox: Sandbox) -> None:
    environment = {"CLOUDFLARE_BASE_URL": sandbox.base_url}
    with running(COMMANDS["module"], **environment) as plugin:
        plugin.Configure(proto.ConfigureRequest())
        stored = ParseDict({"accountId": ACCOUNT, "amountDue": 18846}, Struct())
        asked = proto.ReadRequest(urn=URN, id=ACCOUNT, properties=stored, inputs=stored)
        assert plugin.Read(asked).properties == stored


def test_it_tells_the_version(plugin: Any) -> None:
    assert plugin.GetPluginInfo(Empty()).version == semver(version("pulumi-cf-invoice"))


def test_a_failing_read_and_an_unknown_function_are_one_line(plugin: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        plugin.Read(proto.ReadRequest(urn=URN, id="nope"))
    assert failed.value.details().startswith("'nope' is not an account ID, which has 32 hex digits")
    assert "\n" not in failed.value.details()
    with pytest.raises(grpc.RpcError) as unknown:
        plugin.Invoke(proto.InvokeRequest(tok="cf-invoice:index:other"))
    assert unknown.value.details() == "cf-invoice has no function cf-invoice:index:other"


@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("Check", proto.CheckRequest),
        ("Diff", proto.DiffRequest),
        ("Create", proto.CreateRequest),
        ("Read", proto.ReadRequest),
        ("Update", proto.UpdateRequest),
        ("Delete", proto.DeleteRequest),
    ],
)
def test_a_resource_of_another_type_is_refused_in_one_line(
    plugin: Any, method: str, request_type: Any
) -> None:
    other = "urn:pulumi:dev::test::my:mod:Component$cf-invoice:index:CreditBalance::x"
    with pytest.raises(grpc.RpcError) as refused:
        getattr(plugin, method)(request_type(urn=other))
    expected = "cf-invoice has no resource cf-invoice:index:CreditBalance"
    assert refused.value.details() == expected


def test_it_ends_when_the_engine_that_started_it_has_gone() -> None:
    engine = subprocess.Popen(
        ["sh", "-c", f"{shlex.join(COMMANDS['module'])} 127.0.0.1:1 & wait"], stdout=subprocess.PIPE
    )
    with engine:
        assert engine.stdout
        assert int(engine.stdout.readline()) > 0
        engine.kill()
        # The plugin holds its end of the pipe open for as long as it lives.
        assert select.select([engine.stdout], [], [], 60)[0], "it is still there"
        assert engine.stdout.read() == b""


def test_started_by_a_person_it_says_who_starts_it() -> None:
    done = subprocess.run(
        COMMANDS["console-script"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 2
    assert "Pulumi starts this plugin by itself" in done.stderr


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--tracing", 2)])
def test_help_and_a_wrong_option_start_nothing_even_after_an_address(
    option: str, code: int
) -> None:
    command = [*COMMANDS["console-script"], "127.0.0.1:1", option]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == code
