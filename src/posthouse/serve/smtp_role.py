"""What the SMTP driver asks of the role behind it (mta/inbound.py, msa/session.py)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from posthouse.message.reply import Reply
from posthouse.protocol.smtp import server as core

Pending = asyncio.Future[Reply] | asyncio.Future[list[Reply]]
Answer = Reply | list[Reply] | Pending


class SmtpRole(Protocol):
    """What happens with a session's events. Answers at once or with a future.

    `body` returns a future while it can take no more; nothing further comes before it is done.
    """

    def hello(self, event: core.Hello) -> Answer: ...

    def mail(self, event: core.MailFrom) -> Answer: ...

    def rcpt(self, event: core.RcptTo) -> Answer: ...

    def data(self) -> Answer: ...

    def body(self, piece: bytes) -> asyncio.Future[None] | None: ...

    def end(self, event: core.MessageEnd) -> Answer: ...

    def etrn(self, domain: str) -> Answer: ...

    def reset(self) -> None: ...

    def closed(self) -> None: ...
