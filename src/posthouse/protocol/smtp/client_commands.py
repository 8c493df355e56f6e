"""The lines a client sends: MAIL and RCPT with the parameters that the next hop understands.

Sources of the parameters: SIZE RFC 1870 §6, BODY RFC 6152 §2 and RFC 3030 §3, SMTPUTF8 RFC 6531 §3.4, RET, ENVID,
NOTIFY and ORCPT RFC 3461 §4, UTF-8 in ORCPT RFC 6533 §3, MT-PRIORITY RFC 6710 §4.1.
"""

from __future__ import annotations

from posthouse.message.address import Address
from posthouse.message.envelope import BodyType, Envelope, Notify, Recipient
from posthouse.protocol.smtp.client_extensions import Extensions
from posthouse.protocol.smtp.xtext import encode_utf8_address, encode_xtext


def encode_orcpt(orcpt: tuple[str, str]) -> str:
    """The value of ORCPT. UTF-8 goes in its 7-bit form, which every hop takes (RFC 6533 §3)."""
    kind, address = orcpt
    if address.isascii() and kind.lower() != "utf-8":
        return f"{kind};{encode_xtext(address)}"
    return f"utf-8;{encode_utf8_address(address)}"


def format_path(address: Address | None, with_utf8: bool) -> str:
    """`<...>` of MAIL and RCPT. Without SMTPUTF8 the domain is written in A-labels (RFC 6531 §3.2)."""
    if address is None:
        return "<>"
    return f"<{address}>" if with_utf8 or address.is_ascii else f"<{address.to_ascii()}>"


def mail_command(envelope: Envelope, size: int, body: BodyType, hop: Extensions, with_utf8: bool) -> bytes:
    """`size` as it goes out, without dot-stuffing; `with_utf8`: this transaction uses SMTPUTF8."""
    line = f"MAIL FROM:{format_path(envelope.sender, with_utf8)}"
    if hop.size is not None:
        line += f" SIZE={size}"
    if body is not BodyType.SEVENBIT and (hop.eightbitmime or body is BodyType.BINARYMIME):
        line += f" BODY={body}"
    if with_utf8:
        line += " SMTPUTF8"
    if hop.dsn:
        if envelope.ret is not None:
            line += f" RET={envelope.ret}"
        if envelope.envid is not None:
            line += f" ENVID={encode_xtext(envelope.envid)}"
    if hop.mt_priority and envelope.mt_priority:
        line += f" MT-PRIORITY={envelope.mt_priority}"
    return line.encode() + b"\r\n"


_NOTIFY_WORDS = ((Notify.SUCCESS, "SUCCESS"), (Notify.FAILURE, "FAILURE"), (Notify.DELAY, "DELAY"))


def _format_notify(notify: Notify) -> str:
    if notify & Notify.NEVER:
        return "NEVER"
    return ",".join([word for flag, word in _NOTIFY_WORDS if notify & flag])


def rcpt_command(recipient: Recipient, hop: Extensions, with_utf8: bool) -> bytes:
    line = f"RCPT TO:{format_path(recipient.address, with_utf8)}"
    if hop.dsn:  # passed as it came, nothing added (RFC 3461 §5.2.1)
        if recipient.notify:
            line += f" NOTIFY={_format_notify(recipient.notify)}"
        if recipient.orcpt is not None:
            line += f" ORCPT={encode_orcpt(recipient.orcpt)}"
    return line.encode() + b"\r\n"
