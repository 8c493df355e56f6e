"""Taking one part of a message over one connection to wherever its destination is.

A `Channel` belongs to one slot of the planner and lives as long as its connection. It finds the addresses of its
site, opens the connection with the first message in hand, goes on to the route's next entry when no host can be
reached, and takes a fresh connection when a kept one turns out to be dead. Nothing here is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from posthouse.message.boxes import Box
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound import (
    ConnectFailed,
    Connection,
    Connector,
    DeliveryResult,
    HopPlan,
    StaleConnection,
)
from posthouse.mta.planner import Part
from posthouse.mta.targets import AccountBox, Destination, Discarded, MaildirBox, Rejected, SmtpSite, Unroutable
from posthouse.ports.spool import QueuedMessage, QueuedRecipient
from posthouse.ports.stream import Endpoint

DISCARDED = Delivered(Reply(250, "2.0.0", "Discarded, as the configuration says"))
_NO_MAILBOXES = Deferred(Reply(451, "4.3.5", "Local delivery is not set up here"))


class Hosts(Protocol):
    """Addresses of a site (mta/routing.py)."""

    async def endpoints(self, site: SmtpSite) -> list[Endpoint] | Refused | Deferred: ...


class Mailboxes(Protocol):
    """Final delivery (mda/delivery.py)."""

    async def deliver(self, message: QueuedMessage, boxes: Sequence[tuple[QueuedRecipient, Box]]) -> list[Outcome]:
        """One outcome for each recipient, in order. A delivery is durable when this returns."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What all channels of a worker share."""

    connector: Connector
    hosts: Hosts
    mailboxes: Mailboxes | None
    max_recipients: int = 100
    max_messages: int = 100_000

    def make_channel(self, on_open: Callable[[], None]) -> Channel:
        """`on_open` is called when a host has greeted us, before anything is sent over the connection."""
        return Channel(self, on_open)


class Channel:
    """One slot's way out. `failure` tells why no connection could be made for the last part, None when one was."""

    __slots__ = ("_carrier", "_connection", "_hop", "_is_retired", "_on_open", "failure")

    def __init__(self, carrier: Carrier, on_open: Callable[[], None]) -> None:
        self._carrier = carrier
        self._on_open = on_open
        self._connection: Connection | None = None
        self._hop: SmtpSite | None = None
        self._is_retired = False
        self.failure: str | None = None

    @property
    def max_recipients(self) -> int:
        limit = self._connection.max_recipients if self._connection is not None else None
        return min(limit, self._carrier.max_recipients) if limit else self._carrier.max_recipients

    async def carry(self, part: Part) -> list[DeliveryResult]:
        """Deliver one part; the results are in the order of its recipients."""
        destination: Destination = part.job.destination
        while isinstance(destination, SmtpSite):
            results, self.failure = await self._send(part, destination)
            if self.failure is None or destination.fallback is None:
                return results
            destination = destination.fallback
        self.failure = None
        return await self._finish_here(part, destination)

    async def _finish_here(self, part: Part, destination: Destination) -> list[DeliveryResult]:
        match destination:
            case AccountBox() | MaildirBox():
                if self._carrier.mailboxes is None:
                    return [_NO_MAILBOXES for _ in part.recipients]
                boxes: list[tuple[QueuedRecipient, Box]] = [(one, destination) for one in part.recipients]
                return list(await self._carrier.mailboxes.deliver(part.message, boxes))
            case Discarded():
                return [DISCARDED for _ in part.recipients]
            case Rejected(reply):
                return [Refused(reply) for _ in part.recipients]
            case Unroutable(outcome):
                return [outcome for _ in part.recipients]
            case SmtpSite():
                raise AssertionError("handled by the caller")
        assert_never(destination)

    async def _send(self, part: Part, site: SmtpSite) -> tuple[list[DeliveryResult], str | None]:
        """Over the kept connection if there is one, else over a new one; and why none could be made."""
        if self._connection is not None and self._hop is not site and self._hop != site:
            await self.quit()
        if self._connection is not None:
            try:
                return await self._hand_over(self._connection, part), None
            except StaleConnection:
                self._connection = None
        opened = await self._open(site)
        if isinstance(opened, Connection):
            self._connection, self._hop = opened, site
            self._on_open()
            return await self._hand_over(opened, part), None
        return [opened for _ in part.recipients], opened.reply.text

    async def _hand_over(self, connection: Connection, part: Part) -> list[DeliveryResult]:
        is_last = connection.messages_sent + 1 >= self._carrier.max_messages
        return await connection.deliver(part.message, part.recipients, is_last=is_last)

    async def _open(self, site: SmtpSite) -> Connection | Deferred | Refused:
        endpoints = await self._carrier.hosts.endpoints(site)
        if not isinstance(endpoints, list):
            return endpoints
        opened = await self._carrier.connector.open(HopPlan(endpoints, site.mode, site.tls, site.auth))
        return opened.outcome if isinstance(opened, ConnectFailed) else opened

    @property
    def is_usable(self) -> bool:
        """The slot can go on with another part (without a connection: by opening one)."""
        connection = self._connection
        if self._is_retired:
            return False
        if connection is None:
            return True
        return connection.is_reusable and connection.messages_sent < self._carrier.max_messages

    def retire(self) -> None:
        """Take no further message over this connection."""
        self._is_retired = True

    async def quit(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.quit()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
