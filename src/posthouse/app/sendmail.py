"""The sendmail command of other systems, as a client of submit.sock.

Options, message and exit codes are as programs expect them (`-t`, `-f`, `-i`, sysexits.h). Lines become CRLF here,
Bcc is removed, and From, Date and Message-ID are added where they are missing. Nothing is kept: either
the server says that it has the message on disk, or the exit code says that it does not.
"""

from __future__ import annotations

import email.utils
import getpass
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO, NamedTuple

from posthouse.app.launch import submit_path
from posthouse.app.sockets import connect_unix
from posthouse.app.submit_protocol import (
    EX_DATAERR,
    EX_OK,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    MAX_FRAME,
    MAX_PIECE,
    SubmitEnvelope,
    SubmitFrame,
    SubmitVerdict,
    decode_submit,
    encode_submit,
)

ANSWER_S = 600.0
MAX_HEADER = 10 << 20

_WITH_VALUE = "ABCFLNORVXbefhopr"  # as in Postfix: the rest of the word, or the next one
_GLUED = "qd"  # only ever the rest of the word
_IGNORED = "ABCLOXehpqdGUcmnvx"  # of other systems, without a meaning here
_RECIPIENT_FIELDS = (b"to", b"cc", b"bcc")


class SendmailError(Exception):
    """`code` is of sysexits.h."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class SubmitRefusedError(SendmailError):
    """The server's words: `reply_code` as in SMTP, `words` with the enhanced code in front."""

    def __init__(self, code: int, reply_code: int, words: str) -> None:
        super().__init__(code, f"{reply_code} {words}")
        self.reply_code = reply_code
        self.words = words


@dataclass(slots=True)
class Options:
    """`mode`: m deliver, p print the queue, s SMTP on standard input, v verify; others are not for us.

    `flush`: of `-q`; "" everything, else "I" with a queue id or "R" with a domain.
    """

    mode: str = "m"
    flush: str | None = None
    sender: str | None = None
    name: str = ""
    from_header: bool = False
    dots_are_text: bool = False
    notify: str = ""
    ret: str = ""
    envid: str = ""
    recipients: list[str] = field(default_factory=list)


class HeaderField(NamedTuple):
    """`raw` is the whole field with its line ends in CRLF form."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> str:
        return self.raw.partition(b":")[2].decode("utf-8", "replace").replace("\r\n", "").strip()


def parse_options(arguments: Sequence[str]) -> Options:
    """Raises SendmailError (64)."""
    options = Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.recipients += rest
            break
        if not word.startswith("-") or word == "-":
            options.recipients.append(word)
            continue
        letter, value = word[1], word[2:]
        if letter in _WITH_VALUE:
            if not value and not rest:
                raise SendmailError(EX_USAGE, f"option {word} needs a value")
            value = value or rest.pop(0)
        elif letter not in _GLUED and value:
            rest.insert(0, "-" + value)  # -ti is -t -i
        _apply(options, letter, value, word)
    return options


def _apply(options: Options, letter: str, value: str, word: str) -> None:
    match letter:
        case "f" | "r":
            options.sender = value.removeprefix("<").removesuffix(">")
        case "F" | "V":
            setattr(options, {"F": "name", "V": "envid"}[letter], value)
        case "t":
            options.from_header = True
        case "i" | "o":
            options.dots_are_text |= letter == "i" or value == "i"
        case "b":
            options.mode = value or "m"
        case "N" | "R":
            setattr(options, {"N": "notify", "R": "ret"}[letter], value.upper())
        case "q" if value[:1] in ("", "I", "R"):  # with a time it is an order to a daemon
            options.flush = value
        case _:
            if letter not in _IGNORED:
                raise SendmailError(EX_USAGE, f"unknown option {word}")


def read_lines(stream: BinaryIO, dots_are_text: bool) -> Iterator[bytes]:
    """Lines in CRLF form. A bare CR within a line ends it too: it must not reach the wire (RFC 5321 §2.3.8)."""
    for line in stream:
        text = line.rstrip(b"\r\n")
        if text == b"." and not dots_are_text:
            return
        yield text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n") + b"\r\n"


def split_header(lines: Iterator[bytes]) -> tuple[list[HeaderField], bytes]:
    """The header's fields, and the first line behind them when no empty line was there."""
    fields: list[HeaderField] = []
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_HEADER:
            raise SendmailError(EX_DATAERR, "the header section is too large")
        if line == b"\r\n":
            return fields, b""
        name, colon, _ = line.partition(b":")
        if line[:1] in b" \t" and fields:
            fields[-1] = HeaderField(fields[-1].name, fields[-1].raw + line)
        elif colon and name and not name.startswith(b"From ") and not set(name.rstrip()) & set(b" \t"):
            fields.append(HeaderField(name.rstrip().lower(), line))
        elif not line.startswith((b"From ", b">From ")) or fields:  # an mbox separator is dropped
            return fields, line
    return fields, b""


def list_recipients(fields: Sequence[HeaderField]) -> list[str]:
    """Addresses of To, Cc and Bcc (`-t`)."""
    values = [each.value for each in fields if each.name in _RECIPIENT_FIELDS]
    return [address for _, address in email.utils.getaddresses(values) if address]


