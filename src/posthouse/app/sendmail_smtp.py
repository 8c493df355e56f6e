"""`sendmail -bs`: SMTP on standard input and output, for programs that speak it instead of giving a message.

The dialogue is the server's own core; each recipient is asked for and each message handed over through submit.sock,
so 250 means what it always means: it is on disk. What is not handed over when this process ends is not queued, and
nobody was told that it was.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

from posthouse.app.sendmail import SendmailError, SubmitRefusedError, ask_verdicts, submit
from posthouse.app.submit_protocol import MAX_PIECE, SubmitEnvelope
from posthouse.message.reply import Reply
from posthouse.protocol.smtp import server as core

_READ = 65536
_IN_MEMORY = 1 << 20
_OK = Reply(250, "2.0.0", "Ok")
_NOT_NOW = Reply(451, "4.3.0", "The server does not answer, try again later")
_HIDDEN = frozenset({"DSN", "ETRN", "SMTPUTF8", "BINARYMIME", "CHUNKING", "MT-PRIORITY"})


class Dialogue:
    """One session: octets in, octets out."""

    def __init__(self, runtimes: Sequence[str], hostname: str, max_size: int) -> None:
        self._core = core.SmtpServer(core.ServerSettings(hostname, max_size=max_size, hidden=_HIDDEN))
        self._core.greet(Reply(220, "", f"{hostname} ESMTP Posthouse"))
        self._runtimes = runtimes
        self._sender = ""
        self._recipients: list[str] = []
        self._body: IO[bytes] | None = None
        self.is_over = False

    def receive(self, data: bytes) -> bytes:
        self._core.receive(data)
        while not self.is_over:
            event = self._core.next_event()
            if event is core.NEED_DATA:
                break
            self._take(event)
        return self._core.take_output()

    def _take(self, event: object) -> None:
        match event:
            case core.MailFrom():
                self._forget()
                self._sender = str(event.sender or "")
                self._core.answer(_OK)
            case core.RcptTo():
                self._core.answer(self._ask_for(str(event.recipient.address)))
            case core.DataStarted():
                self._core.answer(Reply(354, "", "Go ahead, end with a dot"))
            case core.BodyPiece():
                if self._body is None:
                    self._body = _make_body()
                self._body.write(event.data)
            case core.MessageEnd():
                self._core.answer(event.problem or self._hand_over())
                self._forget()
            case core.Quit():
                self._core.answer(Reply(221, "2.0.0", "Bye"))
                self.is_over = True
            case core.Closing():
                self.is_over = True
            case core.Reset():
                self._forget()
            case _:
                self._core.answer(_OK if isinstance(event, core.Hello) else Reply(502, "5.5.1", "Not offered here"))

    def _forget(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body, self._recipients = None, []

    def _ask_for(self, address: str) -> Reply:
        try:
            (verdict,) = ask_verdicts(SubmitEnvelope(self._sender, [address]), self._runtimes)
        except SubmitRefusedError as error:
            return _read_reply(error.reply_code, error.words)
        except (SendmailError, ValueError):
            return _NOT_NOW
        if verdict.code == 250:
            self._recipients.append(address)
            return Reply(250, "2.1.5", "Ok")
        return _read_reply(verdict.code, verdict.text)

    def _hand_over(self) -> Reply:
        body = self._body or _make_body()
        body.seek(0)
        try:
            queue_id = submit(SubmitEnvelope(self._sender, self._recipients), _read_pieces(body), self._runtimes)
        except SubmitRefusedError as error:
            return _read_reply(error.reply_code, error.words)
        except SendmailError:
            return _NOT_NOW
        return Reply(250, "2.0.0", f"Ok, queued as {queue_id}")


def _make_body() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)


def _read_reply(code: int, words: str) -> Reply:
    status, _, text = words.partition(" ")
    return Reply(code, status, text) if status.count(".") == 2 else Reply(code, "", words)


def _read_pieces(body: IO[bytes]) -> Iterator[bytes]:
    while piece := body.read(MAX_PIECE):
        yield piece


def run(dialogue: Dialogue, source: int, sink: int) -> None:
    """From one descriptor to the other until the client is done. Raises OSError."""
    data = b""
    while True:
        output = dialogue.receive(data)
        while output:
            output = output[os.write(sink, output) :]
        if dialogue.is_over or not (data := os.read(source, _READ)):
            return
