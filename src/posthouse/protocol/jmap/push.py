"""Telling clients that something changed (RFC 8620 §7): state changes, subscriptions, event streams. Pure.

An event stream (RFC 8620 §7.3) is lines of text; what is sent is JSON without line breaks, so no event can be ended by
what it carries.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from posthouse.protocol.jmap.errors import invalid_properties
from posthouse.protocol.jmap.json import JsonObject, convert, encode_json
from posthouse.protocol.jmap.problems import Problem, ProblemType, RequestRefused

MIN_PING, MAX_PING = 30, 900  # seconds; a server may choose another one than asked for, and says which
_URL = re.compile(r"https://[!-~]{1,2000}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)

Changed = Mapping[str, Mapping[str, str]]  # account: type: state


class StateChange(msgspec.Struct, frozen=True, tag_field="@type", tag="StateChange", rename="camel"):
    """RFC 8620 §7.1. `push_state` is of RFC 8887 §4.3.5.1."""

    changed: Changed
    push_state: str | msgspec.UnsetType = msgspec.UNSET

    def only(self, types: Collection[str] | None) -> StateChange | None:
        """What of it somebody wants who wants these types (None: all); None when that is nothing."""
        if types is None:
            return self
        wanted = {
            account: picked
            for account, states in self.changed.items()
            if (picked := {name: state for name, state in states.items() if name in types})
        }
        return StateChange(wanted, self.push_state) if wanted else None

    def as_json(self) -> bytes:
        return encode_json(self)


class PushVerification(msgspec.Struct, frozen=True, tag_field="@type", tag="PushVerification", rename="camel"):
    """Sent to the URL of a new subscription (RFC 8620 §7.2.2)."""

    push_subscription_id: str
    verification_code: str

    def as_json(self) -> bytes:
        return encode_json(self)


# -- subscriptions


class PushKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the client, base64url (RFC 8291)."""

    p256dh: str
    auth: str


class PushSubscription(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8620 §7.2. `url` and `keys` are never shown again; `expires` is a UTCDate."""

    device_client_id: str
    url: str
    keys: PushKeys | None = None
    verification_code: str | None = None
    expires: str | None = None
    types: tuple[str, ...] | None = None


class _NewSubscription(PushSubscription, forbid_unknown_fields=True, frozen=True, rename="camel"):
    pass


def read_subscription(record: Mapping[str, object]) -> PushSubscription:
    """Of a PushSubscription/set create (RFC 8620 §7.2.2). Raises RecordRefused."""
    try:
        new = convert(dict(record), _NewSubscription)
    except msgspec.ValidationError as problem:
        raise invalid_properties(_name_properties(record, str(problem)), str(problem)) from None
    if not _URL.fullmatch(new.url):
        raise invalid_properties(["url"], "It must be an https URL")
    if new.verification_code is not None:
        raise invalid_properties(["verificationCode"], "It is set when it came to you")
    if not new.device_client_id:
        raise invalid_properties(["deviceClientId"])
    return new


_PROPERTIES = ("deviceClientId", "url", "keys", "verificationCode", "expires", "types")


def _name_properties(record: Mapping[str, object], problem: str) -> list[str]:
    unknown = [name for name in record if name not in _PROPERTIES]
    return unknown or [name for name in _PROPERTIES if name in problem] or sorted(record)


# -- event streams


@dataclass(frozen=True, slots=True)
class StreamWish:
    """What a client wants of its stream. `types` None: all. `ping` in seconds, 0: none."""

    types: frozenset[str] | None
    closes_after_state: bool
    ping: int


def read_stream_wish(query: Mapping[str, str]) -> StreamWish:
    """The parameters of the URL (RFC 8620 §7.3). Raises RequestRefused."""
    types, close, ping = query.get("types", "*"), query.get("closeafter", "no"), query.get("ping", "0")
    if close not in ("no", "state"):
        raise _refuse('closeafter must be "state" or "no"')
    if not _NUMBER.fullmatch(ping):
        raise _refuse("ping must be a number of seconds")
    seconds = int(ping)
    interval = min(max(seconds, MIN_PING), MAX_PING) if seconds else 0
    if types == "*":
        return StreamWish(None, close == "state", interval)
    names = types.split(",")
    if not all(map(_TYPE.fullmatch, names)):
        raise _refuse('types must be "*" or names of types with commas')
    return StreamWish(frozenset(names), close == "state", interval)


def _refuse(detail: str) -> RequestRefused:
    return RequestRefused(Problem(ProblemType.PLAIN, detail))


def write_state_event(change: StateChange, event_id: str = "") -> bytes:
    """`event_id`: what a client that comes back sends as Last-Event-ID. It has no line break."""
    start = f"id: {event_id}\n" if event_id else ""
    return b"%bevent: state\ndata: %b\n\n" % (start.encode("ascii"), change.as_json())


def write_ping_event(interval: int) -> bytes:
    told: JsonObject = {"interval": interval}
    return b"event: ping\ndata: %b\n\n" % encode_json(told)