def complete_header(fields: Sequence[HeaderField], sender: str, name: str, hostname: str) -> bytes:
    """The header section with its empty line: without Bcc, with From, Date and Message-ID."""
    kept = [each.raw for each in fields if each.name != b"bcc"]
    names = {each.name for each in fields}
    if b"from" not in names:
        kept.append(f"From: {email.utils.formataddr((name, sender)) if name else sender}\r\n".encode())
    if b"date" not in names:
        kept.append(f"Date: {email.utils.formatdate(localtime=True)}\r\n".encode())
    if b"message-id" not in names:
        kept.append(f"Message-ID: {email.utils.make_msgid(domain=hostname)}\r\n".encode())
    return b"".join(kept) + b"\r\n"


def make_pieces(head: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    """The message in pieces of at most MAX_PIECE."""
    waiting = bytearray(head)
    for line in lines:
        waiting += line
        while len(waiting) >= MAX_PIECE:
            yield bytes(waiting[:MAX_PIECE])
            del waiting[:MAX_PIECE]
    if waiting:
        yield bytes(waiting)


def send(options: Options, stream: BinaryIO, runtimes: Sequence[str], hostname: str) -> str:
    """Hand the message to the server; its queue id. Raises SendmailError."""
    lines = read_lines(stream, options.dots_are_text)
    fields, first = split_header(lines)
    recipients = list(options.recipients)
    if options.from_header:
        recipients += list_recipients(fields)
    recipients = list(dict.fromkeys(_complete(address, hostname) for address in recipients))
    if not recipients:
        raise SendmailError(EX_USAGE, "no recipients given (neither as arguments nor, with -t, in the header)")
    sender = _find_sender(options, hostname)
    head = complete_header(fields, sender or f"{getpass.getuser()}@{hostname}", options.name, hostname) + first
    envelope = SubmitEnvelope(sender, recipients, options.notify, options.ret, options.envid)
    return submit(envelope, make_pieces(head, lines), runtimes)


def _find_sender(options: Options, hostname: str) -> str:
    return _complete(options.sender, hostname) if options.sender is not None else f"{getpass.getuser()}@{hostname}"


def submit(envelope: SubmitEnvelope, pieces: Iterator[bytes], runtimes: Sequence[str]) -> str:
    """A message in CRLF form; its queue id. Raises SendmailError."""
    body = (SubmitFrame(body=piece) for piece in pieces)
    answer = _ask([SubmitFrame(submit=envelope)], body, [SubmitFrame(end=True)], runtimes)
    return answer.done.id if answer.done is not None else ""


def verify(options: Options, runtimes: Sequence[str], hostname: str) -> list[SubmitVerdict]:
    """Whether mail to these addresses would be taken (`-bv`). Raises SendmailError."""
    recipients = [_complete(address, hostname) for address in options.recipients]
    if not recipients:
        raise SendmailError(EX_USAGE, "say which addresses to verify")
    return ask_verdicts(SubmitEnvelope(_find_sender(options, hostname), recipients), runtimes)


def ask_verdicts(envelope: SubmitEnvelope, runtimes: Sequence[str]) -> list[SubmitVerdict]:
    """Raises SendmailError."""
    return _ask([SubmitFrame(verify=envelope)], (), (), runtimes).verdicts or []


def _complete(address: str, hostname: str) -> str:
    """A bare local part is of this host."""
    return address if not address or "@" in address else f"{address}@{hostname}"


def _connect(runtimes: Sequence[str]) -> socket.socket:
    reasons = []
    for runtime in runtimes:
        path = submit_path(runtime)
        try:
            return connect_unix(path)
        except OSError as error:
            reasons.append(f"{path}: {error.strerror}")
    raise SendmailError(EX_TEMPFAIL, f"no server answers ({'; '.join(reasons)})")


def _ask(
    first: Iterable[SubmitFrame], body: Iterable[SubmitFrame], last: Iterable[SubmitFrame], runtimes: Sequence[str]
) -> SubmitFrame:
    with _connect(runtimes) as connection:
        connection.settimeout(ANSWER_S)
        return _talk(connection, chain(first, body, last))


def _talk(connection: socket.socket, frames: Iterable[SubmitFrame]) -> SubmitFrame:
    try:
        try:
            for frame in frames:
                connection.sendall(encode_submit(frame))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it refused early: the reason is there to be read
        answer = _read_answer(connection)
    except OSError as error:
        raise SendmailError(EX_TEMPFAIL, f"the server does not answer: {error.strerror or error}") from None
    except ValueError as error:
        raise SendmailError(EX_TEMPFAIL, f"the server's answer makes no sense: {error}") from None
    if answer.error is not None:
        raise SubmitRefusedError(answer.error.exit or EX_UNAVAILABLE, answer.error.code, answer.error.text)
    return answer


def _read_answer(connection: socket.socket) -> SubmitFrame:
    with connection.makefile("rb") as stream:
        size = int.from_bytes(stream.read(4), "big")
        body = stream.read(size) if 0 < size <= MAX_FRAME else b""
    if not body or len(body) < size:
        raise ConnectionResetError("it hung up")
    return decode_submit(body)


__all__ = ["EX_OK", "Options", "SendmailError", "parse_options", "send"]
