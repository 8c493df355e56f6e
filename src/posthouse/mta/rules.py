"""What replies of the big providers mean: a file of rules turns a reply into "slow down", "come back later", "give up".

Pure. A rule names whom it is for (recipient domain, MX host; patterns as in routes: exact, ".example.net" for
below, "*"), what the reply looks like (a regular expression on "421 4.7.0 text") and what to do. The first rule
that matches counts. The default set is mta/provider_rules.toml.

A reply is the peer's text: it is cut before it is matched, and patterns that could take more than a few passes
over it (repeated groups, many unbounded repeats) are refused when the rules are read.

RFC 3463, RFC 5321 §4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from posthouse.message.reply import Reply

Pattern = NewType("Pattern", str)
_MAX_REPLY = 400
_MAX_REPEATS = 3


class RuleError(ValueError):
    """A rule is wrong; the message says which key and what is allowed."""


@dataclass(frozen=True, slots=True)
class SlowDown:
    """Send the site at most so many messages a minute for a while."""

    per_minute: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Suspend:
    """Send the site nothing for a while."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Bounce:
    """A temporary reply that will not change: refuse now rather than after five days."""


@dataclass(frozen=True, slots=True)
class Defer:
    """A permanent reply that is not: try again by the schedule."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try this recipient again after so long, whatever the schedule says."""

    after_s: float


@dataclass(frozen=True, slots=True)
class NewConnection:
    """This connection has had its fill: go on with a fresh one; nobody is to blame.

    Only meant for a connection that has taken at least one message; said to a fresh one it is a failure.
    """


Action = SlowDown | Suspend | Bounce | Defer | RetryAfter | NewConnection


@dataclass(frozen=True, slots=True)
class Rule:
    """`reply` is searched in "CODE ENHANCED TEXT", without regard to case. `domain` is of the recipient."""

    reply: re.Pattern[str]
    action: Action
    domains: tuple[str, ...] = ("*",)
    mx: tuple[str, ...] = ("*",)

    def covers(self, domain: str, mx_host: str) -> bool:
        return _is_covered(self.domains, domain) and _is_covered(self.mx, mx_host)


def _is_covered(patterns: Sequence[str], name: str) -> bool:
    return any(pattern in ("*", name) or (pattern.startswith(".") and name.endswith(pattern)) for pattern in patterns)


class Rules:
    """The rules in their order."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._for_host = lru_cache(maxsize=1000)(self._select)

    def find_action(self, reply: Reply, domain: str, mx_host: str) -> Action | None:
        """What a negative reply asks for. Only called when something failed, so its cost is not on the usual path."""
        rules = self._for_host(domain, mx_host)
        if not rules or reply.is_positive:
            return None
        text = str(reply)[:_MAX_REPLY]
        return next((rule.action for rule in rules if rule.reply.search(text)), None)

    def _select(self, domain: str, mx_host: str) -> Sequence[Rule]:
        return tuple(rule for rule in self._rules if rule.covers(domain, mx_host))


_KEYS = frozenset({"reply", "domain", "mx", "action", "per_minute", "for", "after"})
_ARGUMENTS = {
    "slow_down": {"per_minute", "for"},
    "suspend": {"for"},
    "bounce": set(),
    "defer": set(),
    "retry_after": {"after"},
    "new_connection": set(),
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_rules(tables: Sequence[Mapping[str, object]]) -> list[Rule]:
    """The [[rule]] tables of a rules file. Raises RuleError naming the rule, counted from one, and the key."""
    rules = []
    for number, table in enumerate(tables, 1):
        try:
            rules.append(parse_rule(table))
        except RuleError as error:
            raise RuleError(f"rule {number}: {error}") from None
    return rules


def parse_rule(table: Mapping[str, object]) -> Rule:
    """One table: reply, action, the action's arguments, and domain or mx."""
    unknown = table.keys() - _KEYS
    if unknown:
        raise RuleError(f"unknown key {min(unknown)!r}; allowed: {', '.join(sorted(_KEYS))}")
    name = _text(table, "action")
    if name not in _ARGUMENTS:
        raise RuleError(f"action {name!r} is not one of {', '.join(_ARGUMENTS)}")
    given = table.keys() & {"per_minute", "for", "after"}
    if given != _ARGUMENTS[name]:
        raise RuleError(f"action {name} takes {', '.join(sorted(_ARGUMENTS[name])) or 'no arguments'}")
    reply = compile_reply(_text(table, "reply"))
    return Rule(reply, _parse_action(name, table), _patterns(table, "domain"), _patterns(table, "mx"))


def _parse_action(name: str, table: Mapping[str, object]) -> Action:
    match name:
        case "slow_down":
            rate = table["per_minute"]
            if not isinstance(rate, int | float) or rate <= 0:
                raise RuleError("per_minute must be a number above 0")
            return SlowDown(float(rate), _seconds(table, "for"))
        case "suspend":
            return Suspend(_seconds(table, "for"))
        case "retry_after":
            return RetryAfter(_seconds(table, "after"))
        case "bounce":
            return Bounce()
        case "defer":
            return Defer()
        case _:
            return NewConnection()


def _patterns(table: Mapping[str, object], key: str) -> tuple[str, ...]:
    """One pattern or a list of them."""
    value = table.get(key, "*")
    several = value if isinstance(value, list) and value else [value]
    return tuple(_text({key: one}, key).lower() for one in several)


def _text(table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise RuleError(f"{key} must be a text that is not empty")
    return value


def _seconds(table: Mapping[str, object], key: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])", _text(table, key))
    if found is None:
        raise RuleError(f'{key} must be a time such as "30s", "10m", "2h" or "1d"')
    return float(int(found[1]) * _UNITS[found[2]])


def compile_reply(pattern: str) -> re.Pattern[str]:
    """A pattern that takes time in proportion to a small power of the reply's length. Raises RuleError."""
    bare = re.sub(r"\\.|\[[^\]]*\]", "x", pattern)
    if re.search(r"\)[*+{]", bare):
        raise RuleError("reply: a repeated group is not allowed")
    if len(re.findall(r"[*+]|\{\d*,\}", bare)) > _MAX_REPEATS:
        raise RuleError(f"reply: more than {_MAX_REPEATS} unbounded repeats are not allowed")
    try:
        return re.compile(pattern, re.IGNORECASE | re.ASCII)
    except re.error as error:
        raise RuleError(f"reply: {error}") from None
