"""Speed, memory and requests against peers, measured in one run."""

import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pulumi
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from benchmarks.no_op import NoOp
from benchmarks.results import missed, say
from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.sandbox import FAULTS, Sandbox
from tests.engine import language_host
from tests.engine.forms import FORMS, Form
from tests.engine.harness import Run, Stack, apart
from tests.factories import ACCOUNT, NOW, TOKEN

URN = "urn:pulumi:dev::bench::cf-invoice:index:InvoicePreview::upcoming"
Row = tuple[str, str, str, str]
WHERE_TIME_GOES = (
    "Where the time goes in what comes near its target or misses it: for one resource, the "
    "provider imports httpx, pydantic and the models, and makes one request. A pack calls each of "
    "its policies for each resource. A report and `show` import this package's own modules, whose "
    "dataclasses Python makes anew at each start, and a report reads, sums and writes 10,000 lines."
)


def section() -> str:
    """Measure times, requests, memory and state, and return them as a section of the results."""
    rows = [
        *(*imports(), *parsing(), *peaks(), *requests(), *previews(), *policies(), *state()),
        *(*reports(), *plugin_starts(), *plugin_programs()),
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        "## Performance",
        "",
        f"On {os.cpu_count()} cores and {memory:.0f} GiB of memory, "
        f"Python {platform.python_version()}. Times are the best of all runs, which take turns.",
        "",
        "| what | measured | against | ratio or count, and target |",
        "|---|---|---|---|",
        *(f"| {' | '.join(_marked(row))} |" for row in rows),
        "",
        WHERE_TIME_GOES,
    ]
    return "\n".join(lines)


def _marked(row: Row) -> Row:
    """Return the *row*, marked if its figure misses the target beside it."""
    result = row[3]
    stated = re.match(r"([0-9.]+).*\(([≤≥]) ([0-9.]+)\)", result)
    if stated is None:
        return row
    figure, target = float(stated[1]), float(stated[3])
    is_missed = figure > target if stated[2] == "≤" else figure < target
    return (*row[:3], result + missed(is_missed))


