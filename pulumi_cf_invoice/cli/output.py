"""Where commands write: standard output, or a file that is written whole or not at all."""

import argparse
import os
import secrets
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.files import is_special
from pulumi_cf_invoice.cli.errors import CommandError

_UNFINISHED = (".cf-invoice-", ".tmp")


_READ = ("rules", "policy_pack_config", "accounts_file", "addresses")
_WRITTEN = ("output", "html", "state")


class OverwritingError(CommandError):
    """A command would write over a file that it reads, or that it writes as well."""


def refuse_overwriting(options: argparse.Namespace) -> None:
    """Raise `OverwritingError` if *options* name a file to write that they name once more."""
    given = vars(options)
    others = [given.get(name) for name in _READ]
    others += [file.path for file in given.get("files", [])]
    others += given.get("baselines", [])
    known = {os.path.realpath(file) for file in others if file is not None}
    for name in _WRITTEN:
        file = given.get(name)
        # A device or a pipe, such as /dev/null, takes several.
        if file is None or is_special(file):
            continue
        if os.path.realpath(file) in known:
            raise OverwritingError(
                f"--{name} would write over {one_line(file)}, which another option names: name "
                "another file"
            )
        known.add(os.path.realpath(file))
        folder = Path(os.path.realpath(file)).parent
        if str(folder) in known and ".json" in Path(file).name.lower():
            raise OverwritingError(
                f"--{name} would write among the snapshots in {one_line(str(folder))}: name a file "
                "in another folder"
            )


def write_output(text: str | Iterable[str], output: str | None) -> None:
    """
    Write *text*, or the parts of one, to the file *output*, or to standard output.

    A full disk, a kill or Ctrl-C leaves an existing file unchanged. Raises `CommandError`.
    """
    parts = [text] if isinstance(text, str) else text
    if output is None:
        for part in parts:
            sys.stdout.write(part)
        return
    try:
        replace_file(Path(output), parts)
    except OSError as error:
        reason = error.strerror or error
        raise CommandError(f"cannot write {one_line(output)}: {reason}") from None


def replace_file(path: Path, parts: Iterable[str]) -> None:
    """
    Write the *parts* of a text to a temporary file next to *path*, then replace *path*, keeping its
    mode.

    A link stays a link. Anything but a regular file, such as a pipe, is written to directly. Raises
    `OSError`.
    """
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        with path.open("w", encoding="utf-8") as file:
            file.writelines(parts)
        return
    target = Path(os.path.realpath(path))
    beside = target.with_name(f"{_UNFINISHED[0]}{secrets.token_hex(8)}{_UNFINISHED[1]}")
    try:
        # Not tempfile's, whose files only the owner can read, whatever the umask.
        with beside.open("x", encoding="utf-8") as file:
            if mode is not None:
                beside.chmod(stat.S_IMODE(mode))
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(target.parent)


def is_unfinished(path: Path) -> bool:
    """Return whether *path* is a temporary file that a killed command left behind."""
    return path.name.startswith(_UNFINISHED[0]) and path.name.endswith(_UNFINISHED[1])


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    # Windows cannot open folders, and some file systems cannot sync them; the file itself is
    # already there.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
