"""``cf-invoice``, run in this process or in its own."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from pulumi_cf_invoice.cli import main

COMMAND = [str(Path(sys.executable).with_name("cf-invoice"))]
Done = subprocess.CompletedProcess[str]


def run(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """
    Run a command in this process, with *environment* added to its variables.

    A separate process, as created by `start`, takes a quarter of a second longer.
    """
    given, output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(3))
    given.buffer.write(stdin.encode())
    given.seek(0)
    variables = patch.dict(os.environ, environment)
    with variables, patch("sys.stdin", given), redirect_stdout(output), redirect_stderr(errors):
        code = main(list(arguments))
    return Done([*COMMAND, *arguments], code, _text(output), _text(errors))


def start(*arguments: str, stdin: str = "", **environment: str) -> Done:
    """Run a command as people do, in a process."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, **environment},
    )


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()
