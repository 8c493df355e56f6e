"""What `sendmail` and a worker say to each other on submit.sock.

Frames are four octets of length (big-endian) and one msgpack map:

    {"submit": {"sender", "recipients", "notify", "ret", "envid"}}    the envelope; `sender` "" is the empty one
    {"body": octets}*                                                 the message in CRLF form, in pieces
    {"end": true}
    {"verify": envelope}                                              instead of all that: would these be taken?
    {"done": {"id"}} | {"error": {"code", "text", "exit"}}            the answer, once; an error may come earlier
    {"verdicts": [{"address", "code", "text"}]}                       the answer to `verify`, one per recipient

Who submits is the peer's uid (SO_PEERCRED), whatever the envelope says. 250 of SMTP is `done`: it is on disk.
"""

from __future__ import annotations

import msgspec

MAX_PIECE = 64 << 10
MAX_FRAME = 1 << 20  # an envelope of a few thousand recipients

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOUSER = 67
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78


class SubmitEnvelope(msgspec.Struct, frozen=True):
    """`notify` is the parameter of RCPT for all recipients ("SUCCESS,FAILURE"), `ret` that of MAIL; "" is unset."""

    sender: str
    recipients: list[str]
    notify: str = ""
    ret: str = ""
    envid: str = ""


class SubmitDone(msgspec.Struct, frozen=True):
    id: str


class SubmitError(msgspec.Struct, frozen=True):
    """`code` as in an SMTP reply, `exit` for the command (sysexits.h)."""

    code: int
    text: str
    exit: int


class SubmitVerdict(msgspec.Struct, frozen=True):
    """What RCPT would have been answered."""

    address: str
    code: int
    text: str


class SubmitFrame(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exactly one field is set."""

    submit: SubmitEnvelope | None = None
    verify: SubmitEnvelope | None = None
    body: bytes = b""
    end: bool = False
    done: SubmitDone | None = None
    verdicts: list[SubmitVerdict] | None = None
    error: SubmitError | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SubmitFrame).decode


def encode_submit(frame: SubmitFrame) -> bytes:
    body = _encode(frame)
    return len(body).to_bytes(4, "big") + body


def decode_submit(body: bytes) -> SubmitFrame:
    """What follows the length. Raises ValueError."""
    return _decode(body)


def exit_code_of(code: int, enhanced: str) -> int:
    """The code of sysexits.h for an SMTP reply."""
    if code < 400:
        return EX_OK
    if code < 500:
        return EX_TEMPFAIL
    if enhanced.startswith("5.1."):
        return EX_NOUSER
    return EX_NOPERM if enhanced.startswith("5.7.") else EX_UNAVAILABLE