def alternating(measures: dict[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """
    Return the best time of each measure in seconds, taken in turns so that conditions are equal.

    The best rather than the median, because other load on the machine can only add to a time.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            taken[name].append(measure())
    return {name: min(times) for name, times in taken.items()}


def imports() -> list[Row]:
    """Time what a program pays for importing the package and its resource class."""
    say("import time")
    declares = "import pulumi, pulumi_cf_invoice; pulumi_cf_invoice.InvoicePreview"
    programs = {
        "import pulumi": "import pulumi",
        declares: declares,
        "import pulumi, cloudflare": "import pulumi, cloudflare",
        "import pulumi, pulumi_cloudflare": "import pulumi, pulumi_cloudflare",
    }
    for program in programs.values():
        _python(program)
    times = alternating({n: lambda p=p: _python(p) for n, p in programs.items()}, 15)  # type: ignore[misc]
    base = times.pop("import pulumi")
    return [
        (
            f"`{name}`",
            f"{took:.2f} s",
            f"`import pulumi` {base:.2f} s",
            f"{took / base:.2f}" + (" (≤ 1.10)" if name == declares else ""),
        )
        for name, took in times.items()
    ]


def _python(program: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    return time.perf_counter() - started


def requests() -> list[Row]:
    """Count the API requests of one preview, by number of resources."""
    rows = []
    for count in (1, 10, 100, 1000):
        say(f"requests for {count} resources")
        with Sandbox(now=NOW) as sandbox, tempfile.TemporaryDirectory() as directory:
            stack = Stack(Path(directory), _many(count), **_environment(sandbox))
            _must(stack)
            asked = len(sandbox.requests)
        rows.append(
            (
                f"requests of a preview of {count:,} resource{'s' * (count > 1)}",
                str(asked),
                "",
                f"{asked} (1)",
            )
        )
    return rows


def previews() -> list[Row]:
    """Time previews of 1 and 1,000 resources, against no-ops with the same property tree."""
    with Sandbox(now=NOW) as sandbox, tempfile.TemporaryDirectory() as directory:
        figures = Invoice.from_api(sandbox.answer(ACCOUNT)["result"]).to_outputs()
        no_op = {"account_id": ACCOUNT, **figures}

        def no_ops() -> None:
            for number in range(1000):
                NoOp(f"upcoming-{number}", no_op)

        say("`pulumi preview` of 1 resource")
        programs = {
            "ours": "from pulumi_cf_invoice import InvoicePreview\nInvoicePreview('upcoming')\n",
            "peer": f"from benchmarks.no_op import NoOp\nNoOp('upcoming', {no_op!r})\n",
        }
        environment = _environment(sandbox)
        commands = {
            name: _project(Path(directory) / name, program, environment)
            for name, program in programs.items()
        }
        single = alternating(
            {name: lambda c=command: _clock(c) for name, command in commands.items()},  # type: ignore[misc]
            15,
        )
        ours = Stack(Path(directory) / "ours-1000", _many(1000), **environment)
        peer = Stack(Path(directory) / "peer-1000", no_ops, **environment)
        say("previews of 1,000 resources")
        many = alternating({"ours": lambda: _timed(ours), "peer": lambda: _timed(peer)}, 3)
    return [
        (
            what,
            f"{times['ours']:.2f} s",
            f"no-op resource with the same property tree {times['peer']:.2f} s",
            f"{times['ours'] / times['peer']:.2f} ({target})",
        )
        for what, times, target in (
            ("`pulumi preview` of 1 resource, the whole command", single, "≤ 1.15"),
            ("preview of 1,000 resources", many, "≤ 1.15"),
        )
    ]


def _project(directory: Path, program: str, environment: dict[str, str]) -> Callable[[], object]:
    """Create a Pulumi project, and return a function that previews it."""
    launchers, backend = directory / "bin", directory / "backend"
    for folder in (directory, launchers, backend):
        folder.mkdir()
    if not shutil.which("pulumi-language-python"):
        language_host.install(launchers)
    (directory / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
    (directory / "__main__.py").write_text(program)
    everything = {
        **os.environ,
        **environment,
        **apart(directory),
        "PATH": f"{launchers}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{backend}",
    }

    def pulumi(*arguments: str) -> None:
        command = ["pulumi", *arguments, "--stack", "dev", "--non-interactive"]
        subprocess.run(command, cwd=directory, env=everything, check=True, capture_output=True)

    pulumi("stack", "init")
    return lambda: pulumi("preview")


def peaks() -> list[Row]:
    """Measure the peak memory for the worst answers, against that for the usual one."""
    say("memory")
    rows = []
    with Sandbox(now=NOW) as sandbox:
        usual = _peak(sandbox)
        for fault in ("oversized-body", "gzip-bomb", "gzip-twice", "deep-json"):
            sandbox.fault = fault
            rows.append((FAULTS[fault].description, _peak(sandbox)))
        sandbox.fault, sandbox.scenario = None, "ten-thousand-lines"
        rows.append(("10,000 lines", _peak(sandbox)))
    return [
        (
            f"peak memory of a process that reads {what}",
            f"{peak:.0f} MB",
            f"one that reads the usual invoice {usual:.0f} MB",
            f"{peak:.0f} MB (≤ 300)",
        )
        for what, peak in rows
    ]


def _peak(sandbox: Sandbox) -> float:
    program = f"""
import resource
from pulumi_cf_invoice.billing import BillingClient, BillingError, Credentials
try:
    client = BillingClient(Credentials({TOKEN!r}), base_url={sandbox.base_url!r})
    client.get_invoice_preview({ACCOUNT!r})
except BillingError:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""
    # Below a shell: a child of this large process would begin with its peak of memory.
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def policies() -> list[Row]:
    """Time previews with the whole policy pack, against a pack whose policy does nothing."""
    rows = []
    with Sandbox(now=NOW) as sandbox, tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        packs = {
            "ours": _pack(where / "ours", _whole_pack(sandbox.base_url)),
            "peer": _pack(where / "peer", _EMPTY_PACK),
        }
        for count in (1, 1000):
            say(f"policies on {count:,} resources")
            stack = Stack(where / str(count), _many(count), **_environment(sandbox))
            times = alternating(
                {name: lambda s=stack, p=pack: _timed(s, p) for name, pack in packs.items()},  # type: ignore[misc]
                5,
            )
            target = "≤ 1.05" if count > 1 else "no target"
            rows.append(
                (
                    f"the whole pack on a preview of {count:,} resource{'s' * (count > 1)}",
                    f"{times['ours']:.2f} s",
                    f"a pack with one policy that does nothing {times['peer']:.2f} s",
                    f"{times['ours'] / times['peer']:.2f} ({target})",
                )
            )
    return rows


def _pack(directory: Path, program: str) -> dict[str, list[str]]:
    directory.mkdir()
    (directory / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (directory / "__main__.py").write_text(program)
    return {"policy_packs": [str(directory)]}


def _whole_pack(base_url: str) -> str:
    limit = {"limit": "1000000 USD"}
    rules = {
        "account-budget": {**limit, "accountIds": [ACCOUNT], "baseUrl": base_url},
        "max-amount-due": limit,
        "max-projected-amount-due": limit,
        "max-line-amount": {"defaultLimit": "1000000 USD"},
        "max-increase": limit,
        "allowed-statuses": {"statuses": ["draft"]},
        "allowed-currencies": {"currencies": ["usd"]},
        "require-invoice-preview": {},
    }
    return (
        "import json, pathlib\n"
        "from pulumi_cf_invoice.policy import spend_policy_pack\n"
        f"pathlib.Path('rules.json').write_text({json.dumps({'rules': rules})!r})\n"
        "spend_policy_pack('bench', rules='rules.json')\n"
    )


_EMPTY_PACK = """
from pulumi_policy import PolicyPack, ResourceValidationPolicy
def quiet(args, report): pass
nothing = ResourceValidationPolicy('nothing', 'Does nothing.', quiet)
PolicyPack('bench', [nothing])
"""


def parsing() -> list[Row]:
    """Time the parsing of 10,000 lines, against Cloudflare's SDK and `json.loads`."""
    from decimal import Decimal

    from cloudflare._models import construct_type
    from cloudflare.types.ai_gateway import BillingInvoicePreviewResponse

    say("parsing")
    body = json.dumps(_ten_thousand()).encode()
    # Otherwise garbage collection would walk this program's own objects during the peers' runs.
    gc.collect()
    gc.freeze()
    times = alternating(
        {
            "ours": lambda: _clock(
                lambda: Invoice.from_api(json.loads(body, parse_float=Decimal)["result"])
            ),
            "sdk": lambda: _clock(
                lambda: construct_type(
                    type_=BillingInvoicePreviewResponse, value=json.loads(body)["result"]
                )
            ),
            "json": lambda: _clock(lambda: json.loads(body)),
        },
        9,
    )
    ours = times["ours"]
    return [
        (
            "parse 10,000 lines",
            f"{ours * 1000:.0f} ms",
            f"the `cloudflare` SDK {times['sdk'] * 1000:.0f} ms",
            f"{times['sdk'] / ours:.1f} times as fast (≥ 12)",
        ),
        (
            "parse 10,000 lines",
            f"{ours * 1000:.0f} ms",
            f"`json.loads` {times['json'] * 1000:.0f} ms",
            f"{ours / times['json']:.1f} times its time",
        ),
    ]


def state() -> list[Row]:
    """Measure the exported state of 10,000 lines, against the API's result."""
    say("state of 10,000 lines")
    with Sandbox("ten-thousand-lines", now=NOW) as sandbox, tempfile.TemporaryDirectory() as where:
        stack = Stack(Path(where), _many(1), **_environment(sandbox))
        run = stack.up()
        if not run.ok:
            raise RuntimeError(run.text)
        stored = _size(stack.resource("upcoming-0"))
    result = _size(_ten_thousand()["result"])
    return [
        (
            "state of 10,000 lines",
            f"{stored:,} bytes",
            f"the API's result {result:,} bytes",
            f"{stored / result:.2f} (≤ 2.2)",
        )
    ]


def reports() -> list[Row]:
    """Time `cf-invoice report` on 10,000 lines, `show` and `--help`, against Python's own start."""
    libraries = {
        "text": "rich.console, rich.table",
        "markdown": "json",
        "html": "jinja2",
        "json": "json",
    }
    say("reports of 10,000 lines")
    command = str(Path(sys.executable).with_name("cf-invoice"))
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "preview.json"
        file.write_text(json.dumps(_ten_thousand()))
        for form, library in libraries.items():
            # A report needs at least these, for its model and for amounts as text.
            same = f"import argparse, babel.numbers, pydantic.dataclasses, {library}"
            report = [command, "report", "--from", str(file), "--format", form]
            rows.append(
                _against_python(
                    f"`cf-invoice report --format {form}`, 10,000 lines",
                    [*report, "--output", f"{directory}/report"],
                    ["-c", same],
                    "Python importing the same libraries",
                    "≤ 3",
                )
            )
        with Sandbox(now=NOW) as sandbox:
            file.write_text(json.dumps(sandbox.answer(ACCOUNT)))
        same = "import argparse, babel.numbers, pydantic.dataclasses, rich.console, rich.table"
        rows.append(
            _against_python(
                "`cf-invoice show --from FILE`, 2 lines",
                [command, "show", "--from", str(file)],
                ["-c", same],
                "Python importing the same libraries",
                "≤ 1.5",
            )
        )
    passing = _against_python(
        "`cf-invoice --help`", [command, "--help"], ["-c", "pass"], "`python -c pass`", "≤ 6"
    )
    return [*rows, passing]


def _against_python(what: str, command: list[str], peer: list[str], named: str, target: str) -> Row:
    def took(arguments: list[str]) -> float:
        return _clock(lambda: subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL))

    python = [sys.executable, *peer]
    times = alternating({"ours": lambda: took(command), "peer": lambda: took(python)}, 9)
    return (
        what,
        f"{times['ours'] * 1000:.0f} ms",
        f"{named} {times['peer'] * 1000:.0f} ms",
        f"{times['ours'] / times['peer']:.2f} ({target})",
    )


def plugin_starts() -> list[Row]:
    """Time the plugin from its start to its first answers, against one that does nothing."""
    say("the plugin's first answers")
    commands = {
        "ours": [str(Path(sys.executable).with_name("pulumi-resource-cf-invoice"))],
        "peer": [sys.executable, "-m", "benchmarks.no_op_plugin"],
    }
    rows = []
    with Sandbox(now=NOW) as sandbox:
        environment = _environment(sandbox)
        for what, ask, target in (
            ("its first answer, its version", _ask_for_version, " (≤ 1.5)"),
            ("its first resource, with the API's answer", _ask_for_invoice, " (≤ 1.9)"),
        ):
            times = alternating(
                {
                    name: lambda c=command, a=ask: _first_answer(c, environment, a)  # type: ignore[misc]
                    for name, command in commands.items()
                },
                15,
            )
            rows.append(
                (
                    f"the plugin, from its start to {what}",
                    f"{times['ours']:.2f} s",
                    f"a plugin in Python that does nothing {times['peer']:.2f} s",
                    f"{times['ours'] / times['peer']:.2f}{target}",
                )
            )
    return rows


def _ask_for_version(plugin: ResourceProviderStub) -> None:
    plugin.GetPluginInfo(Empty())


def _ask_for_invoice(plugin: ResourceProviderStub) -> None:
    plugin.Configure(provider_pb2.ConfigureRequest())
    answer = plugin.Check(provider_pb2.CheckRequest(urn=URN))
    if answer.failures:
        raise RuntimeError(answer.failures[0].reason)


def _first_answer(
    command: list[str], environment: dict[str, str], ask: Callable[[ResourceProviderStub], None]
) -> float:
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "127.0.0.1:1"], stdout=subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        if process.stdout is None:
            raise RuntimeError("no output")
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            ask(ResourceProviderStub(channel))
        return time.perf_counter() - started
    finally:
        process.kill()
        process.communicate()


def plugin_programs() -> list[Row]:
    """Time a program of 1,000 plugin resources, against the same in the dynamic form."""
    rows = []
    with Sandbox(now=NOW) as sandbox, tempfile.TemporaryDirectory() as directory:
        environment = {
            **_environment(sandbox),
            # Without these, either form spends most of an update rewriting the state per resource.
            "PULUMI_EXPERIMENTAL": "true",
            "PULUMI_SKIP_CHECKPOINTS": "true",
        }
        forms = {
            "ours": Stack(Path(directory) / "ours", _many(1000, FORMS["plugin"]), **environment),
            "peer": Stack(Path(directory) / "peer", _many(1000, FORMS["dynamic"]), **environment),
        }
        for what, runs in (
            ("first preview", 3),
            ("update", 1),
            ("next preview, without a change,", 3),
        ):
            say(f"the {what} of 1,000 resources on the plugin")
            times = alternating(
                {
                    name: lambda s=stack, w=what: _once_asked(sandbox, s, w)  # type: ignore[misc]
                    for name, stack in forms.items()
                },
                runs,
            )
            rows.append(
                (
                    f"{what} of 1,000 resources on the plugin, 1 request",
                    f"{times['ours']:.1f} s",
                    f"the dynamic form {times['peer']:.1f} s",
                    f"{times['ours'] / times['peer']:.2f} (≤ 1.0)",
                )
            )
    return rows


def _once_asked(sandbox: Sandbox, stack: Stack, what: str) -> float:
    before = len(sandbox.requests)
    took = _clock(lambda: _ok(stack.up() if what == "update" else stack.preview()))
    if len(sandbox.requests) != before + 1:
        raise RuntimeError(f"{len(sandbox.requests) - before} requests")
    return took


def _ok(run: Run) -> None:
    if not run.ok:
        raise RuntimeError(run.text)


def _many(count: int, form: Form = FORMS["dynamic"]) -> Callable[[], None]:
    def program() -> None:
        for number in range(count):
            form.resource(f"upcoming-{number}")
        pulumi.export("count", count)

    return program


def _environment(sandbox: Sandbox) -> dict[str, str]:
    return {
        "CLOUDFLARE_BASE_URL": sandbox.base_url,
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        # The no-op peer's provider process has to be able to import its class.
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }


def _ten_thousand() -> dict[str, dict[str, object]]:
    sandbox = Sandbox("ten-thousand-lines", now=NOW)
    with sandbox:
        return sandbox.answer(ACCOUNT)


def _must(stack: Stack, options: dict[str, list[str]] | None = None) -> None:
    _ok(stack.preview(**(options or {})))


def _timed(stack: Stack, options: dict[str, list[str]] | None = None) -> float:
    return _clock(lambda: _must(stack, options))


def _clock(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _size(data: object) -> int:
    return len(json.dumps(data, separators=(",", ":")))
