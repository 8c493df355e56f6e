"""Getting in and out: STLS (RFC 2595 §4), USER and PASS (RFC 1939 §7), AUTH (RFC 5034), QUIT.

Who guesses is slowed down by trust/login. After the right password come LOGIN-DELAY, the number of sessions, and the
lock of the maildrop (RFC 1939 §4), in this order; whatever fails gives back what was taken before. A client hears
whether an account exists only with the right password.
"""

from __future__ import annotations

import base64

from posthouse.access.pop3.answers import EXPECTED, Err
from posthouse.access.pop3.capabilities import is_hidden
from posthouse.access.pop3.context import Context
from posthouse.access.pop3.maildrop import open_maildrop
from posthouse.ports.access import ConnectionLost
from posthouse.ports.login import Login
from posthouse.protocol.pop3.commands import Auth, AuthResponse, Pass, Quit, Stls, User
from posthouse.protocol.pop3.replies import (
    AUTH,
    IN_USE,
    LOGIN_DELAY,
    SYS_TEMP,
    write_challenge,
    write_lines,
    write_ok,
)
from posthouse.protocol.pop3.states import State
from posthouse.protocol.sasl.server import Challenge
from posthouse.trust.login import Accepted, Denied, SaslConversation, Turn, Turning, Why

_DENIALS: dict[Why, tuple[str, str]] = {
    Why.WRONG: (AUTH, "The name or the password is wrong"),
    Why.MALFORMED: ("", "That is not what the mechanism asks for"),
    Why.DISABLED: (AUTH, "This account is disabled"),
    Why.SCOPE: (AUTH, "This password is not for reading mail"),
    Why.TOO_FAST: (SYS_TEMP, "Too many failed logins, try again later"),
    Why.UNAVAILABLE: (SYS_TEMP, "Logging in is not possible now, try again later"),
    Why.NEEDS_TLS: ("", "Start TLS first: the password would be shown"),
    Why.UNKNOWN_MECHANISM: ("", "That mechanism is not offered"),
    Why.TOO_WEAK: ("", "That mechanism is too weak for this server"),
}


async def start_tls(context: Context, request: Stls) -> None:
    if is_hidden(context, "STLS") or not context.wire.has_tls:
        raise Err("TLS is on already" if context.wire.peer.tls_version else "TLS is not available")
    context.write(write_ok("Begin TLS now"))
    context.flush()
    context.core.tls_started()
    context.conversation = None
    context.name, context.utf8 = "", False
    await context.wire.start_tls()


async def take_name(context: Context, request: User) -> bytes:
    """The same answer for every name."""
    if is_hidden(context, "USER"):
        raise Err("Log in with AUTH")
    mechanisms = context.desk.converse(context.wire.peer).mechanisms()
    if "PLAIN" in mechanisms.after_tls:
        raise _refuse(Denied(Why.NEEDS_TLS))
    if "PLAIN" not in mechanisms.offered:
        raise Err("Log in with AUTH")
    context.name = request.name
    context.core.state = State.NAMED
    return write_ok("Now the password")


async def take_password(context: Context, request: Pass) -> bytes:
    context.core.state = State.AUTHORIZATION
    name, context.name = context.name, ""
    turn = await _wait(_conversation(context).check_password(name, request.secret, "USER"))
    return await _enter(context, turn)


async def authenticate(context: Context, request: Auth) -> bytes | None:
    if is_hidden(context, "SASL"):
        raise Err("Log in with USER and PASS")
    context.core.state = State.AUTHORIZATION
    if not request.mechanism:  # older clients ask so which there are
        return write_lines("Mechanisms follow", context.desk.converse(context.wire.peer).mechanisms().offered)
    return await _follow(context, _conversation(context).begin(request.mechanism, request.initial))


async def take_response(context: Context, response: AuthResponse) -> bytes | None:
    conversation = _conversation(context)
    if response.data is None:
        conversation.cancel()
        raise Err(response.problem)
    return await _follow(context, conversation.step(response.data))


async def _follow(context: Context, turning: Turning) -> bytes | None:
    turn = await _wait(turning)
    if not isinstance(turn, Challenge):
        return await _enter(context, turn)
    context.core.expect_response()
    return write_challenge(base64.b64encode(turn.data))


async def _wait(turning: Turning) -> Turn:
    return turning if isinstance(turning, Challenge | Accepted | Denied) else await turning


def _conversation(context: Context) -> SaslConversation:
    if context.conversation is None:
        context.conversation = context.desk.converse(context.wire.peer)
    return context.conversation


def _refuse(denied: Denied) -> Err:
    code, text = _DENIALS[denied.why]
    return Err(text, code, is_mistake=denied.why is not Why.UNAVAILABLE)


async def _enter(context: Context, turn: Turn) -> bytes:
    if isinstance(turn, Denied):
        raise _refuse(turn)
    assert isinstance(turn, Accepted)
    login, desk = turn.login, context.desk
    await _take_maildrop(context, login)
    try:
        maildrop = await open_maildrop(desk.store, login.account)
    except EXPECTED as error:
        context.release()
        desk.log.warning("maildrop cannot be opened", protocol="pop3", account=login.name, error=repr(error))
        raise
    context.open(maildrop)
    context.conversation = None
    context.core.state = State.TRANSACTION
    context.core.count_success()
    context.wire.note_login(login)
    desk.figures.logins.inc()
    address = context.wire.peer.address
    desk.log.info("logged in", protocol="pop3", account=login.name, peer=address, mechanism=login.mechanism)
    return write_ok(f"{maildrop.count} messages ({maildrop.octets} octets)")


async def _take_maildrop(context: Context, login: Login) -> None:
    """`context.login` is set when the session has its slot and the lock, and only then."""
    desk, account, address = context.desk, login.account, context.wire.peer.address
    delay_s = desk.settings.login_delay_s
    if delay_s and desk.delays.is_too_soon(account, delay_s):
        raise Err("You logged in a moment ago, wait some time", LOGIN_DELAY, is_mistake=False)
    refusal = desk.slots.enter(account, address)
    if refusal is not None:
        raise Err(refusal, SYS_TEMP, is_mistake=False)
    is_locked = False
    try:
        is_locked = await desk.maildrops.lock(account)
    finally:
        if not is_locked:
            desk.slots.leave(account, address)
    if not is_locked:
        raise Err("Another session has this maildrop", IN_USE, is_mistake=False)
    context.login = login
    if context.is_over:  # the client went in the meantime
        raise ConnectionLost
    if delay_s:
        desk.delays.note(account, delay_s)


async def leave(context: Context, request: Quit) -> bytes:
    """UPDATE (RFC 1939 §6). The maildrop is free before the client hears of it: it may come back at once."""
    context.core.state = State.CLOSED
    if context.maildrop is None:
        return write_ok("Goodbye")
    try:
        await context.maildrop.commit(marks_seen=context.desk.settings.marks_seen)
    except EXPECTED as error:
        context.desk.log.error("maildrop cannot be updated", protocol="pop3", error=repr(error))
        raise Err("some deleted messages not removed", SYS_TEMP, is_mistake=False) from None
    finally:
        context.release()
    return write_ok("Goodbye")
