"""
The Pulumi package schema of the plugin, from which SDKs are generated.

It is derived from the models, which describe each property and its unit, and from the reads, each
of which is a function.
"""

import json
import re
from collections.abc import Callable
from importlib.metadata import metadata
from inspect import getattr_static
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.models import MajorUnits, Model, MoneyText, adapter
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, READS, Read
from pulumi_cf_invoice.forecast.read import READS as READS_OF_FORECAST
from pulumi_cf_invoice.forecast.result import json_schema
from pulumi_cf_invoice.plugin.version import semver
from pulumi_cf_invoice.state import LAST_UPDATE, PLUGIN_TYPE, camel_case

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

Spec = dict[str, Any]

SCHEMA_FILE = Path(__file__).parents[1] / "schema.json"
_INDEX = "cf-invoice:index:"
_ACCOUNT_ID: Spec = {
    "type": "string",
    "description": "The account, 32 hex digits in lower case. API: `account_id` of the path.",
}
_BASE_URL: Spec = {
    "type": "string",
    "description": "Where the figures came from, if not from Cloudflare. API: none, it is the "
    "provider's `baseUrl`.",
}
FUNCTIONS: dict[str, Read[Model]] = {
    f"{_INDEX}{camel_case(f'get_{read.name}'.replace('-', '_'))}": read for read in READS
}
"""The plugin's functions for reads, by token: ``cf-invoice:index:getInvoicePreview``."""
FORECAST = f"{_INDEX}getForecast"
"""The plugin's function for the forecast."""
_PROVIDER = {
    "accountId": (
        "The account, 32 hex digits, for resources and functions that name none.",
        "`account_id` of the path",
    ),
    "apiToken": (
        "API token with the permission AI Gateway Read.",
        "the header `Authorization`",
    ),
    "apiKey": (
        "API key, the older way to authenticate; needs `email`.",
        "the header `X-Auth-Key`",
    ),
    "email": ("E-mail address of the API key's user.", "the header `X-Auth-Email`"),
    "baseUrl": (
        f"Address of the API, https or on this machine; default: `{settings.CLOUDFLARE_API}`.",
        "its server",
    ),
    "timeout": (
        "Time limit for a fetch including retries, in seconds; default: "
        f"{settings.DEFAULT_TIMEOUT:g}.",
        "none, it is the client's",
    ),
}
"""For each of `settings.SETTINGS`, its description and its place in the API."""


def package(project: "PackageMetadata | None" = None, version: str | None = None) -> Spec:
    """
    Return the schema, in the form of Pulumi's package specification.

    *project* is what pyproject.toml says, by default that of the installed package. *version* is a
    semantic version, by default that of *project*.
    """
    project_metadata = metadata("pulumi-cf-invoice") if project is None else project
    models = {read.model.__name__: _model(read) for read in READS}
    invoice = models["Invoice"][0]
    forecast, of_forecast = _converted(json_schema(), lambda path: "none, it is a forecast")
    types = {
        name: spec
        for of_model in (*(inside for _, inside in models.values()), of_forecast)
        for name, spec in of_model.items()
    }
    variables = {name: _setting(name) for name in settings.SETTINGS}
    return {
        "name": "cf-invoice",
        "displayName": "Cloudflare invoice preview",
        "version": version or semver(project_metadata["Version"]),
        "description": project_metadata["Summary"],
        "keywords": ["category/cloud", "kind/native", *project_metadata["Keywords"].split(",")],
        "license": project_metadata["License-Expression"],
        **published(project_metadata),
        "meta": {"moduleFormat": "(.*)", "supportPack": True},
        "language": {
            **{name: {"respectSchemaVersion": True} for name in ("csharp", "go", "java", "nodejs")},
            "python": {
                # By default it would be pulumi_cf_invoice, this package.
                "packageName": "pulumi_cf_invoice_sdk",
                "pyproject": {"enabled": True},
                "respectSchemaVersion": True,
            },
        },
        "config": {"variables": variables},
        "provider": {
            "description": "Where to read upcoming invoices, and with which credentials. Settings "
            "that are not given come from stack config `cf-invoice:`, then from the environment.",
            "inputProperties": variables,
        },
        "types": {
            f"{_INDEX}{name}": spec for name, spec in {**types, **_last_update(invoice)}.items()
        },
        "resources": {PLUGIN_TYPE: _resource(invoice)},
        "functions": {
            **{
                token: _function(read, models[read.model.__name__][0])
                for token, read in FUNCTIONS.items()
            },
            FORECAST: _forecast(forecast),
        },
    }


