"""The server core's own replies, and how a reply is written (RFC 5321 §4.2, RFC 2034 §3, RFC 3463)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from posthouse.message.reply import Reply
from posthouse.protocol.wire.lines import LineProblem
from posthouse.protocol.wire.text import TextProblem

# RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets, with code and CRLF; UTF-8 takes up to 4 for a character.
MAX_TEXT = 480

OK = Reply(250, "2.0.0", "OK")
HELP = Reply(214, "2.0.0", "EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY ETRN STARTTLS HELP QUIT")
VRFY = Reply(252, "2.0.0", "Cannot verify, but will take mail and try to deliver it")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "Command not recognised")
MISMATCHED_HELLO = Reply(500, "5.5.1", "Wrong kind of hello for this protocol")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
NO_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")
TOO_BIG = Reply(552, "5.3.4", "Message is larger than we take")
NEEDS_BDAT = Reply(503, "5.5.1", "BODY=BINARYMIME can only be sent with BDAT")
NEEDS_SMTPUTF8 = Reply(553, "5.6.7", "Address is not ASCII: say SMTPUTF8")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing connection")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "Too many commands without a message, closing connection")
TOO_MANY_MESSAGES = Reply(421, "4.7.0", "Too many messages in one connection, come back")
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many failed logins, closing connection")
AUTH_NEEDS_TLS = Reply(538, "5.7.11", "Start TLS first: this mechanism would show the password")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Mechanism is not offered")
MECHANISM_TOO_WEAK = Reply(534, "5.7.9", "That mechanism is too weak for this server")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
BAD_BASE64 = Reply(501, "5.5.2", "Not base64")
NOT_SMTP = Reply(421, "4.7.0", "This is not the protocol spoken here, closing connection")
NOT_UTF8 = Reply(500, "5.5.2", "Line is not valid UTF-8")
BAD_CHUNK = Reply(501, "5.5.4", "Syntax: BDAT size [LAST]; closing connection")

LINE_PROBLEMS: Final[Mapping[LineProblem, Reply]] = {
    LineProblem.BARE_LF: Reply(500, "5.5.2", "Bare LF: lines end with CRLF"),
    LineProblem.BARE_CR: Reply(500, "5.5.2", "Bare CR: lines end with CRLF"),
    LineProblem.TOO_LONG: Reply(500, "5.5.2", "Line too long"),
}
TEXT_PROBLEMS: Final[Mapping[TextProblem, Reply]] = {
    TextProblem.BARE_CR: Reply(554, "5.6.0", "Message refused: bare CR in it; lines end with CRLF (RFC 5321)"),
    TextProblem.BARE_LF: Reply(554, "5.6.0", "Message refused: bare LF in it; lines end with CRLF (RFC 5321)"),
    TextProblem.LONG_LINE: Reply(554, "5.6.0", "Message refused: a line is too long"),
    TextProblem.LONG_HEADER: Reply(552, "5.3.4", "Message refused: its header is too large"),
    TextProblem.TOO_BIG: TOO_BIG,
}

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def render_reply(reply: Reply, utf8: bool = False) -> bytes:
    """The octets of a reply, CRLF included. Text beyond ASCII only with `utf8` (RFC 6531 §3.7.4).

    Whatever the text holds, nothing in it can begin another reply.
    """
    head = f"{reply.code} {reply.enhanced} " if reply.enhanced else f"{reply.code} "
    text = reply.text
    if len(text) <= MAX_TEXT and text.isascii() and text.isprintable():
        return f"{head}{text}\r\n".encode("ascii")
    lines = [_CONTROLS.sub(" ", line)[:MAX_TEXT] for line in text.split("\n")]
    between = head.replace(" ", "-", 1)
    rendered = "".join([f"{between}{line}\r\n" for line in lines[:-1]]) + f"{head}{lines[-1]}\r\n"
    return rendered.encode("utf-8" if utf8 else "ascii", "replace")
