"""Getting in and out: STARTTLS, LOGIN, AUTHENTICATE, UNAUTHENTICATE, LOGOUT, COMPRESS.

RFC 9051 §6.1, §6.2; SASL-IR of RFC 4959; UNAUTHENTICATE of RFC 8437; COMPRESS of RFC 4978. Who guesses is slowed down
by trust/login. How many sessions an account may have is asked after the password was right.
"""

from __future__ import annotations

import base64

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.capabilities import read_hidden, write_capabilities
from posthouse.access.imap.context import Context
from posthouse.access.imap.notifying import stop_notifying
from posthouse.access.imap.selecting import leave
from posthouse.protocol.imap.commands import Authenticate, Compress, Login, Logout, StartTls, Unauthenticate
from posthouse.protocol.imap.render import write_continuation, write_status
from posthouse.protocol.imap.server_events import AuthResponse, State
from posthouse.protocol.sasl.server import Challenge
from posthouse.trust.login import Accepted, Denied, SaslConversation, Turn, Turning, Why

_DENIALS: dict[Why, tuple[bytes, str]] = {
    Why.WRONG: (b"AUTHENTICATIONFAILED", "The name or the password is wrong"),
    Why.MALFORMED: (b"", "That is not what the mechanism asks for"),
    Why.DISABLED: (b"CONTACTADMIN", "This account is disabled"),
    Why.SCOPE: (b"AUTHORIZATIONFAILED", "This password is not for reading mail"),
    Why.TOO_FAST: (b"UNAVAILABLE", "Too many failed logins, try again later"),
    Why.UNAVAILABLE: (b"UNAVAILABLE", "Logging in is not possible now, try again later"),
    Why.NEEDS_TLS: (b"PRIVACYREQUIRED", "Start TLS first: the password would be shown"),
    Why.UNKNOWN_MECHANISM: (b"CANNOT", "That mechanism is not offered"),
    Why.TOO_WEAK: (b"CANNOT", "That mechanism is too weak for this server"),
}


async def start_tls(context: Context, request: StartTls) -> None:
    if not context.wire.has_tls:
        raise Bad("TLS is not available" if not context.wire.peer.tls_version else "TLS is on already")
    context.write(write_status(context.tag, b"OK", "Begin TLS now"))
    context.flush()
    context.core.tls_started()
    context.conversation = None
    await context.wire.start_tls()


async def log_in(context: Context, request: Login) -> Done:
    conversation = _conversation(context)
    turn = await _wait(conversation.check_password(request.username, request.password, "LOGIN"))
    return await _enter(context, turn)


async def authenticate(context: Context, request: Authenticate) -> Done | None:
    context.auth_tag = context.tag
    return await _follow(context, _conversation(context).begin(request.mechanism, request.initial))


async def take_response(context: Context, response: AuthResponse) -> Done | None:
    conversation = _conversation(context)
    if response.data is None:
        conversation.cancel()
        raise Bad("That is not base64" if response.is_bad else "You have given up logging in")
    return await _follow(context, conversation.step(response.data))


async def _follow(context: Context, turning: Turning) -> Done | None:
    turn = await _wait(turning)
    if not isinstance(turn, Challenge):
        return await _enter(context, turn)
    context.write(write_continuation(base64.b64encode(turn.data)))
    context.core.expect_auth()
    return None


async def _wait(turning: Turning) -> Turn:
    return turning if isinstance(turning, Challenge | Accepted | Denied) else await turning


def _conversation(context: Context) -> SaslConversation:
    if context.conversation is None:
        context.conversation = context.desk.converse(context.wire.peer)
    return context.conversation


async def _enter(context: Context, turn: Turn) -> Done:
    if isinstance(turn, Denied):
        code, text = _DENIALS[turn.why]
        if turn.why is Why.MALFORMED:  # RFC 9051 §6.2.2
            raise Bad(text)
        raise No(text, code)
    assert isinstance(turn, Accepted)
    login, address = turn.login, context.wire.peer.address
    has_outbox = await context.desk.sending.is_outbox_on(login.account)
    entries = await context.desk.store.annotations.read(login.account, None, login.account)
    refusal = context.desk.slots.enter(login.account, address)
    if refusal is not None:
        raise No(refusal, b"LIMIT")
    context.login, context.conversation = login, None
    context.has_outbox, context.hidden = has_outbox, read_hidden(entries)
    context.core.state = State.AUTHENTICATED
    context.core.reset_errors()
    context.wire.note_login(login)
    context.desk.figures.logins.inc()
    context.desk.log.info("logged in", protocol="imap", account=login.name, peer=address, mechanism=login.mechanism)
    return Done("Logged in", write_capabilities(context))


def forget_login(context: Context) -> None:
    if context.login is not None:
        context.desk.slots.leave(context.login.account, context.wire.peer.address)
        context.wire.note_login(None)
        context.login = None


async def unauthenticate(context: Context, request: Unauthenticate) -> Done:
    """The session is as new; TLS and COMPRESS stay (RFC 8437 §2)."""
    leave(context)
    stop_notifying(context)
    forget_login(context)
    context.forget_enabled()
    context.hidden = frozenset()
    context.core.state = State.NOT_AUTHENTICATED
    return Done("Unauthenticated", write_capabilities(context))


async def log_out(context: Context, request: Logout) -> None:
    leave(context)
    context.core.state = State.LOGOUT
    context.write(write_status(b"*", b"BYE", "Goodbye"))
    context.write(write_status(context.tag, b"OK", "Logged out"))
    context.flush()
    context.wire.close()


async def compress(context: Context, request: Compress) -> None:
    if request.mechanism != "DEFLATE":
        raise No("Only DEFLATE is there", b"CANNOT")
    if context.is_compressed:
        raise No("Compression is on already", b"COMPRESSIONACTIVE")
    context.is_compressed = True
    context.write(write_status(context.tag, b"OK", "DEFLATE from here on"))
    context.flush()
    context.wire.compress()
