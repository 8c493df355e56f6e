"""Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7 (RFC 3501 §5.1.3). Pure; never raises.

What clients send is read strictly, so that no name that is written wrong means another mailbox; what is imported is
taken as it is.
"""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-?")
_VALID = re.compile(r"(?:[\x20-\x25\x27-\x7e]|&-|&[A-Za-z0-9+,]+-)*")
_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]")
_UNSAFE = re.compile(r"[^\x20-\x25\x27-\x7e]+|&")


def decode_name(name: bytes) -> str:
    """What is neither modified UTF-7 nor UTF-8 is taken as it stands."""
    if not name.isascii():
        return name.decode("utf-8", "replace")
    return _SHIFTED.sub(_decode_run, name.decode("ascii"))


def _decode_run(found: re.Match[str]) -> str:
    run = found[1]
    if not run:
        return "&"
    try:
        return binascii.a2b_base64(run.replace(",", "/") + "=" * (-len(run) % 4)).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return found[0]


def read_name(name: bytes) -> str | None:
    """What an ASCII name means; None: it is no modified UTF-7."""
    text = name.decode("ascii", "replace")
    if "&" not in text:
        return text
    if _VALID.fullmatch(text) is None:
        return None
    for run in _SHIFTED.finditer(text):
        meant = _decode_run(run)
        if run[1] and (_PLAIN.search(meant) is not None or _encode_text(meant) != run[0]):
            return None
    return decode_name(name)


def encode_name(name: str) -> bytes:
    return _UNSAFE.sub(_encode_run, name).encode("ascii")


def _encode_run(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    return _encode_text(found[0])


def _encode_text(text: str) -> str:
    octets = text.encode("utf-16-be", "surrogatepass")
    return "&" + binascii.b2a_base64(octets, newline=False).decode().rstrip("=").replace("/", ",") + "-"
