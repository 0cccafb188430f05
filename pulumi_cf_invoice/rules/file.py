"""
Rules as people declare them: ``rules.json``, Pulumi's policy config on top, levels and waivers.

Settings are checked when they are read; missing ones are reported when everything has been merged,
since Pulumi's config may set them. Each mistake is a `RuleError` in one line.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

from pulumi_cf_invoice.billing.answers import unique
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import LimitError, RuleError
from pulumi_cf_invoice.billing.files import read_file
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.suggestions import errors_under, unknown_name
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.limits import Limit, Multiple, parse_account_id, shown
from pulumi_cf_invoice.rules.rule import Rule
from pulumi_cf_invoice.rules.settings import Setting

Level = Literal["mandatory", "advisory", "disabled"]
LEVELS: tuple[Level, ...] = ("mandatory", "advisory", "disabled")
_LONGEST_LEVEL = 12
READING: Mapping[str, Setting] = {
    "accountIds": rule_settings.ACCOUNT_IDS,
    "failOpen": rule_settings.FAIL_OPEN,
    "baseUrl": rule_settings.BASE_URL,
}
"""The settings of a rule that reads accounts itself."""
SCHEMA_FILE = Path(__file__).parents[1] / "rules.schema.json"
"""The JSON Schema of ``rules.json``, for editors."""
_ALL = "all"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_UNTIL = rf"^{_DATE}(T[0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}})?(Z|[+-][0-9]{{2}}:[0-9]{{2}}))?$"
_LONGEST_REASON = 200
_LONGEST_PATH = 1000
_MOST_DIGITS = 400


@dataclass(frozen=True)
class Waiver:
    """
    Settings that replace a rule's own before the instant ``until``; none suspend the rule.

    ``end`` is that instant as written: a date includes that day, in UTC. ``settings`` are the
    values that their readers returned, and ``terms`` says what was written.
    """

    until: datetime
    end: str
    by: str
    reason: str
    settings: Mapping[str, Any]
    terms: str

    @classmethod
    def parse(cls, written: Any, kind: type[Rule]) -> "Waiver":
        """Read the waiver of a rule of *kind*. Raises `LimitError`."""
        if not isinstance(written, Mapping):
            raise LimitError(f"{shown(written)} is not an object with until, by and reason")
        for name in written:
            if name not in (*_OF_WAIVER, *kind.waivable):
                names = (*_OF_WAIVER, *kind.waivable)
                raise LimitError(unknown_name("setting of a waiver", name, names))
        replacing = {name: written[name] for name in kind.waivable if name in written}
        settings = {n: _read(n, kind.settings[n], value) for n, value in replacing.items()}
        if kind.waivable and not settings:
            raise LimitError(f"it has no {_or(kind.waivable)} to apply while it is in force")
        end = written.get("until")
        return cls(
            until=_instant(end),
            end=cast(str, end),
            by=_text(written, "by"),
            reason=_text(written, "reason"),
            settings=settings,
            terms=" and ".join(_term(name, value) for name, value in replacing.items()),
        )

    def in_force(self, at: datetime) -> bool:
        """Return whether the waiver counts at the time *at*."""
        return at < self.until

    @property
    def text(self) -> str:
        """Its end, who granted it and why."""
        return f"until {self.end}, by {self.by}: {self.reason}"


@dataclass(frozen=True)
class DeclaredRule:
    """
    A rule as declared, under its own name.

    ``settings`` are the values that their readers returned. ``level`` is None for the policy pack's
    default; a report treats that as mandatory. ``source`` is the file or flag that it comes from;
    empty if it is declared in code.

    A rule with ``warn_at`` declares further rules (`warnings`), each of which has the rule's name
    as its ``base``, and ``percent`` of its limit. ``own`` are the settings that Pulumi's config has
    for such a rule itself. ``dropped`` are the globs and accounts whose limits that config has
    replaced with those of others, ``unlisted`` the accounts that the rule had listed and that the
    config does not list, and ``replaced`` the settings that are the config's.
    """

    name: str
    kind: type[Rule]
    settings: Mapping[str, Any] = field(default_factory=dict)
    level: Level | None = None
    waiver: Waiver | None = None
    source: str = ""
    warn_at: tuple[Decimal, ...] = ()
    base: str | None = None
    percent: Decimal = Decimal(100)
    own: Mapping[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, name: str, written: Any) -> "DeclaredRule":
        """Read what is *written* under *name*. Raises `RuleError`."""
        with errors_under(f"rule '{one_line(name)}'", RuleError):
            return cls._parsed(name, written)

    @classmethod
    def _parsed(cls, name: str, written: Any) -> "DeclaredRule":
        if name == _ALL or not re.fullmatch(_NAME, name):
            raise LimitError(
                "a name consists of letters, digits, '.', '_' and '-', and is not 'all'"
            )
        if not isinstance(written, Mapping):
            raise LimitError(f"{shown(written)} is not an object with settings")
        kind = _kind(name, written)
        rest = {key: value for key, value in written.items() if key not in _OF_EVERY_RULE}
        settings = _settings(kind, rest)
        level = _level(written["enforcementLevel"]) if "enforcementLevel" in written else None
        waiver = None
        if "waiver" in written:
            with errors_under("waiver"):
                waiver = Waiver.parse(written["waiver"], kind)
        warn_at = ()
        if "warnAt" in written:
            if not warns(kind):
                raise LimitError(f"warnAt: {kind.name} has no maximum to warn before")
            warn_at = _read("warnAt", rule_settings.WARN_AT, written["warnAt"])
        return cls(name, kind, settings, level, waiver, warn_at=warn_at)

    @property
    def warnings(self) -> "list[DeclaredRule]":
        """The advisory rules that warn before the rule is violated."""
        return [
            DeclaredRule(
                f"{self.name}-{percent}%",
                self.kind,
                level="advisory",
                source=self.source,
                base=self.name,
                percent=percent,
            ).following(self)
            for percent in self.warn_at
        ]

    def following(self, base: "DeclaredRule") -> "DeclaredRule":
        """
        Return this warning rule as derived from its *base*: it is disabled if that is.

        Raises `RuleError`.
        """
        with errors_under(f"rule '{self.name}'", RuleError):
            return self._following(base)

    def _following(self, base: "DeclaredRule") -> "DeclaredRule":
        waiver = base.waiver
        if waiver is not None:
            share = f"{self.percent}% of {waiver.terms}"
            terms = share if waiver.settings else waiver.terms
            with errors_under("waiver"):
                scaled = self._scaled(waiver.settings)
            waiver = replace(waiver, settings=scaled, terms=terms)
        settings = merged(self._scaled(base.settings), self.own)
        level: Level | None = "disabled" if base.level == "disabled" else self.level
        replaced = self.replaced | base.replaced
        return replace(self, settings=settings, waiver=waiver, level=level, replaced=replaced)

    def _scaled(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        scalers = {name: setting.scaled for name, setting in self.kind.settings.items()}
        return {
            name: scale(value, self.percent) if (scale := scalers.get(name)) else value
            for name, value in settings.items()
        }

    def configured(self, config: "Config") -> "DeclaredRule":
        """
        Return the rule with Pulumi's policy config applied on top. Raises `RuleError`.

        A setting there replaces the one here, as Pulumi merges it; a limit by account without an
        amount for all others keeps the limits here.
        """
        with errors_under(f"rule '{self.name}'", RuleError):
            for name in ("waiver", "warnAt"):
                if name in config.settings:
                    what = "a waiver" if name == "waiver" else name
                    raise LimitError(f"{what} can only be set in the file of rules")
            given = _settings(self.kind, config.settings)
            settings = merged(self.settings, given)
        return replace(
            self,
            settings=settings,
            own=merged(self.own, given) if self.base else {},
            level=config.level or self.level,
            dropped=(*self.dropped, *_dropped(self.settings, settings)),
            unlisted=(*self.unlisted, *_unlisted(self.settings, settings)),
            replaced=self.replaced | {name for name in given if settings[name] == given[name]},
        )


@dataclass(frozen=True)
class Config:
    """
    What Pulumi's policy config says about a rule: its settings as written, and its level.

    ``level`` is None if the config does not set it.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    level: Level | None = None


