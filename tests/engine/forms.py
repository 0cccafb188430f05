"""The two forms of the same thing, for scenarios that have to come out alike in both."""

from abc import ABC, abstractmethod
from typing import Any

import pulumi
import pulumi_cf_invoice_sdk as sdk

from pulumi_cf_invoice import (
    Credentials,
    InvoicePreview,
    get_invoice_preview,
    get_invoice_preview_output,
)
from pulumi_cf_invoice.properties import DYNAMIC_TYPE, PLUGIN_TYPE, camel_case


class Form(ABC):
    """A form of the resource and of the functions, as Python programs have it."""

    type: str
    """The resource's type token."""

    @abstractmethod
    def resource(self, name: str, account_id: Any = None, token: Any = None) -> Any:
        """A resource, with an API token of its own where one is given."""

    @abstractmethod
    def get(self, name: str, account_id: Any, token: Any = None) -> Any:
        """A resource that is read and not managed."""

    @abstractmethod
    def function(self, account_id: Any = None, token: Any = None) -> Any:
        """The function of plain arguments."""

    @abstractmethod
    def output_function(self, account_id: Any = None, depends_on: Any = None) -> Any:
        """The function that takes and gives Outputs."""

    @abstractmethod
    def derived(self, resource: Any) -> Any:
        """What has the figures that follow from the resource's."""

    @abstractmethod
    def spelled(self, name: str) -> str:
        """A property's name in states and diffs."""


class Dynamic(Form):
    """The dynamic provider of Python programs."""

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
    """The provider plugin, through the Python SDK that is generated from its schema."""

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
