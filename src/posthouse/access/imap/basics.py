"""Commands of any state, and IDLE, ENABLE, ID: RFC 9051 §6.1, §6.3.1, §6.3.13; RFC 2971; RFC 2177; RFC 5161."""

from __future__ import annotations

import contextlib

from posthouse.access.imap.answers import DONE, Done, MailboxGone
from posthouse.access.imap.capabilities import list_capabilities, write_capabilities
from posthouse.access.imap.context import Context
from posthouse.access.imap.updates import tell_news
from posthouse.protocol.imap.commands import Capability, Check, Enable, Id, Idle, Noop
from posthouse.protocol.imap.render import write_continuation
from posthouse.protocol.imap.server_events import Done as IdleDone

_MAX_ID = 200  # characters of a value in the log


async def capability(context: Context, request: Capability) -> Done:
    context.write(b"* %b\r\n" % write_capabilities(context))
    return DONE


async def noop(context: Context, request: Noop | Check) -> Done:
    await _tell_news(context)
    return DONE


async def _tell_news(context: Context) -> None:
    """A mailbox that is gone makes none of these commands fail."""
    if context.selected is not None:
        with contextlib.suppress(MailboxGone):
            await tell_news(context)


async def identify(context: Context, request: Id) -> Done:
    """What the client says of itself is logged, for the administrator to read; it changes nothing."""
    if request.fields:
        said = {name.lower(): (value or "")[:_MAX_ID] for name, value in request.fields.items()}
        program = f"{said.get('name', '')} {said.get('version', '')}".strip()
        context.desk.log.info("client identified itself", peer=context.wire.peer.address, program=program)
    context.write(b'* ID ("name" "Posthouse")\r\n')
    return DONE


async def enable(context: Context, request: Enable) -> Done:
    """Only what is announced can be enabled; the rest is passed over (RFC 5161 §3.1)."""
    known = {name.upper(): name for name in list_capabilities(context)}
    wanted = dict.fromkeys(name.upper() for name in request.names)
    enabled = [known[name] for name in wanted if name in known and context.enable(name)]
    context.write(b"* ENABLED%b\r\n" % "".join(f" {name}" for name in enabled).encode("ascii"))
    return DONE


async def idle(context: Context, request: Idle) -> None:
    context.idle_tag = context.tag
    context.core.expect_done()
    context.write(write_continuation(b"idling"))
    await _tell_news(context)


async def end_idle(context: Context, request: IdleDone) -> Done:
    context.idle_tag = b""
    await _tell_news(context)
    return Done("Idle is over")
