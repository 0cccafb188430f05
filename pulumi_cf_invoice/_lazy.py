"""Imports public names on first use."""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    Return the ``__getattr__`` and ``__dir__`` of *package*, whose public names its stub imports.

    The stub ``__init__.pyi`` is the only place that lists them, and type checkers read it directly.
    Once imported, a name becomes an attribute of the package.
    """

    @cache
    def modules() -> dict[str, str]:
        import ast
        from pathlib import Path

        stub = Path(sys.modules[package].__file__ or "").with_suffix(".pyi")
        imports = ast.parse(stub.read_text("utf-8")).body
        return {
            alias.name: node.module or ""
            for node in imports
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def import_name(name: str) -> Any:
        if name == "__all__":
            return sorted(modules())
        if name.startswith("__") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules()})

    return import_name, names
