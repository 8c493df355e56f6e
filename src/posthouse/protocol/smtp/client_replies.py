"""Replies of an SMTP or LMTP server, cut out of a byte stream (RFC 5321 §4.2).

Trusts nothing: length of a line, number of lines and octets of one reply are bounded before they are kept, and
whatever is not a reply is a `ReplyError`, after which the connection is of no use. Text comes out as printable
UTF-8 (RFC 6531 §3.7.4.2), so that it may go into logs and reports as it is. Pure; feeding in pieces changes nothing.
"""

from __future__ import annotations

import re

from posthouse.message.reply import Reply

MAX_LINE_OCTETS = 4096  # RFC 5321 §4.5.3.1.5 says 512; large providers explain themselves at more length
MAX_LINES = 200
MAX_REPLY_OCTETS = 65536
MAX_KNOWN = 16

# Reply-line of RFC 5321 §4.2 with the enhanced code of RFC 2034 §4. Lenient: LF alone ends a line, as for Postfix and
# Exim as clients. A reply cannot smuggle anything: its writer is the only one who is believed here.
_REPLY_LINE = re.compile(
    rb"([2-5][0-9][0-9])(?:([ -])(?:([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |(?=\r?\n)))?([^\r\n]*))?\r?\n"
)


class ReplyError(Exception):
    """The peer does not speak SMTP; the message says what came."""


class ReplyParser:
    """`receive` bytes, then `next_reply` until it is None."""

    __slots__ = ("_buffer", "_known", "_lines", "_octets", "_position")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._lines: list[re.Match[bytes]] = []  # of the reply that is not complete
        self._octets = 0
        self._known: dict[bytes, Reply] = {}  # a server says the same three lines for each message

    @property
    def has_input(self) -> bool:
        """Something came that nobody asked for yet."""
        return self._position < len(self._buffer) or bool(self._lines)

    def clear(self) -> None:
        """Forget what came: it was said before the handshake, not to us (CVE-2011-0411)."""
        self._buffer, self._position, self._lines, self._octets = b"", 0, [], 0

    def receive(self, data: bytes) -> None:
        rest = self._buffer[self._position :]
        self._buffer, self._position = rest + data if rest else data, 0

    def next_reply(self) -> Reply | None:
        """None: more bytes are needed. Raises ReplyError."""
        while True:
            start = self._position
            end = self._buffer.find(b"\n", start) + 1
            if (end or len(self._buffer)) - start > MAX_LINE_OCTETS:
                raise ReplyError("reply line is too long")
            if not end:
                return None
            raw = self._buffer[start:end]
            self._position = end
            reply = self._known.get(raw)
            if reply is None or self._lines:
                reply = self._take_line(raw)
            if reply is not None:
                return reply

    def _take_line(self, raw: bytes) -> Reply | None:
        """The reply that this line completes, if it does."""
        line = _REPLY_LINE.fullmatch(raw)
        if line is None:
            raise ReplyError(f"not a reply: {_make_text(raw[:80].rstrip())}")
        if line[2] == b"-":
            self._add_line(line)
            return None
        if self._lines:
            self._add_line(line)
            lines, self._lines, self._octets = self._lines, [], 0
            return _make_reply(line, "\n".join([_make_text(each[4]) for each in lines]))
        reply = _make_reply(line, _make_text(line[4]))
        if len(self._known) < MAX_KNOWN:
            self._known[raw] = reply
        return reply

    def _add_line(self, line: re.Match[bytes]) -> None:
        self._lines.append(line)
        self._octets += line.end()
        if len(self._lines) > MAX_LINES or self._octets > MAX_REPLY_OCTETS:
            raise ReplyError("reply is too long")
        if line[1] != self._lines[0][1]:  # RFC 5321 §4.2.1: the code is the same on every line
            raise ReplyError("reply changes its code from line to line")


def _make_reply(last: re.Match[bytes], text: str) -> Reply:
    code, enhanced = last[1], last[3]
    # RFC 2034 §4: the first digits agree; a code that does not is text, and not worth keeping.
    kept = enhanced.decode("ascii") if enhanced and enhanced[0] == code[0] else ""
    return Reply(int(code), kept, text)


def _make_text(raw: bytes | None) -> str:
    text = (raw or b"").decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else "?" for char in text])
