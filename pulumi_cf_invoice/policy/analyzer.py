"""
What Pulumi's policy SDK knows but does not pass to policies: a pack's whole config before anything
runs, and the request in which a resource is judged.

The SDK has no public access to either, so this module extends its server. If a version of the SDK
has a different server, rules are still judged; their config is then checked when they are first
called.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import grpc
import pulumi_policy.policy
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel, Policy, PolicyProviderResource, ReportViolation
from pulumi_policy.deserialize import (
    SPECIAL_SECRET_SIG,
    SPECIAL_SIG_KEY,
    deserialize_properties,
)
from pulumi_policy.proxy import (
    UNKNOWN_STRING_VALUE,
    UnknownValueError,
    unknown_checking_proxy,
)

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing.errors import RuleError
from pulumi_cf_invoice.rules.file import Config, Level
from pulumi_cf_invoice.state import InvoiceState

Configure = Callable[[Mapping[str, Config]], None]
"""Checks a pack's config, by name of policy or ``all``. Raises `RuleError`."""
STACK_TYPE = "pulumi:pulumi:Stack"
_SERVER = "_PolicyAnalyzerServicer"
_LEVELS: dict[str, Level] = {"ADVISORY": "advisory", "DISABLED": "disabled"}
_local = threading.local()
_dry_runs: list[bool] = []
_inputs: dict[str, "Call"] = {}


class Call:
    """A request to judge one resource, answered by all rules of a pack."""

    def __init__(self, resource_type: str, properties: struct_pb2.Struct) -> None:
        self._type = resource_type
        self._message = properties

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The resource's properties; accessing an unknown one raises."""
        plain = json_format.MessageToDict(self._message)
        return unknown_checking_proxy(deserialize_properties(plain))

    @cached_property
    def state(self) -> InvoiceState | None:
        """The invoice in the properties, if there is one. Raises `InvalidDataError`."""
        found = state.read(self._type, self.properties)
        if found is None:
            return None
        if _is_secret(self._message, "base_url", "baseUrl"):
            found = replace(found, base_url=state.SECRET_ADDRESS)
        return replace(found, account_is_secret=self.account_is_secret)

    @property
    def account_is_secret(self) -> bool:
        """Whether the program marked the account in the properties as secret."""
        return _is_secret(self._message, "account_id", "accountId")


def current_call() -> Call | None:
    """Return the request that this thread answers, or None if unknown."""
    return getattr(_local, "call", None)


def is_preview() -> bool:
    """
    Return whether the pack judges a preview rather than an update.

    The engine says so when it configures the stack. If it did not, only some of its hosts set a
    variable.
    """
    if _dry_runs:
        return _dry_runs[-1]
    return os.environ.get("PULUMI_DRY_RUN") == "true"


