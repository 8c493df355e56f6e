"""Web push put together: the methods of push subscriptions, and the one worker that sends (RFC 8620 §7.2).

Whoever holds the lock `store/push` sends for all accounts; when it drains another takes over.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from posthouse.access.jmap.method import Methods
from posthouse.access.jmap.push_hub import PushHub
from posthouse.access.jmap.push_methods import PushMethods, PushSettings
from posthouse.access.jmap.push_sender import PushSender, SenderParts
from posthouse.adapters.fetch import HttpFetch
from posthouse.adapters.webpush import HttpWebPush, open_server_key
from posthouse.app.store import store_path
from posthouse.app.store_duty import DutyLock
from posthouse.app.web import WebContext
from posthouse.config.settings import Settings
from posthouse.ports.store import StoreError

_FETCH_S = 15.0
_LOOK_S = 3.0
_HELP = "Messages to push services by outcome."
KEY_FILE = "vapid.pem"


@dataclass(frozen=True, slots=True)
class Pushing:
    """`server_key` is "" without web push."""

    methods: Methods
    server_key: str = ""


def make_pushing(web: WebContext, hub: PushHub) -> Pushing:
    """Raises OSError, ValueError where the server's key cannot be read or made."""
    settings = web.settings.web
    if not settings.push_subscriptions:
        return Pushing({})
    tls = ssl.create_default_context(cafile=settings.push_ca_file)
    is_private = settings.push_private_addresses
    fetch = HttpFetch(web.resolver, tls, _FETCH_S, allow_private=is_private)
    key = open_server_key(Path(web.settings.data) / KEY_FILE)
    push = HttpWebPush(key, find_contact(web.settings), fetch, web.clock, web.log, allow_private=is_private)
    methods = PushMethods(push, PushSettings(settings.push_subscriptions, settings.push_expiry.total_seconds()))
    duty = _Duty(web, make_sender(web, hub, push))
    web.periodic.append((_LOOK_S, duty.look))
    web.draining.append(duty.leave)
    web.closing += (duty.close, methods.close, fetch.close)
    return Pushing(methods.list_methods(), push.server_key)


def make_sender(web: WebContext, hub: PushHub, push: HttpWebPush) -> PushSender:
    counter = web.metrics.counter
    return PushSender(
        SenderParts(
            hub,
            web.records,
            push,
            web.visitors.why_over,
            web.clock,
            web.log,
            counter("posthouse_pushes_total", _HELP, outcome="sent"),
            counter("posthouse_pushes_total", _HELP, outcome="failed"),
            asyncio.sleep,
        )
    )


def find_contact(settings: Settings) -> str:
    address = settings.web.push_contact or settings.postmaster or f"postmaster@{settings.hostname}"
    return f"mailto:{address}"


class _Duty:
    """The sender of the worker that has the lock."""

    def __init__(self, web: WebContext, sender: PushSender) -> None:
        self._web, self._sender = web, sender
        self._lock = DutyLock(os.path.join(store_path(web.settings), "push"))
        self._is_leaving = False

    async def look(self) -> None:
        try:
            if not self._is_leaving and self._lock.take():
                await self._sender.look()
        except (StoreError, OSError) as error:
            self._web.log.warning("push subscriptions could not be looked after", error=str(error))

    def leave(self) -> None:
        """Another worker may begin; what listens here ends with the hub."""
        self._is_leaving = True
        self._lock.release()

    async def close(self) -> None:
        self.leave()
        await self._sender.close()