def committed() -> Spec:
    """Return the schema as it was written to a file, with the version of the installed package."""
    spec: Spec = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return {**spec, "version": semver(metadata("pulumi-cf-invoice")["Version"])}


def published(project_metadata: "PackageMetadata") -> Spec:
    """
    Return who publishes the package and where, as far as pyproject.toml names it.

    Everything follows from the repository on GitHub and the author. The namespace is part of the
    SDKs' names. It is the one that Pulumi would choose for a package added by its repository, so
    that the SDKs have the same names however the package is added.
    """
    urls = dict(entry.split(", ", 1) for entry in project_metadata.get_all("Project-URL") or [])
    repository = urls.get("Repository", "")
    found = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+)(?<!\.git)", repository)
    if not found:
        return {}
    owner, name = found.groups()
    return {
        **({"publisher": project_metadata["Author"]} if "Author" in project_metadata else {}),
        "namespace": owner.lower(),
        "homepage": urls.get("Homepage", repository),
        "repository": repository,
        "logoUrl": f"https://raw.githubusercontent.com/{owner}/{name}/HEAD/docs/logo.svg",
        "pluginDownloadURL": f"github://api.github.com/{owner}/{name}",
    }


def _resource(invoice: Spec) -> Spec:
    last_update = {
        "$ref": f"#/types/{_INDEX}LastUpdate",
        "description": "The invoice at the previous update; none on the first one, and if that "
        "update read from another address. Policies on an increase use it. It never causes a diff "
        "by itself, and a refresh does not change it. API: none, it is what the stack knew.",
    }
    return {
        "description": "The upcoming invoice of an account's AI Gateway, known at preview. Figures "
        "that have moved since the last deployment show up as an update. Amounts are in minor "
        f"units (cents, for US dollars) of `currency`.\n\nAPI: `{_request(INVOICE_PREVIEW)}`.",
        "inputProperties": {"accountId": {**_account_argument(), "willReplaceOnChanges": True}},
        "properties": {
            "accountId": _ACCOUNT_ID,
            **invoice["properties"],
            "baseUrl": _BASE_URL,
            "lastUpdate": last_update,
        },
        "required": ["accountId", *invoice["required"]],
    }


def _function(read: Read[Model], model: Spec) -> Spec:
    derived = {camel_case(name): _derived(read.model, name) for name in read.figures}
    outputs = {"accountId": _ACCOUNT_ID, "baseUrl": _BASE_URL, **derived, **model["properties"]}
    # A field may be missing in the answer, and a sum is unknown if lines are missing.
    known = {camel_case(name) for name in read.figures if name not in read.not_always_known}
    always = {"accountId", *model["required"], *known}
    arguments = {
        camel_case(name): {"type": "string", "description": description}
        for name, description in read.arguments.items()
    }
    return {
        "description": f"{read.summary}\n\nAPI: `{_request(read)}`.",
        "inputs": {
            "type": "object",
            "properties": {"accountId": _account_argument(), **arguments},
        },
        "outputs": {
            "type": "object",
            "properties": outputs,
            "required": [name for name in outputs if name in always],
        },
    }


def _forecast(model: Spec) -> Spec:
    reads = ", ".join(f"`{_request(read)}`" for read in READS_OF_FORECAST)
    fixed_lines = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Globs matching the descriptions of lines that do not grow with usage. API: "
        "none.",
    }
    return {
        "description": "A forecast of the upcoming invoice of an account's AI Gateway, with a band "
        "and the method's error so far, and of how long the credits last. "
        f"Amounts are in minor units of `currency`.\n\nAPI: {reads}.",
        "inputs": {
            "type": "object",
            "properties": {"accountId": _account_argument(), "fixedLines": fixed_lines},
        },
        "outputs": {
            "type": "object",
            "properties": {"accountId": _ACCOUNT_ID, **model["properties"]},
            "required": ["accountId", *model["required"]],
        },
    }


