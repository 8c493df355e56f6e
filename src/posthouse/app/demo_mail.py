"""The messages that the demo sends, and what must become of each."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import formatdate

SENDER = "alice@sender.example"


@dataclass(frozen=True, slots=True)
class DemoMail:
    """`arrives` are the recipients whose Maildir gets it; `bounces` those it comes back from."""

    title: str
    message: EmailMessage
    arrives: tuple[str, ...]
    bounces: tuple[str, ...] = ()

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def recipients(self) -> tuple[str, ...]:
        return (*self.arrives, *self.bounces)

    @property
    def needs_utf8(self) -> bool:
        return not all(address.isascii() for address in self.recipients)


def _compose(
    number: int, subject: str, text: str, recipients: tuple[str, ...], policy: EmailPolicy[EmailMessage]
) -> EmailMessage:
    message = EmailMessage(policy=policy)
    message["From"] = f"Alice <{SENDER}>"
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Message-ID"] = f"<demo-{number}@sender.example>"
    message["Date"] = formatdate()
    message.set_content(text)
    return message


def make_picture() -> bytes:
    """A small PNG: an envelope's colours, nothing more. Enough octets to see that none changed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = 64
    rows = b"".join(b"\0" + bytes((255 - abs(x - y) * 2) & 255 for x in range(size)) for y in range(size))
    header = size.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def make_demo_mail() -> list[DemoMail]:
    bob, carol, dave = "bob@recipient.example", "carol@recipient.example", "dave@third.example"
    jose, nobody = "josé@recipient.example", "nobody@recipient.example"
    plain = _compose(1, "Good morning", "Hello Bob,\r\nthis came by MX and STARTTLS.\r\n", (bob,), SMTP)
    rich = _compose(2, "A picture", "See the picture.\r\n", (bob,), SMTP)
    rich.add_alternative("<p>See the <b>picture</b>.</p>\r\n", subtype="html")
    rich.add_attachment(make_picture(), "image", "png", filename="envelope.png")
    utf8 = _compose(3, "¿Qué tal?", "Una dirección con acento.\r\n", (jose,), SMTPUTF8)
    several = _compose(4, "To all of you", "One message, two domains, three mailboxes.\r\n", (bob, carol, dave), SMTP)
    partly = _compose(5, "To somebody and nobody", "Half of this comes back.\r\n", (carol, nobody), SMTP)
    return [
        DemoMail("plain text", plain, (bob,)),
        DemoMail("HTML and attachment", rich, (bob,)),
        DemoMail("UTF-8 address", utf8, (jose,)),
        DemoMail("several recipients", several, (bob, carol, dave)),
        DemoMail("one unknown recipient", partly, (carol,), (nobody,)),
    ]
