"""The attributes of XCLIENT (Postfix XCLIENT_README, protocol version 3): a trusted proxy says whose session it is.

Only syntax is looked at here; whether the client may say so is the driver's to know. Values that would end in a
header field or a log are bounded and printable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from posthouse.message.peer import normalise_address
from posthouse.protocol.smtp.xtext import XtextError, decode_xtext

MAX_VALUE_OCTETS = 255

_UNAVAILABLE: Final = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")


class XclientError(ValueError):
    """The message is fit for the reply."""


def _check_printable(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,255}", text):
        raise ValueError
    return text


def _check_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:\[\]-]{1,255}", text):
        raise ValueError
    return text


def _check_address(text: str) -> str:
    return normalise_address(text[5:] if text[:5].upper() == "IPV6:" else text)


def _check_port(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError
    return str(int(text))


def _check_protocol(text: str) -> str:
    if text.upper() not in ("SMTP", "ESMTP"):
        raise ValueError
    return text.upper()


_CHECKS: Final[Mapping[str, Callable[[str], str]]] = {
    "NAME": _check_name,
    "ADDR": _check_address,
    "PORT": _check_port,
    "PROTO": _check_protocol,
    "HELO": _check_name,
    "LOGIN": _check_printable,
    "DESTADDR": _check_address,
    "DESTPORT": _check_port,
}
XCLIENT_NAMES: Final = tuple(_CHECKS)


def parse_xclient(argument: str) -> dict[str, str | None]:
    """`NAME=value ...`; ADDR and DESTADDR come out as plain IP addresses, what is unavailable as None.

    Raises XclientError.
    """
    attributes: dict[str, str | None] = {}
    for word in argument.split():
        name, separator, value = word.partition("=")
        name = name.upper()
        if not separator or name not in _CHECKS or name in attributes:
            raise XclientError(f"Bad {name[:20]} attribute" if name in _CHECKS else "Unknown XCLIENT attribute")
        attributes[name] = _parse_value(name, value)
    if not attributes:
        raise XclientError("XCLIENT needs attributes")
    return attributes


def _parse_value(name: str, value: str) -> str | None:
    if value.upper() in _UNAVAILABLE:
        return None
    try:
        if len(value) > 3 * MAX_VALUE_OCTETS:
            raise ValueError
        return _CHECKS[name](decode_xtext(value))
    except (ValueError, XtextError):
        raise XclientError(f"Bad {name} attribute") from None