def _request(read: Read[Model]) -> str:
    return f"GET {read.path('{account_id}')}"


def _last_update(invoice: Spec) -> dict[str, Spec]:
    names = [camel_case(name) for name in LAST_UPDATE]
    return {
        "LastUpdate": {
            "type": "object",
            "description": "The invoice at the previous update, against which an increase is "
            "measured.",
            "properties": {name: invoice["properties"][name] for name in names},
            "required": names,
        }
    }


def _account_argument() -> Spec:
    return {
        "type": "string",
        "description": "The account, 32 hex digits. Default: the provider's, then the stack config "
        "`cf-invoice:accountId`, then the environment's `CLOUDFLARE_ACCOUNT_ID`. API: "
        "`account_id` of the path.",
    }


def _setting(name: str) -> Spec:
    description, api = _PROVIDER[name]
    return {
        "type": "number" if name == "timeout" else "string",
        "description": f"{description} Environment: `{settings.VARIABLES[name]}`. API: {api}.",
        **({"secret": True} if name in settings.SECRETS else {}),
    }


def _derived(model: type[Model], name: str) -> Spec:
    """Return the type of a figure that follows from the fields."""
    found = getattr_static(model, name)
    if isinstance(found, (MajorUnits, MoneyText)):
        kind, description = str, found.description
    else:
        kind, description = get_type_hints(found.fget)["return"], found.__doc__ or ""
    [kind] = [member for member in get_args(kind) or [kind] if member is not type(None)]
    description = _renamed(" ".join(description.split()))
    return {
        "type": _TYPES[kind],
        "description": f"{description} API: none, it follows from `result`.",
    }


_TYPES = {float: "number", str: "string", bool: "boolean"}


def _model(read: Read[Model]) -> tuple[Spec, dict[str, Spec]]:
    """
    Return the model of *read* as an object type, and by name those inside it, each field with its
    place in the API.
    """

    def place(path: str) -> str:
        if path in read.places:
            return read.places[path]
        # What is inside of something is where that is.
        inside, _, field = path.rpartition(".")
        whole = inside.removesuffix("[]")
        of_whole = place(whole).strip("`") if whole else "result"
        return f"`{of_whole}{inside[len(whole) :]}.{field}`"

    return _converted(adapter(read.model).json_schema(mode="serialization"), place)


def _converted(whole: Spec, place: Callable[[str], str]) -> tuple[Spec, dict[str, Spec]]:
    """
    Return a JSON Schema as an object type, and by name those inside it.

    *place* tells of a field's path where it is in the API.
    """
    definitions = whole.get("$defs", {})
    found: dict[str, Spec] = {}

    def of_model(spec: Spec, path: str) -> Spec:
        properties = {
            camel_case(field): of_field(field_spec, f"{path}.{field}" if path else field)
            for field, field_spec in spec["properties"].items()
        }
        required = [camel_case(field) for field in spec.get("required", [])]
        return {
            "type": "object",
            "description": spec["description"],
            "properties": properties,
            **({"required": required} if required else {}),
        }

    def of_field(spec: Spec, path: str) -> Spec:
        description = f"{_renamed(' '.join(spec['description'].split()))} API: {place(path)}."
        return {**of_type(spec, path), "description": description}

    def of_type(spec: Spec, path: str) -> Spec:
        if "$ref" in spec:
            name = spec["$ref"].rpartition("/")[2]
            found[name] = of_model(definitions[name], path)
            return {"$ref": f"#/types/{_INDEX}{name}"}
        if spec.get("type") == "array":
            return {"type": "array", "items": of_type(spec["items"], f"{path}[]")}
        # A field that may be none is absent in that case, which Pulumi expresses as not required.
        if "anyOf" in spec:
            [only] = [option for option in spec["anyOf"] if option.get("type") != "null"]
            return of_type(only, path)
        return {"type": spec["type"]}

    return of_model(whole, ""), found


def _renamed(description: str) -> str:
    """Return *description* with the plugin's names instead of the model's."""
    return re.sub("`([a-z_]+)`", lambda match: f"`{camel_case(match[1])}`", description)
