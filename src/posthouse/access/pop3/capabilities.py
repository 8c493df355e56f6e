"""What CAPA announces (RFC 2449 §5, §6): each capability only when it works, and in the state it is for.

A listener may hide some (`Pop3Settings.hidden`); what is hidden does not work either.
"""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.access.pop3.context import Context
from posthouse.protocol.pop3.states import State


def list_capabilities(context: Context) -> list[str]:
    hidden = context.desk.settings.hidden
    return [line for line in _list(context) if line.split(" ", 1)[0] not in hidden]


def _list(context: Context) -> Iterator[str]:
    settings = context.desk.settings
    yield from ("TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "UTF8 USER", "LANG")
    if settings.login_delay_s:
        yield f"LOGIN-DELAY {round(settings.login_delay_s)}"
    if context.core.state is State.TRANSACTION:
        yield "IMPLEMENTATION Posthouse"  # not told to strangers (RFC 2449 §6.9)
    elif context.wire.has_tls:
        yield "STLS"  # RFC 2595 §4: only before the login
    mechanisms = context.desk.converse(context.wire.peer).mechanisms().offered
    if "PLAIN" in mechanisms:  # USER and PASS show the password as PLAIN does
        yield "USER"
    if mechanisms:
        yield f"SASL {' '.join(mechanisms)}"


def is_hidden(context: Context, capability: str) -> bool:
    return capability in context.desk.settings.hidden
