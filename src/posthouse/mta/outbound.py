"""Opening connections to a next hop: addresses in their order, greeting, EHLO, STARTTLS, AUTH (RFC 5321 §5.1, §3.2).

    connector = Connector(dialer, settings, log, clock, make_nonce, adapt)      once per worker
    opened = await connector.open(HopPlan(endpoints, ...))                      Connection | ConnectFailed
    results = await opened.deliver(message, recipients)                         Outcome | NotTried for each

Trusts its plan (who the hosts are was decided by routing) and no peer. Nothing here is durable. Whatever a host does
wrong before MAIL, the next address is tried; when none is left the mail waits. Opportunistic TLS (RFC 7435) takes any
certificate, then plaintext: a host whose handshake fails is dialed again without STARTTLS, and that is remembered for
a while. Does not do DANE or MTA-STS: they arrive as another policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound_connection import Connection, HopFacts
from posthouse.mta.outbound_login import LoginFailed, LoginTools, log_in
from posthouse.mta.outbound_types import (
    Adapt,
    AdaptedMessage,
    Attempt,
    ConnectFailed,
    DeliveryResult,
    HopPlan,
    Mode,
    NotTried,
    OutboundSettings,
    SmtpAuth,
    StaleConnection,
    TlsPolicy,
    pass_through,
)
from posthouse.mta.outbound_wire import Wire, WireFailed, list_deadlines
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log
from posthouse.ports.stream import Dialer, Endpoint, StreamError, TlsCheck
from posthouse.protocol.smtp.client import Step
from posthouse.protocol.smtp.client_extensions import NO_EXTENSIONS, Extensions, parse_extensions

__all__ = [
    "Adapt",
    "AdaptedMessage",
    "Attempt",
    "ConnectFailed",
    "Connection",
    "Connector",
    "DeliveryResult",
    "HopPlan",
    "Mode",
    "NotTried",
    "OutboundSettings",
    "PlaintextTable",
    "SmtpAuth",
    "StaleConnection",
    "TlsPolicy",
    "pass_through",
    "plan_attempts",
]

_MAX_REMEMBERED = 4096
_MAX_HELLOS = 512


def plan_attempts(endpoints: Sequence[Endpoint], limit: int) -> list[Endpoint]:
    """The first `limit` endpoints in their order, but with room for both address families.

    A host list that begins with many IPv6 addresses would otherwise use up every try where IPv6 is broken.
    """
    if len(endpoints) <= limit:
        return list(endpoints)
    six = sum(":" in each.address for each in endpoints)
    four = len(endpoints) - six
    room = {True: max(limit - four, min(six, limit // 2)), False: max(limit - six, min(four, limit - limit // 2))}
    chosen: list[Endpoint] = []
    for each in endpoints:
        family = ":" in each.address
        if room[family] > 0 and len(chosen) < limit:
            room[family] -= 1
            chosen.append(each)
    return chosen


class PlaintextTable:
    """Addresses whose STARTTLS failed a short while ago. Bounded; forgetting one costs a handshake, no more."""

    def __init__(self, clock: Clock, keep_s: float) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._until: dict[str, float] = {}

    def remember(self, address: str) -> None:
        if len(self._until) >= _MAX_REMEMBERED:
            self._until.clear()
        self._until[address] = self._clock.monotonic() + self._keep_s

    def has(self, address: str) -> bool:
        until = self._until.get(address)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._until[address]
        return False


class _HostFailed(Exception):
    """This address is no good. `is_tls`: because of the handshake, so that plaintext may still do.

    `is_local`: because of us; the site is not to blame.
    """

    def __init__(self, reply: Reply, *, spoke: bool = False, is_tls: bool = False, is_local: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.spoke = spoke
        self.is_tls = is_tls
        self.is_local = is_local


@dataclass
class Connector:
    """Opens connections; one per worker. `make_nonce` gives unpredictable text for SCRAM (RFC 5802 §5.1)."""

    dialer: Dialer
    settings: OutboundSettings
    log: Log
    clock: Clock
    make_nonce: Callable[[], str]
    adapt: Adapt = field(default=pass_through)

    def __post_init__(self) -> None:
        self._deadlines = list_deadlines(self.settings)
        self._plaintext = PlaintextTable(self.clock, self.settings.plaintext_memory_s)
        self._extensions: dict[str, Extensions] = {}
        self._login_tools = LoginTools(self.make_nonce)

    async def open(self, plan: HopPlan) -> Connection | ConnectFailed:
        """Try the addresses until one is ready for MAIL. Never raises for what a peer does."""
        attempts: list[Attempt] = []
        for endpoint in plan_attempts(plan.endpoints, self.settings.max_attempts):
            try:
                return await self._try_host(endpoint, plan)
            except _HostFailed as failed:
                self.log.info("connect_failed", remote=str(endpoint), reply=str(failed.reply))
                attempts.append(Attempt(endpoint, failed.reply, failed.spoke))
                if failed.is_local:
                    return ConnectFailed(Deferred(failed.reply), tuple(attempts))
        return _sum_up(attempts, len(plan.endpoints))

    async def _try_host(self, endpoint: Endpoint, plan: HopPlan) -> Connection:
        policy = self._choose_policy(endpoint, plan)
        try:
            return await self._establish(endpoint, plan, policy)
        except _HostFailed as failed:
            if not failed.is_tls or policy is not TlsPolicy.OPPORTUNISTIC or plan.mode is Mode.SMTPS:
                raise
            self.log.info("tls_fallback", remote=str(endpoint), reply=str(failed.reply))
        self._plaintext.remember(endpoint.address)
        return await self._establish(endpoint, plan, TlsPolicy.OFF)

    def _choose_policy(self, endpoint: Endpoint, plan: HopPlan) -> TlsPolicy:
        if plan.tls is not TlsPolicy.OPPORTUNISTIC:
            return plan.tls
        is_local = endpoint.port == 0  # a unix socket has nobody to hide from
        return TlsPolicy.OFF if is_local or self._plaintext.has(endpoint.address) else plan.tls

    async def _establish(self, endpoint: Endpoint, plan: HopPlan, policy: TlsPolicy) -> Connection:
        """Dial one address and come as far as MAIL. Raises _HostFailed."""
        early = _choose_check(policy) if plan.mode is Mode.SMTPS else None
        try:
            stream = await self.dialer.connect(endpoint, self.settings.connect_s, tls=early)
        except StreamError as error:
            status = {"tls": "4.7.5", "local": "4.3.2"}.get(error.phase, "4.4.1")
            reply = Reply(451, status, f"cannot connect to {endpoint}: {error}")
            raise _HostFailed(reply, is_tls=error.phase == "tls", is_local=error.phase == "local") from None
        wire = Wire(stream, str(endpoint), self._deadlines, self.clock)
        try:
            return await self._introduce(wire, endpoint, plan, policy)
        except WireFailed as failed:
            wire.close()
            raise _HostFailed(failed.reply) from None
        except LoginFailed as failed:
            wire.leave()
            raise _HostFailed(failed.reply, spoke=failed.spoke) from None
        except _HostFailed:
            wire.leave()
            raise
        except BaseException:
            wire.close()
            raise

    async def _introduce(self, wire: Wire, endpoint: Endpoint, plan: HopPlan, policy: TlsPolicy) -> Connection:
        greeting = await wire.next_reply(Step.GREETING)
        if greeting.code != 220:
            raise _HostFailed(greeting, spoke=True)
        hop = await self._say_hello(wire, plan.mode)
        if policy is not TlsPolicy.OFF and wire.stream.tls is None:
            hop = await self._secure(wire, endpoint, plan, policy, hop)
        if plan.auth is not None:
            is_private = wire.stream.tls is not None or plan.tls is TlsPolicy.OFF or endpoint.port == 0
            await log_in(wire, hop, plan.auth, is_private, self._login_tools)
        return Connection(wire, HopFacts(plan.mode, hop, hop.capabilities, self.settings, self.adapt))

    async def _say_hello(self, wire: Wire, mode: Mode) -> Extensions:
        name = self.settings.hostname.encode("ascii")
        verb = b"LHLO" if mode is Mode.LMTP else b"EHLO"
        reply = await wire.ask(verb + b" " + name + b"\r\n", Step.HELLO)
        if reply.code == 250:
            return self._look_up_extensions(reply)
        if reply.code >= 500 and mode is not Mode.LMTP:  # RFC 5321 §3.2: a server of before 1995
            reply = await wire.ask(b"HELO " + name + b"\r\n", Step.HELLO)
            if reply.code == 250:
                return NO_EXTENSIONS
        raise _HostFailed(reply, spoke=True)

    def _look_up_extensions(self, reply: Reply) -> Extensions:
        """A host says the same thing to each connection: read it once."""
        known = self._extensions.get(reply.text)
        if known is None:
            if len(self._extensions) >= _MAX_HELLOS:
                self._extensions.clear()
            known = self._extensions[reply.text] = parse_extensions(reply)
        return known

    async def _secure(
        self, wire: Wire, endpoint: Endpoint, plan: HopPlan, policy: TlsPolicy, hop: Extensions
    ) -> Extensions:
        """STARTTLS and EHLO again (RFC 3207 §4.2), or the plain connection where the policy lets it pass."""
        if not hop.starttls:
            if policy is TlsPolicy.OPPORTUNISTIC:
                return hop
            raise _HostFailed(Reply(451, "4.7.4", f"{wire.label} does not offer TLS, which is required"))
        reply = await wire.ask(b"STARTTLS\r\n", Step.TLS)
        if reply.code != 220:
            if policy is TlsPolicy.OPPORTUNISTIC and reply.code != 421:
                return hop
            raise _HostFailed(Reply(451, "4.7.4", f"{wire.label} does not start TLS: {reply}"), spoke=True)
        wire.forget_input()  # what came with the 220 was not protected (CVE-2011-0411)
        try:
            await wire.stream.start_tls(_choose_check(policy), endpoint.host, self.settings.tls_s)
        except StreamError as error:
            text = f"cannot start TLS with {wire.label}: {error}"
            raise _HostFailed(Reply(451, "4.7.5", text), is_tls=True) from None
        try:
            return await self._say_hello(wire, plan.mode)
        except WireFailed as failed:  # an alert about the handshake shows at the first read (RFC 8446 §6.2)
            raise _HostFailed(failed.reply, is_tls=True) from None


def _choose_check(policy: TlsPolicy) -> TlsCheck:
    return TlsCheck.VERIFIED if policy is TlsPolicy.VERIFY else TlsCheck.ANY


def _sum_up(attempts: Sequence[Attempt], known: int) -> ConnectFailed:
    """The verdict when no address worked: the mail waits, whatever class of reply a greeting had (as Postfix does).

    Only when each host there is says that it never takes mail, 521, is that final (RFC 7504 §4).
    """
    if not attempts:
        return ConnectFailed(Deferred(Reply(451, "4.4.4", "no address to connect to"), site_failed=True), ())
    last = next((each for each in reversed(attempts) if each.spoke), attempts[-1])
    remote = str(last.endpoint) if last.spoke else ""
    if len(attempts) == known and all(each.spoke and each.reply.code == 521 for each in attempts):
        return ConnectFailed(Refused(last.reply, remote), tuple(attempts))
    return ConnectFailed(Deferred(last.reply, remote, site_failed=True), tuple(attempts))