_OF_EVERY_RULE = ("rule", "enforcementLevel", "waiver", "warnAt")
_OF_WAIVER = ("until", "by", "reason")
_WORDS = {
    "limit": "the limit",
    "limits": "the limits",
    "defaultLimit": "the default limit",
    "atLeast": "at least",
}
_MOST = 20


def warns(kind: type[Rule]) -> bool:
    """Return whether a rule of *kind* has a maximum, and can warn before it is exceeded."""
    return any(setting.scaled for setting in kind.settings.values())


def settings_of(kind: type[Rule]) -> dict[str, Setting]:
    """Return the settings that a rule of *kind* takes, by name."""
    return {**kind.settings, **(READING if kind.reads_accounts else {})}


def merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *settings* with those in *over* in their place; all of them have been read.

    Raises `LimitError` if limits of accounts would replace a multiple of a usual day.
    """
    return _laid(_needed(settings, over), over, _over)


def waived(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *settings* with a waiver's *over* them: globs and accounts not named keep their limits.

    Raises `LimitError` if a multiple of a usual day would replace the limits of accounts, or they
    would replace it.
    """
    return _laid(_needed(settings, over), over, _under)


def read_rules(path: str | Path) -> list[DeclaredRule]:
    """Read a file of rules. Raises `RuleError`, which names the file."""
    with errors_under(one_line(str(path), _LONGEST_PATH), RuleError):
        source = one_line(Path(path).name if Path(path).is_absolute() else str(path), _LONGEST_PATH)
        return [replace(rule, source=source) for rule in parse_rules(_content(path, "utf-8-sig"))]


