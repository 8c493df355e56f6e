"""xtext of RFC 3461 §4 and the Unicode forms of RFC 6533 §3, for ORCPT, ENVID and XCLIENT.

What is decoded ends in reports and in header fields, so control characters are refused, however they were written.
"""

from __future__ import annotations

import re

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # xtext = *( xchar / hexchar )
_HEXCHAR = re.compile(r"\+([0-9A-F]{2})")
# utf-8-addr-xtext and utf-8-addr-unitext = 1*( QUCHAR / EmbeddedUnicodeChar )
_UTF8_ADDR = re.compile(r"(?:[!-*,-<>-\[\]-~\u00a0-\U0010ffff]|\\x\{[0-9A-Fa-f]{2,6}\})+")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TO_XTEXT = re.compile(r"[^!-*,-<>-~]")
_TO_UTF8_XTEXT = re.compile(r"[^!-*,-<>-\[\]-~]")


class XtextError(ValueError):
    """Not xtext, or it hides control characters."""


def decode_xtext(text: str) -> str:
    """Raises XtextError. Octets beyond ASCII must be UTF-8 together (as Postfix writes them in XCLIENT)."""
    if not _XTEXT.fullmatch(text):
        raise XtextError("not valid xtext")
    if "+" not in text:
        return text
    octets = _HEXCHAR.sub(lambda hexchar: chr(int(hexchar[1], 16)), text).encode("latin-1")
    try:
        return _check_controls(octets.decode("utf-8"))
    except UnicodeDecodeError:
        raise XtextError("not valid UTF-8 in xtext") from None


def encode_xtext(text: str) -> str:
    return _TO_XTEXT.sub(lambda char: "".join(f"+{octet:02X}" for octet in char[0].encode()), text)


def decode_utf8_address(text: str) -> str:
    """The address of a `utf-8` ORCPT, in either form of RFC 6533 §3. Raises XtextError."""
    if not _UTF8_ADDR.fullmatch(text):
        raise XtextError("not a valid utf-8 address")
    try:
        return _check_controls(_EMBEDDED.sub(lambda embedded: chr(int(embedded[1], 16)), text))
    except (ValueError, OverflowError):
        raise XtextError("not a valid utf-8 address") from None


def encode_utf8_address(text: str) -> str:
    """The 7-bit form, utf-8-addr-xtext of RFC 6533 §3."""
    return _TO_UTF8_XTEXT.sub(lambda char: f"\\x{{{ord(char[0]):02X}}}", text)


def _check_controls(text: str) -> str:
    if _CONTROL.search(text):
        raise XtextError("control characters are not allowed")
    return text
