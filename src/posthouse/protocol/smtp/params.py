"""The parameters of MAIL and RCPT.

SIZE (RFC 1870 §6.1), BODY (RFC 6152 §2, RFC 3030 §3), SMTPUTF8 (RFC 6531 §3.4), RET and ENVID (RFC 3461 §4.3, §4.4),
MT-PRIORITY (RFC 6710 §4.2), HOLDFOR and HOLDUNTIL (RFC 4865 §4), BY (RFC 2852 §4), AUTH (RFC 4954 §5); NOTIFY and ORCPT
(RFC 3461 §4.1, §4.2, RFC 6533 §3). A parameter whose extension is not offered is 555 (RFC 5321 §4.1.1.11), a value that
does not parse 501.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from posthouse.message.envelope import BodyType, Notify, Ret
from posthouse.protocol.smtp.grammar import refuse, split_parameters
from posthouse.protocol.smtp.server_events import ByTime
from posthouse.protocol.smtp.xtext import XtextError, decode_utf8_address, decode_xtext

MAX_ENVID_OCTETS = 100  # RFC 3461 §4.4, before decoding
MAX_ORCPT_OCTETS = 500  # RFC 3461 §4.2

_SIZE = re.compile(r"[0-9]{1,20}")
_ONLY_SIZE = re.compile(r"SIZE=([0-9]{1,20})")
_PRIORITY = re.compile(r"-?[0-9]")
_HOLD_FOR = re.compile(r"[0-9]{1,9}")  # future-release-interval
_DATE_TIME = re.compile(
    r"(?i)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE)  # by-value
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]{1,64}")
_NOTIFY: Final[Mapping[str, Notify]] = {
    "NEVER": Notify.NEVER,
    "SUCCESS": Notify.SUCCESS,
    "FAILURE": Notify.FAILURE,
    "DELAY": Notify.DELAY,
}


@dataclass(slots=True)
class MailParameters:
    size: int = 0
    body: BodyType = BodyType.SEVENBIT
    smtputf8: bool = False
    ret: Ret | None = None
    envid: str | None = None
    mt_priority: int = 0
    hold_for_s: int | None = None
    hold_until: float | None = None
    by: ByTime | None = None


@dataclass(slots=True)
class RcptParameters:
    notify: Notify = Notify.UNSET
    orcpt: tuple[str, str] | None = None


def _need(name: str, value: str | None) -> str:
    if value is None:
        refuse(501, "5.5.4", f"{name} needs a value")
    return value


def _take_size(into: MailParameters, value: str | None) -> None:
    text = _need("SIZE", value)
    if not _SIZE.fullmatch(text):
        refuse(501, "5.5.4", "Bad SIZE")
    into.size = int(text)


def _take_body(into: MailParameters, value: str | None) -> None:
    try:
        into.body = BodyType(_need("BODY", value).upper())
    except ValueError:
        refuse(501, "5.5.4", "Bad BODY")


def _take_smtputf8(into: MailParameters, value: str | None) -> None:
    if value is not None:
        refuse(501, "5.5.4", "SMTPUTF8 has no value")
    into.smtputf8 = True


def _take_ret(into: MailParameters, value: str | None) -> None:
    try:
        into.ret = Ret(_need("RET", value).upper())
    except ValueError:
        refuse(501, "5.5.4", "Bad RET")


def _take_envid(into: MailParameters, value: str | None) -> None:
    text = _need("ENVID", value)
    try:
        if len(text) > MAX_ENVID_OCTETS:
            raise XtextError
        into.envid = decode_xtext(text)
    except XtextError:
        refuse(501, "5.5.4", "Bad ENVID")


def _take_priority(into: MailParameters, value: str | None) -> None:
    text = _need("MT-PRIORITY", value)
    if not _PRIORITY.fullmatch(text):
        refuse(501, "5.5.4", "Bad MT-PRIORITY")
    into.mt_priority = int(text)


def _take_hold_for(into: MailParameters, value: str | None) -> None:
    text = _need("HOLDFOR", value)
    if not _HOLD_FOR.fullmatch(text) or not int(text):
        refuse(501, "5.5.4", "Bad HOLDFOR")
    into.hold_for_s = int(text)
    _refuse_two_holds(into)


def _take_hold_until(into: MailParameters, value: str | None) -> None:
    text = _need("HOLDUNTIL", value)
    try:
        if not _DATE_TIME.fullmatch(text):
            raise ValueError
        into.hold_until = datetime.fromisoformat(text.upper()).timestamp()
    except ValueError:
        refuse(501, "5.5.4", "Bad HOLDUNTIL")
    _refuse_two_holds(into)


def _refuse_two_holds(said: MailParameters) -> None:
    if said.hold_for_s is not None and said.hold_until is not None:  # RFC 4865 §4
        refuse(501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other")


def _take_by(into: MailParameters, value: str | None) -> None:
    by = _BY.fullmatch(_need("BY", value))
    if by is None:
        refuse(501, "5.5.4", "Bad BY")
    seconds, is_return = int(by[1]), by[2].upper() == "R"
    if is_return and seconds <= 0:  # RFC 2852 §4
        refuse(501, "5.5.4", "BY with mode R needs time to come")
    into.by = ByTime(seconds, is_return, bool(by[3]))


def _take_notify(into: RcptParameters, value: str | None) -> None:
    words = _need("NOTIFY", value).upper().split(",")
    notify = Notify.UNSET
    for word in words:
        if word not in _NOTIFY:
            refuse(501, "5.5.4", "Bad NOTIFY")
        notify |= _NOTIFY[word]
    if Notify.NEVER in notify and notify != Notify.NEVER:
        refuse(501, "5.5.4", "NOTIFY=NEVER stands alone")
    into.notify = notify


def _take_orcpt(into: RcptParameters, value: str | None) -> None:
    text = _need("ORCPT", value)
    kind, separator, address = text.partition(";")
    kind = kind.lower()
    try:
        if not separator or not address or len(text.encode()) > MAX_ORCPT_OCTETS or not _ADDRESS_TYPE.fullmatch(kind):
            raise XtextError
        into.orcpt = kind, decode_utf8_address(address) if kind == "utf-8" else decode_xtext(address)
    except XtextError:
        refuse(501, "5.5.4", "Bad ORCPT")


def _take_auth(into: MailParameters, value: str | None) -> None:
    """RFC 4954 §5: `<>` or an address in xtext. Nobody is trusted to assert it, so it is read and goes no further."""
    text = _need("AUTH", value)
    try:
        if text != "<>" and (len(text) > MAX_ORCPT_OCTETS or not decode_xtext(text)):
            raise XtextError
    except XtextError:
        refuse(501, "5.5.4", "Bad AUTH")


_MAIL_TAKERS: Final[Mapping[str, Callable[[MailParameters, str | None], None]]] = {
    "SIZE": _take_size,
    "BODY": _take_body,
    "SMTPUTF8": _take_smtputf8,
    "RET": _take_ret,
    "ENVID": _take_envid,
    "MT-PRIORITY": _take_priority,
    "HOLDFOR": _take_hold_for,
    "HOLDUNTIL": _take_hold_until,
    "BY": _take_by,
    "AUTH": _take_auth,
}
_RCPT_TAKERS: Final[Mapping[str, Callable[[RcptParameters, str | None], None]]] = {
    "NOTIFY": _take_notify,
    "ORCPT": _take_orcpt,
}


def parse_only_size(text: str) -> int | None:
    """The size, where SIZE is all there is: what most clients say."""
    only_size = _ONLY_SIZE.fullmatch(text)
    return int(only_size[1]) if only_size is not None else None


def parse_mail_parameters(text: str, offered: frozenset[str]) -> MailParameters:
    """Raises CommandError. `offered` are the names that are allowed now."""
    parameters = MailParameters()
    for name, value in split_parameters(text):
        if name not in offered or name not in _MAIL_TAKERS:
            refuse(555, "5.5.4", f"{name[:40]} is not supported here")
        _MAIL_TAKERS[name](parameters, value)
    return parameters


def parse_rcpt_parameters(text: str, offered: frozenset[str]) -> RcptParameters:
    """Raises CommandError."""
    parameters = RcptParameters()
    for name, value in split_parameters(text):
        if name not in offered or name not in _RCPT_TAKERS:
            refuse(555, "5.5.4", f"{name[:40]} is not supported here")
        _RCPT_TAKERS[name](parameters, value)
    return parameters
