"""Names of mailboxes as IMAP and Maildir++ write them: modified UTF-7 (RFC 3501 §5.1.3). Pure; never raises."""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-?")
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


def encode_name(name: str) -> bytes:
    return _UNSAFE.sub(_encode_run, name).encode("ascii")


def _encode_run(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    octets = found[0].encode("utf-16-be", "surrogatepass")
    return "&" + binascii.b2a_base64(octets, newline=False).decode().rstrip("=").replace("/", ",") + "-"
