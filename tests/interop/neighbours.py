"""What the suites with Postfix and Exim share: two servers that find each other by MX, and the mail they exchange."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage, Message

from tests.interop.lab import Host, Lab, Posthouse

OUR_RECORDS = "@ MX 10 mx\nmx A 10.77.0.20\nmx AAAA fd77::20\nfew MX 10 mx\n"
FEW = """
[[route]]
domain = "few.ph.test"
to = "maildir:@MAIL@/{domain}/{local}"
accept = "anyone"
recipients = ["alice"]
"""


def write_eight_bits(recipient: str) -> bytes:
    return (
        f"From: a@ph.test\r\nTo: {recipient}\r\nSubject: eight bits\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nschöne Grüße\r\n"
    ).encode()


def write_message(subject: str, body: str = "text\r\n") -> bytes:
    """With all the fields that servers would add, so that they leave it as it is."""
    return (
        f"From: somebody@there.test\r\nSubject: {subject}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
        f"Message-ID: <{subject}@there.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{body}"
    ).encode()


def open_hosts(lab: Lab, names: Sequence[str]) -> list[Host]:
    """A DNS server and these hosts, 10.77.0.20 first; `name` has the mail of `name.test`."""
    zones = {
        f"{name}.test": f"@ MX 10 mx\nmx A 10.77.0.{20 + place}\n" for place, name in enumerate(names) if place > 0
    }
    lab.start_dns({"ph.test": OUR_RECORDS, **zones})
    return [lab.add_host(name, number=20 + place) for place, name in enumerate(names)]


def start_ours(lab: Lab, host: Host) -> Posthouse:
    """Everybody is known at ph.test, alice alone at few.ph.test."""
    tables = FEW.replace("@MAIL@", str(host.directory / "mail"))
    return Posthouse(lab, host, "mx.ph.test", ["ph.test"], tables=tables)


def read_report(message: EmailMessage) -> dict[str, Message]:
    """The fields about each recipient of a delivery status notification (RFC 3464 §2.3), by address."""
    [status] = [part for part in message.walk() if part.get_content_type() == "message/delivery-status"]
    blocks = [block for block in status.get_payload() if isinstance(block, Message) and block["Final-Recipient"]]
    return {block["Final-Recipient"].partition(";")[2].strip(): block for block in blocks}
