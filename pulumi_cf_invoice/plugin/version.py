"""
The version in the form that Pulumi expects for a plugin and its SDKs.

It imports nothing, because the build runs it before anything is installed.
"""

import re

PLACEHOLDER = "0.0.0-dev.0+placeholder"
"""The version in the committed schema, which would otherwise change with each commit."""


def semver(version: str) -> str:
    """
    Return the package's *version* as a semantic one.

    `0.1.0` is itself, and `0.1.0.dev57+g1a2b3c4` becomes `0.1.0-dev.57+g1a2b3c4`. A `ValueError`
    says that it has another form, which the project's tags cannot lead to.
    """
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?:\.dev(\d+))?(\+[0-9a-z.]+)?", version)
    if not found:
        raise ValueError(f"{version!r} is not a version X.Y.Z or X.Y.Z.devN")
    released, commits, local = found.groups()
    return released + (f"-dev.{commits}" if commits else "") + (local or "")