def parse_rules(content: Any) -> list[DeclaredRule]:
    """Read the *content* of a file of rules. Raises `RuleError`."""
    if not isinstance(content, Mapping):
        raise RuleError(f"{shown(content)} is not an object with rules")
    for name in content:
        if name not in ("$schema", "rules"):
            raise RuleError(unknown_name("setting", name, ["rules"]))
    rules = content.get("rules")
    if not isinstance(rules, Mapping) or not rules:
        raise RuleError('it has no rules: write them under "rules", by name')
    declared = [DeclaredRule.parse(name, written) for name, written in rules.items()]
    return [each for rule in declared for each in (rule, *rule.warnings)]


def read_config(path: str | Path) -> dict[str, Config]:
    """
    Read a file of Pulumi's policy config (``--policy-pack-config``), by name of rule.

    Raises `RuleError`, which names the file.
    """
    with errors_under(one_line(str(path), _LONGEST_PATH), RuleError):
        # Pulumi takes no byte order mark here.
        return _parsed_config(_content(path, "utf-8"))


def configured(
    rules: Iterable[DeclaredRule], config: Mapping[str, Config], others: Iterable[str] = ()
) -> list[DeclaredRule]:
    """
    Return *rules* with Pulumi's policy *config*, by name of rule or ``all``, applied on top.

    *others* are the names of policies that are not our rules. Raises `RuleError`.
    """
    rules = list(rules)
    names = [rule.name for rule in rules]
    known = {*names, *others}
    for name in config:
        if name not in (*known, _ALL):
            raise RuleError(unknown_name("rule", name, known))
    of_all = config.get(_ALL, Config())
    if of_all.settings:
        raise RuleError("'all' takes only an enforcementLevel")
    for name, count in Counter(names).items():
        if count > 1:
            raise RuleError(f"two rules are called '{name}'")
    levelled = [rule.configured(Config(level=of_all.level)) for rule in rules]
    settled = [rule.configured(config.get(rule.name, Config())) for rule in levelled]
    by_name = {rule.name: rule for rule in settled}
    return [rule.following(by_name[rule.base]) if rule.base else rule for rule in settled]


