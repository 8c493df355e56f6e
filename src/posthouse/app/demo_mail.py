"""The messages that the demo sends, and what must become of each."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import formatdate

SENDER = "alice@sender.example"
BOB = "bob@recipient.example"
TINY = "tiny@recipient.example"
TINY_QUOTA = 16 * 1024


@dataclass(frozen=True, slots=True)
class Fate:
    """What must become of one recipient. `places`: ADDRESS/MAILBOX of every copy; `reply`: it comes back with that.

    `first_reply`: it is put off with that, and arrives when there is room. `traced`: how the trace names the places,
    where it does so otherwise.
    """

    recipient: str
    places: tuple[str, ...] = ()
    reply: str = ""
    first_reply: str = ""
    traced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoMail:
    title: str
    message: EmailMessage
    fates: tuple[Fate, ...]

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(fate.recipient for fate in self.fates)

    @property
    def needs_utf8(self) -> bool:
        return not all(recipient.isascii() for recipient in self.recipients)


def compose(title: str, text: str, fates: tuple[Fate, ...], policy: EmailPolicy[EmailMessage] = SMTP) -> DemoMail:
    message = EmailMessage(policy=policy)
    message["From"] = f"Alice <{SENDER}>"
    message["To"] = ", ".join(fate.recipient for fate in fates)
    message["Subject"] = title.capitalize()
    message["Message-ID"] = f"<demo-{re.sub('[^a-z0-9]+', '-', title.lower())}@sender.example>"
    message["Date"] = formatdate()
    message.set_content(f"{text}\r\n")
    return DemoMail(title, message, fates)


def _inbox(*addresses: str) -> tuple[Fate, ...]:
    return tuple(Fate(address, (f"{address}/INBOX",)) for address in addresses)


def make_door_mail(door: str) -> DemoMail:
    """What is sent to Bob through a door, to be read back by every other."""
    return compose(door, f"This came in by {door}.", _inbox(BOB))


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
    carol, dave = "carol@recipient.example", "dave@third.example"
    rich = compose("HTML and attachment", "See the picture.", _inbox(BOB))
    rich.message.add_alternative("<p>See the <b>picture</b>.</p>\r\n", subtype="html")
    rich.message.add_attachment(make_picture(), "image", "png", filename="envelope.png")
    both = tuple(f"{address}/INBOX" for address in (BOB, carol))
    tagged = Fate("bob+lists@recipient.example", (f"{BOB}/lists",), traced=("bob+lists@recipient.example/lists",))
    return [
        rich,
        compose("UTF-8 address", "Una dirección con acento.", _inbox("josé@recipient.example"), SMTPUTF8),
        compose("several recipients", "One message, two domains, three mailboxes.", _inbox(BOB, carol, dave)),
        compose("alias to two", "One address, two people.", (Fate("team@recipient.example", both),)),
        compose("subaddress", "The tag names a mailbox.", (tagged,)),
        compose("catch-all", "Whoever this is.", (Fate("whoever@third.example", (f"{dave}/INBOX",)),)),
        compose("forward", "There and back.", (Fate("moved@recipient.example", (f"{SENDER}/INBOX",)),)),
        compose(
            "unknown recipient",
            "Half of this comes back.",
            (*_inbox(carol), Fate("nobody@recipient.example", reply="550 5.1.1")),
        ),
    ]


def make_large_mail() -> DemoMail:
    """Too large for the mailbox it goes to, until its quota is raised."""
    text = "This line stands here many times, until nothing more fits.\r\n" * (TINY_QUOTA // 40)
    return compose("full mailbox", text, (Fate(TINY, (f"{TINY}/INBOX",), first_reply="452 4.2.2"),))
