"""What the argument of a command becomes: an event, or a `CommandError` with the reply.

Syntax and what the settings allow are looked at here, sequence and counts in the core. New commands with arguments
(AUTH) belong here too.
"""

from __future__ import annotations

from posthouse.message.envelope import BodyType, Recipient
from posthouse.protocol.smtp import server_replies as replies
from posthouse.protocol.smtp.grammar import (
    CommandError,
    parse_etrn_node,
    parse_forward_path,
    parse_hello_name,
    parse_reverse_path,
    refuse,
)
from posthouse.protocol.smtp.params import parse_mail_parameters, parse_only_size, parse_rcpt_parameters
from posthouse.protocol.smtp.server_events import Etrn, Hello, MailFrom, RcptTo, Xclient
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.protocol.smtp.xclient import XclientError, parse_xclient


def read_hello(verb: str, argument: str, settings: ServerSettings) -> Hello:
    if (verb == "LHLO") is not settings.lmtp:  # RFC 2033 §4.1
        raise CommandError(replies.MISMATCHED_HELLO)
    return Hello(parse_hello_name(argument), verb != "HELO")


def read_mail(argument: str, settings: ServerSettings) -> MailFrom:
    sender, words = parse_reverse_path(argument)
    if not words:
        if not argument.isascii():
            raise CommandError(replies.NEEDS_SMTPUTF8)
        return MailFrom(sender)
    size = parse_only_size(words)
    if size is not None and size <= settings.size_taken_unasked and argument.isascii():
        return MailFrom(sender, size=size)
    said = parse_mail_parameters(words, settings.mail_parameters)
    if not said.smtputf8 and not argument.isascii():  # RFC 6531 §3.5
        raise CommandError(replies.NEEDS_SMTPUTF8)
    if 0 < settings.max_size < said.size:  # RFC 1870 §6.1
        raise CommandError(replies.TOO_BIG)
    if said.body is BodyType.BINARYMIME and not settings.offers("BINARYMIME"):
        refuse(555, "5.5.4", "BODY=BINARYMIME is not supported here")
    return MailFrom(
        sender,
        said.body,
        said.smtputf8,
        said.ret,
        said.envid,
        said.size,
        said.mt_priority,
        said.hold_for_s,
        said.hold_until,
        said.by,
    )


def read_rcpt(argument: str, settings: ServerSettings, smtputf8: bool) -> RcptTo:
    address, words = parse_forward_path(argument)
    if not smtputf8 and not argument.isascii():
        raise CommandError(replies.NEEDS_SMTPUTF8)
    if not words:
        return RcptTo(Recipient(address))
    said = parse_rcpt_parameters(words, settings.rcpt_parameters)
    return RcptTo(Recipient(address, said.notify, said.orcpt))


def read_etrn(argument: str, settings: ServerSettings) -> Etrn:
    if not settings.offers("ETRN"):
        raise CommandError(replies.NOT_IMPLEMENTED)
    return Etrn(parse_etrn_node(argument))


def read_xclient(argument: str) -> Xclient:
    try:
        return Xclient(parse_xclient(argument))
    except XclientError as error:
        refuse(501, "5.5.4", str(error))