def schema_text() -> str:
    """Return `schema` as it is published."""
    return json.dumps(schema(), indent=2) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of rules, made from the settings of each kind."""
    kinds = {name: {"$ref": f"#/$defs/{name}"} for name in KINDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules on the upcoming AI Gateway invoice",
        "type": "object",
        "required": ["rules"],
        "additionalProperties": False,
        "properties": {
            "$schema": {"type": "string"},
            "rules": {
                "description": "The rules by name: the name of a kind, or any other name with a "
                "`rule`.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": _NAME, "not": {"const": _ALL}},
                "properties": kinds,
                "additionalProperties": {
                    "type": "object",
                    "required": ["rule"],
                    "properties": {"rule": {"enum": list(KINDS)}},
                    "allOf": [
                        {
                            "if": {"properties": {"rule": {"const": name}}, "required": ["rule"]},
                            "then": reference,
                        }
                        for name, reference in kinds.items()
                    ],
                },
            },
        },
        "$defs": {
            **{name: dict(shared) for name, shared in rule_settings.SHARED_SCHEMAS.items()},
            **{name: _schema_of(kind) for name, kind in KINDS.items()},
        },
    }


def _schema_of(kind: type[Rule]) -> dict[str, Any]:
    of_waiver: dict[str, Any] = {
        "until": {
            "description": "When the waiver ends: a date, which includes that day in UTC, or an "
            "instant with its time zone.",
            "type": "string",
            "pattern": _UNTIL,
        },
        "by": {"description": "Who granted it.", "type": "string", "pattern": r"\S"},
        "reason": {"description": "Why.", "type": "string", "pattern": r"\S"},
        **{name: dict(kind.settings[name].schema) for name in kind.waivable},
    }
    waiver: dict[str, Any] = {
        "description": "Settings that replace the rule's own until the waiver ends. Limits by glob "
        "or account that it does not name stay."
        if kind.waivable
        else "Suspends the rule until the waiver ends.",
        "type": "object",
        "required": ["until", "by", "reason"],
        "properties": of_waiver,
        "additionalProperties": False,
    }
    if kind.waivable:
        waiver["anyOf"] = [{"required": [name]} for name in kind.waivable]
    return {
        "description": kind.description,
        "type": "object",
        "properties": {
            "rule": {"description": "The kind of rule.", "const": kind.name},
            "enforcementLevel": {
                "description": "Whether a violation blocks (mandatory) or warns (advisory).",
                "enum": list(LEVELS),
            },
            **{name: dict(setting.schema) for name, setting in settings_of(kind).items()},
            **({"warnAt": dict(rule_settings.WARN_AT.schema)} if warns(kind) else {}),
            "waiver": waiver,
        },
        "additionalProperties": False,
    }


def _kind(name: str, written: Mapping[str, Any]) -> type[Rule]:
    rule = written.get("rule", name)
    if not isinstance(rule, str):
        raise LimitError(f"rule: {shown(rule)} is not the name of a rule")
    if rule not in KINDS:
        problem = unknown_name("rule", rule, KINDS)
        if "rule" not in written:
            end = "" if problem.endswith("?") else "."
            problem += f"{end} To use a name of your own, add a `rule`."
        raise LimitError(problem)
    if name in KINDS and rule != name:
        raise LimitError(
            f"'{name}' is itself a kind of rule, and not '{rule}': choose another name"
        )
    return KINDS[rule]


def _settings(kind: type[Rule], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the settings of a rule of *kind*. Raises `LimitError`."""
    known = settings_of(kind)
    values = {}
    for name, value in written.items():
        if name in READING and name not in known:
            raise LimitError(f"{name}: {kind.name} does not read accounts itself")
        if name not in known:
            raise LimitError(unknown_name("setting", name, known))
        values[name] = _read(name, known[name], value)
    return values


def _read(name: str, setting: Setting, value: Any) -> Any:
    with errors_under(name):
        return setting.read(value)


def _laid(
    settings: Mapping[str, Any], over: Mapping[str, Any], laid: Callable[[Any, Any], Any]
) -> dict[str, Any]:
    """Return *settings* with those in *over* as *laid* over what is there."""
    together = dict(settings)
    for name, value in over.items():
        with errors_under(name):
            together[name] = laid(settings.get(name), value)
    return together


