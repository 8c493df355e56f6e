"""Text of header fields: encoded words decoded (RFC 2047), for people and for search. Never raises, linear in time.

Leniencies, as mail programs have them: encoded words inside quotes and inside other words, spaces in the encoded text,
a language suffix (RFC 2231 §5), characters split between two words of one character set, and raw UTF-8 or 8-bit
octets beside them (RFC 6532 §3.2). A word that cannot be decoded stays as it is written. Line breaks and other control
characters that come out become spaces, so that the result is always one line.
"""

from __future__ import annotations

import binascii
import re

from posthouse.message.charsets import decode_text, guess_text, is_known_charset

_WORD = re.compile(r"=\?([^?*\s]{1,64}+)(?:\*[^?\s]{0,64}+)?\?([bBqQ])\?([^?\r\n]*+)\?=")
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+ ?")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def decode_value(value: bytes) -> str:
    """The value of an unstructured field, or a display name: unfolded, decoded, one line."""
    if value.isascii():
        text = value.decode("ascii")
    else:
        text = guess_text(value)
    if "=?" in text:
        text = decode_words(text)
    return (text if text.isprintable() else _CONTROLS.sub(" ", text)).strip()


def decode_words(text: str) -> str:
    """All encoded words of a text; white space between two of them goes (RFC 2047 §6.2)."""
    pieces: list[str] = []
    waiting: list[bytes] = []  # octets of neighbours in one character set
    charset = ""
    position = 0
    for found in _WORD.finditer(text):
        between = text[position : found.start()]
        octets = _decode_octets(found[2], found[3])
        if octets is None or not is_known_charset(found[1]):
            continue
        label = found[1].lower()
        if waiting and (label != charset or not (between.isspace() or not between)):
            pieces.append(decode_text(b"".join(waiting), charset))
            waiting = []
        if between and not (position and between.isspace()):
            pieces.append(between)
        waiting.append(octets)
        charset, position = label, found.end()
    if waiting:
        pieces.append(decode_text(b"".join(waiting), charset))
    pieces.append(text[position:])
    return "".join(pieces)


def _decode_octets(kind: str, text: str) -> bytes | None:
    if not text.isascii():
        return None
    octets = text.encode("ascii")
    if kind in "qQ":
        return binascii.a2b_qp(octets.replace(b" ", b"_"), header=True)
    return decode_base64(octets)


def decode_base64(octets: bytes) -> bytes:
    """Base64 however it is broken: other characters are passed over, missing padding is made up (RFC 2045 §6.8)."""
    try:
        return binascii.a2b_base64(octets)
    except binascii.Error:
        clean = _NO_BASE64.sub(b"", octets)
        rest = len(clean) % 4
        if rest == 1:
            clean, rest = clean[:-1], 0
        return binascii.a2b_base64(clean + b"=" * (-rest % 4))
