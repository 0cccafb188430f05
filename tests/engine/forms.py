"""The dynamic provider and the plugin, for scenarios that must behave the same in both forms."""

from abc import ABC, abstractmethod
from itertools import cycle
from typing import Any

import pulumi
import pulumi_cf_invoice_sdk as sdk
import pytest

from pulumi_cf_invoice import (
    Credentials,
    InvoicePreview,
    get_invoice_preview,
    get_invoice_preview_output,
)
from pulumi_cf_invoice.state import DYNAMIC_TYPE, PLUGIN_TYPE, camel_case


class Form(ABC):
    """One form of the resource and the functions, as Python programs use it."""

    type: str
    """The resource's type token."""

    @abstractmethod
    def resource(self, name: str, account_id: Any = None, token: Any = None) -> Any:
        """Return a managed resource, with its own API token if *token* is given."""

    @abstractmethod
    def get(self, name: str, account_id: Any, token: Any = None) -> Any:
        """Return a resource that is read but not managed."""

    @abstractmethod
    def function(self, account_id: Any = None, token: Any = None) -> Any:
        """Call the function that takes plain arguments."""

    @abstractmethod
    def output_function(self, account_id: Any = None, depends_on: Any = None) -> Any:
        """Call the function that takes and returns Outputs."""

    @abstractmethod
    def derived(self, resource: Any) -> Any:
        """Return the object with the figures derived from those of *resource*."""

    @abstractmethod
    def spelled(self, name: str) -> str:
        """Return the name of a property as it appears in states and diffs."""


class Dynamic(Form):
    """The dynamic provider for Python programs."""

    type = DYNAMIC_TYPE

    def resource(self, name: str, account_id: Any = None, token: Any = None) -> Any:
        return InvoicePreview(name, account_id, token and Credentials(api_token=token))

    def get(self, name: str, account_id: Any, token: Any = None) -> Any:
        return InvoicePreview.get(name, account_id, token and Credentials(api_token=token))

    def function(self, account_id: Any = None, token: Any = None) -> Any:
        return get_invoice_preview(account_id, token and Credentials(api_token=token))

    def output_function(self, account_id: Any = None, depends_on: Any = None) -> Any:
        opts = pulumi.InvokeOutputOptions(depends_on=depends_on)
        return get_invoice_preview_output(account_id, opts=opts)

    def derived(self, resource: Any) -> Any:
        return resource.invoice

    def spelled(self, name: str) -> str:
        return name


class Plugin(Form):
    """The provider plugin, used through the Python SDK generated from its schema."""

    type = PLUGIN_TYPE

    def resource(self, name: str, account_id: Any = None, token: Any = None) -> Any:
        opts = pulumi.ResourceOptions(provider=self._provider(name, token))
        return sdk.InvoicePreview(name, account_id=account_id, opts=opts)

    def get(self, name: str, account_id: Any, token: Any = None) -> Any:
        opts = pulumi.ResourceOptions(provider=self._provider(name, token))
        return sdk.InvoicePreview.get(name, account_id, opts)

    def function(self, account_id: Any = None, token: Any = None) -> Any:
        opts = pulumi.InvokeOptions(provider=self._provider("function", token))
        return sdk.get_invoice_preview(account_id, opts)

    def output_function(self, account_id: Any = None, depends_on: Any = None) -> Any:
        opts = pulumi.InvokeOutputOptions(depends_on=depends_on)
        return sdk.get_invoice_preview_output(account_id, opts)

    def derived(self, resource: Any) -> Any:
        return sdk.get_invoice_preview_output(resource.account_id)

    def spelled(self, name: str) -> str:
        return camel_case(name)

    def _provider(self, name: str, token: Any) -> sdk.Provider | None:
        return sdk.Provider(f"{name}-provider", api_token=token) if token else None


FORMS: dict[str, Form] = {"dynamic": Dynamic(), "plugin": Plugin()}


ONE_FORM = pytest.mark.parametrize("form", ["dynamic"], indirect=True)
"""For tests that do not depend on the form: the pack, the report, or the engine."""


def in_turn(*values: Any) -> list[tuple[Any, str]]:
    """
    Return *values*, each with one of the forms, which take turns.

    For cases that the lifecycle or the client tells apart, and both forms pass on alike: each case
    is tried on the engine, and each form, but not every pair.
    """
    return list(zip(values, cycle(FORMS), strict=False))