def _needed(settings: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *settings* without the ``atLeast`` of a multiple in whose place *over* has amounts."""
    if not isinstance(over.get("limit"), Limit):
        return settings
    return {name: value for name, value in settings.items() if name != "atLeast"}


def _over(before: Any, value: Any) -> Any:
    """Return *value*, with what is kept of a limit *before* where it has no amount for the rest."""
    if not isinstance(value, Limit) or value.default is not None:
        return value
    if isinstance(before, Multiple):
        raise LimitError("it would leave the other accounts without a limit: add a `limit`")
    return value.over(before) if isinstance(before, Limit) else value


def _under(before: Any, value: Any) -> Any:
    """Return the *value* of a waiver, with what it does not name of the one *before*."""
    if isinstance(value, Mapping):
        return _laid(before or {}, value, _under)
    if isinstance(value, Multiple) and isinstance(before, Limit) and before.accounts:
        raise LimitError(
            f"{value.text} would replace the limits of individual accounts: write it as an amount"
        )
    if isinstance(value, Limit) and isinstance(before, Limit):
        return value.over(before)
    return _over(before, value)


def _dropped(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the globs and accounts that have a limit in the settings *before*, but not *after*."""
    globs, kept = before.get("limits", {}), after.get("limits", {})
    accounts = [
        f"account {account}"
        for name, limit in before.items()
        for account in _accounts_without(limit, after.get(name))
    ]
    accounts_of_globs = [
        f"{glob} in account {account}"
        for glob in globs.keys() & kept.keys()
        for account in _accounts_without(globs[glob], kept[glob])
    ]
    return [*sorted(globs.keys() - kept.keys()), *sorted({*accounts, *accounts_of_globs})]


def _unlisted(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the accounts that the settings *before* list, but those *after* do not."""
    return [
        f"account {account}"
        for name in ("accountIds", "requiredAccountIds")
        for account in before.get(name, ())
        if account not in after[name]
    ]


def _accounts_without(before: Any, after: Any) -> set[str]:
    """Return the accounts that have their own limit *before*, but not *after*."""
    if not isinstance(before, Limit):
        return set()
    kept = after.accounts if isinstance(after, Limit) else {}
    return before.accounts.keys() - kept.keys()


def _term(name: str, written: Any) -> str:
    """Say what a waiver replaces the setting *name* with, as it is *written*."""
    if name == "days":
        if isinstance(written, str):
            return "a runway to the end of the period"
        # Pulumi passes whole numbers as floats.
        return f"a runway of {counted(int(written), 'day')}"
    if name == "limits":
        texts = [text for glob, limit in written.items() for text in _amounts(limit, glob)]
    else:
        texts = list(_amounts(written))
    more = f" and {len(texts) - _MOST:,} more" if len(texts) > _MOST else ""
    return f"{_WORDS[name]} {', '.join(texts[:_MOST])}{more}"


def _amounts(written: Any, glob: str | None = None) -> Iterator[str]:
    """Return each amount of a limit as it is *written*, with what it is for."""
    for_glob = "" if glob is None else f" for {one_line(glob)}"
    if not isinstance(written, Mapping):
        yield f"{one_line(written)}{for_glob}"
        return
    if "limit" in written:
        yield f"{one_line(written['limit'])}{for_glob}"
    for account, amount in written.get("accounts", {}).items():
        yield f"{one_line(amount)}{for_glob} for account {parse_account_id(account)}"


def _text(written: Mapping[str, Any], name: str) -> str:
    text = written.get(name)
    if not isinstance(text, str) or not one_line(text):
        raise LimitError(
            f"it does not say {'who granted it' if name == 'by' else 'why'}: add `{name}`"
        )
    return one_line(text, _LONGEST_REASON).rstrip(".")


def _instant(written: Any) -> datetime:
    if written is None:
        raise LimitError("it has no end: add `until`")
    if not isinstance(written, str) or not re.fullmatch(_UNTIL, written):
        raise LimitError(
            f"until: {shown(written)} is neither a date such as 2026-12-01 nor an instant such as "
            "2026-12-01T12:00:00Z"
        )
    try:
        if len(written) == len("2026-12-01"):
            day = datetime.fromisoformat(written).replace(tzinfo=UTC)
            return day + min(timedelta(days=1), datetime.max.replace(tzinfo=UTC) - day)
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        raise LimitError(f"until: {shown(written)} is not in the calendar") from None


def _parsed_config(content: Any) -> dict[str, Config]:
    if not isinstance(content, Mapping):
        raise RuleError(
            f"{shown(content)} is not an object with the config of each rule by its name"
        )
    configs = {}
    for name, written in content.items():
        with errors_under(f"rule '{one_line(name)}'", RuleError):
            configs[name] = _config(written)
    return configs


def _config(written: Any) -> Config:
    if isinstance(written, str):
        return Config(level=_pulumi_level(written))
    if not isinstance(written, Mapping):
        raise LimitError(f"{shown(written)} is not an object with settings")
    settings = dict(written)
    level = settings.pop("enforcementLevel", None)
    return Config(settings, _pulumi_level(level) if "enforcementLevel" in written else None)


def _pulumi_level(written: Any) -> Level:
    # If there is nothing to remediate, Pulumi treats it as mandatory.
    return "mandatory" if written == "remediate" else _level(written)


def _level(written: Any) -> Level:
    if written not in LEVELS:
        # A file of something else, such as credentials, must not be printed.
        given = one_line(written, _LONGEST_LEVEL) if isinstance(written, str) else written
        raise LimitError(f"enforcementLevel: {shown(given)} is not {_or(LEVELS)}")
    return cast(Level, written)


def _content(path: str | Path, encoding: str) -> Any:
    try:
        text = read_file(path).decode(encoding)
    except OSError as error:
        raise RuleError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise RuleError("is not text in UTF-8") from None
    if not text.strip():
        # Whatever writes it may have failed: then a stricter limit in it would be lost.
        raise RuleError("is empty, and not a JSON object")
    try:
        return json.loads(
            text, object_pairs_hook=unique, parse_constant=_refuse_constant, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        raise RuleError(f"is not JSON: line {error.lineno}, {error.msg}") from None
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RuleError(f"cannot be used: {one_line(problem)}") from None


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number in it has {len(digits):,} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _or(names: Iterable[str]) -> str:
    return " or ".join(names)