def known_of(urn: str, properties: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """
    Return the known *properties* of a stack's resource, and the names of those that are not.

    At a preview, a provider's outputs are unknown wherever the program leaves the provider a
    choice. In that case the inputs decide, if they were kept: a property that they do not have is
    not set, and only one that is unknown among them depends on a resource to come. So they do if
    the provider was not asked (`unknown_setting`), for then there are no outputs.
    """
    known, unknown = {}, set()
    for name in next(_sources(urn, properties), {}):
        for found in _sources(urn, properties):
            try:
                known[name] = state.plain(found[name])
                break
            except UnknownValueError:
                continue
            except KeyError:
                # The program does not set it.
                break
        else:
            unknown.add(name)
    return known, frozenset(unknown)


def may_be_secret(urn: str) -> bool:
    """Return whether a resource's account is a secret, or its inputs were not kept."""
    return urn not in _inputs or _inputs[urn].account_is_secret


def _sources(urn: str, properties: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a resource's *properties*, if it has any, and then its inputs, if they were kept."""
    if properties:
        yield properties
    if urn in _inputs:
        # Decoded only if they are needed.
        yield _inputs[urn].properties


def unknown_setting(provider: PolicyProviderResource | None) -> UnknownValueError | None:
    """
    Return the SDK's error for an unknown value if at a preview a setting of *provider* is one.

    The engine asks such a provider nothing, not even to check a resource. An update knows them all.
    """
    if provider is None or not is_preview():
        return None
    try:
        state.plain(provider.props)
    except UnknownValueError as error:
        return error
    return None


def base_url_of(provider: PolicyProviderResource | None) -> str | None:
    """Return the address that *provider* was given, None if none; empty if it is not known yet."""
    if provider is None:
        return None
    try:
        given = state.plain(provider.props.get("baseUrl"))
    except UnknownValueError:
        return ""
    return None if given is None else str(given)


def advise(report: ReportViolation, message: str, urn: str) -> None:
    """
    *Report* what is not known yet, as an advisory at any level of the policy.

    Raises the SDK's own error for an unknown value, which it turns into an advisory, if its server
    could not be extended.
    """
    advisories = getattr(_local, "advisories", None)
    if advisories is None:
        raise UnknownValueError(UNKNOWN_STRING_VALUE, [urn.rsplit("::", 1)[-1]])
    advisories.add(message)
    report(message, urn)


def install(
    configure: Configure,
    finish: Callable[[], None],
    others: Collection[str],
    looks_into: Callable[[str], bool] = lambda _: False,
) -> None:
    """
    Have the pack of this process call *configure* before anything runs, and *finish* at the end.

    If it has no *others*, by name, than our rules, which read a resource from `current_call`, the
    SDK need not decode the properties for each of them, which takes longer than judging them. For
    `known_of`, the inputs of resources of a type that it *looks_into* at the end are kept.
    """
    server = getattr(pulumi_policy.policy, _SERVER, None)
    methods = ("Configure", "ConfigureStack", "Analyze", "AnalyzeStack")
    if not all(hasattr(server, name) for name in methods):
        return

    class Server(server):  # type: ignore[misc, valid-type]
        _has_met_resources = False
        _is_without_resources = False

        def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            try:
                configure({n: _config(written) for n, written in request.policyConfig.items()})
            except RuleError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return super().Configure(request, context)

        def ConfigureStack(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            _dry_runs.append(bool(request.dry_run))
            return super().ConfigureStack(request, context)

        def Analyze(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            self._has_met_resources = True
            properties = struct_pb2.Struct()
            properties.CopyFrom(request.properties)
            _local.call = Call(request.type, properties)
            if looks_into(request.type):
                _inputs[request.urn] = _local.call
            if not others:
                request.properties.Clear()
            try:
                return super().Analyze(request, context)
            finally:
                _local.call = None

        def AnalyzeStack(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            # It comes once, after all resources, whether the pack has policies on stacks or not.
            _local.advisories = set()
            response = super().AnalyzeStack(request, context)
            for diagnostic in response.diagnostics:
                # Before the message, the SDK puts the policy's description.
                if diagnostic.message.rpartition("\n")[2] in _local.advisories:
                    diagnostic.enforcementLevel = analyzer_pb2.EnforcementLevel.Value("ADVISORY")
            if not self._has_met_resources:
                response.diagnostics.extend(self._without_resources(context))
            finish()
            return response

        def _without_resources(self, context: grpc.ServicerContext) -> Any:
            # A program that registers nothing, not even its stack, has all resources deleted. Our
            # rules judge as before the first one.
            self._is_without_resources = True
            return (
                super().Analyze(analyzer_pb2.AnalyzeRequest(type=STACK_TYPE), context).diagnostics
            )

        def _get_enforcement_level(self, policy: Policy) -> EnforcementLevel:
            if self._is_without_resources and policy.name in others:
                # There is no such stack for it to see.
                return EnforcementLevel.DISABLED
            level: EnforcementLevel = super()._get_enforcement_level(policy)
            return level

    setattr(pulumi_policy.policy, _SERVER, Server)


def _config(written: Any) -> Config:
    # Pulumi always sends a level, the policy's own if the config has none.
    level = analyzer_pb2.EnforcementLevel.Name(written.enforcementLevel)
    return Config(json_format.MessageToDict(written.properties), _LEVELS.get(level, "mandatory"))


def _is_secret(properties: struct_pb2.Struct, *names: str) -> bool:
    """Return whether the first of *names* that is a property, in either form, is a secret."""
    for name in names:
        value = properties.fields.get(name)
        if value is not None and value.HasField("struct_value"):
            signature = value.struct_value.fields.get(SPECIAL_SIG_KEY)
            return signature is not None and signature.string_value == SPECIAL_SECRET_SIG
    return False
