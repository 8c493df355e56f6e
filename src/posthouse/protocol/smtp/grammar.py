"""The arguments of SMTP commands (RFC 5321 §4.1.1, §4.1.2; RFC 6531 §3.3). Each pattern carries its rule's name.

What does not parse is a `CommandError` with the reply for the client, always 5xx. Leniencies, and who needs them:

- a space after the colon and a path without angle brackets: printers, scanners and scripts that learnt SMTP by example
- white space before the line's end: RFC 5321 §4.1.1.1 asks for it
- underscores and other odd characters in the HELO name: Windows hosts are named like that; RFC 5321 §4.1.4 forbids
  to refuse mail for it
"""

from __future__ import annotations

import re
from typing import NoReturn

from posthouse.message.address import Address, AddressError, Domain, LocalPart, parse_address
from posthouse.message.reply import Reply

# Path = "<" [ A-d-l ":" ] Mailbox ">", with the Mailbox still unparsed
_PATH = re.compile(r"<((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"])*)>(?: (.*))?")
_BARE_PATH = re.compile(r"((?:\"(?:[^\"\\]|\\.)*\"|[^<>\"\s])+)(?: (.*))?")
# A-d-l = At-domain *( "," At-domain ); RFC 5321 §4.1.1.3: accepted and ignored
_SOURCE_ROUTE = re.compile(r"@[^@,:\s\"\[\]]+(?:,@[^@,:\s\"\[\]]+)*:")
# esmtp-param = esmtp-keyword [ "=" esmtp-value ], the value with RFC 6531 §3.3's UTF-8
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u0080-\U0010ffff]+))?")
# What may stand in a Received field as it is: printable, none of RFC 5322's specials but the ones literals need.
_HELLO_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-./=?^_`{|}~:]{1,255}|\[[A-Za-z0-9.:-]{1,253}\]")
_ETRN_NODE = re.compile(r"[@#]?[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
# sasl-mech of RFC 4954 §8, and the initial response, which is looked at as base64 elsewhere
_AUTH = re.compile(r"([A-Za-z0-9_-]{1,20})(?: ([^ ]+))?")
_CHUNK = re.compile(r"([0-9]{1,18})(?: (LAST))?", re.IGNORECASE)

POSTMASTER = Address(LocalPart("postmaster"), Domain(""))
MAX_PARAMETERS = 32


class CommandError(Exception):
    """The client's fault; `reply` is what it hears."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def refuse(code: int, enhanced: str, text: str) -> NoReturn:
    raise CommandError(Reply(code, enhanced, text))


def parse_reverse_path(argument: str) -> tuple[Address | None, str]:
    """The argument of MAIL: the sender, None for `<>`, and the parameters still in one text."""
    if argument[:5].upper() != "FROM:":
        refuse(501, "5.5.4", "Syntax: MAIL FROM:<address>")
    path, parameters = _split_path(argument[5:], "5.1.7")
    if not path:
        return None, parameters
    return _parse_mailbox(path, "5.1.7"), parameters


def parse_forward_path(argument: str) -> tuple[Address, str]:
    """The argument of RCPT: the recipient and the parameters still in one text."""
    if argument[:3].upper() != "TO:":
        refuse(501, "5.5.4", "Syntax: RCPT TO:<address>")
    path, parameters = _split_path(argument[3:], "5.1.3")
    if path.isascii() and path.lower() == "postmaster":  # RFC 5321 §4.5.1
        return POSTMASTER, parameters
    return _parse_mailbox(path, "5.1.3"), parameters


def _split_path(text: str, enhanced: str) -> tuple[str, str]:
    end = text.find(">")
    if text.startswith("<") and end > 0 and '"' not in text and text[1] != "@":  # the plain case, without a pattern
        rest = text[end + 1 :]
        if not rest or rest[0] == " ":
            return text[1:end], rest[1:]
    text = text.removeprefix(" ")
    path = (_PATH if text.startswith("<") else _BARE_PATH).fullmatch(text)
    if path is None:
        refuse(501, enhanced, "Bad address syntax")
    mailbox: str = path[1]
    if mailbox.startswith("@"):
        route = _SOURCE_ROUTE.match(mailbox)
        mailbox = mailbox[route.end() :] if route is not None else mailbox
    return mailbox, path[2] or ""


def _parse_mailbox(text: str, enhanced: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        refuse(501, enhanced, f"Bad address: {error}")


def split_parameters(text: str) -> list[tuple[str, str | None]]:
    """Names in upper case, with their values. No name twice (RFC 5321 §4.1.1.11 allows none)."""
    parameters: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for word in filter(None, text.split(" ")):
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or len(parameters) == MAX_PARAMETERS:
            refuse(501, "5.5.4", "Bad parameter")
        name: str = parameter[1].upper()
        if name in seen:
            refuse(501, "5.5.4", f"{name} given twice")
        seen.add(name)
        parameters.append((name, parameter[2]))
    return parameters


def parse_hello_name(argument: str) -> str:
    if not _HELLO_NAME.fullmatch(argument):
        refuse(501, "5.5.4", "Say your host name or address literal")
    return argument


def parse_etrn_node(argument: str) -> str:
    """RFC 1985 §5.1: a domain, "@" and a domain, or "#" and a queue name."""
    if not _ETRN_NODE.fullmatch(argument):
        refuse(501, "5.5.4", "Syntax: ETRN domain")
    return argument


def parse_auth(argument: str) -> tuple[str, str | None]:
    """The mechanism in upper case and the initial response, still in base64."""
    auth = _AUTH.fullmatch(argument)
    if auth is None:
        refuse(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
    return auth[1].upper(), auth[2]


def parse_chunk(argument: str) -> tuple[int, bool] | None:
    """The size of a BDAT chunk and whether it is the last (RFC 3030 §2); None when that cannot be read."""
    chunk = _CHUNK.fullmatch(argument)
    return (int(chunk[1]), chunk[2] is not None) if chunk is not None else None


def refuse_argument(argument: str) -> None:
    if argument:
        refuse(501, "5.5.4", "No argument allowed")
