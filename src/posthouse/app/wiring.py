"""From settings to the parts of a worker: the only place where configuration becomes constructor arguments."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from posthouse.adapters.dns.system import is_local_address
from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.spool import SpoolOptions
from posthouse.config.directory import RouteDirectory, build_directory
from posthouse.config.settings import Listener, Settings
from posthouse.config.settings import Route as RouteSettings
from posthouse.message.address import Address, AddressError, parse_address
from posthouse.mta.inbound import InboundFigures, InboundSettings
from posthouse.mta.local_addresses import LocalAddresses
from posthouse.mta.outbound import OutboundSettings, SmtpAuth, TlsPolicy
from posthouse.mta.outcomes import OutcomeFigures
from posthouse.mta.planner import PlannerSettings
from posthouse.mta.reports import ReportSettings
from posthouse.mta.routing import Route, RoutingSettings
from posthouse.mta.rules import Rules, parse_rules
from posthouse.mta.runner import RunnerSettings
from posthouse.mta.schedule import RetrySchedule
from posthouse.mta.sites import SiteSettings
from posthouse.ports.observe import Metrics
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.serve.connection import DoorFigures
from posthouse.serve.smtp import SmtpServiceSettings

DELAY_BUCKETS = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0)


@dataclass(frozen=True, slots=True)
class Wiring:
    """Settings of one server, as each part wants them. `files`: contents that the supervisor read for us, by path."""

    settings: Settings
    worker_count: int
    files: Mapping[str, bytes]

    # -- receiving

    @property
    def postmaster(self) -> Address | None:
        try:
            return parse_address(self.settings.postmaster) if self.settings.postmaster else None
        except AddressError:
            return None

    def inbound(self, inline_limit: int) -> InboundSettings:
        smtp = self.settings.smtp
        return InboundSettings(
            hostname=self.settings.hostname,
            trusted_networks=smtp.trusted_networks,
            postmaster=self.postmaster,
            max_received=smtp.max_received,
            max_header_octets=smtp.max_header_size,
            inline_limit=inline_limit,
            max_targets=self.settings.delivery.max_recipients,
            refuses_full=self.settings.delivery.over_quota == "refuse",
        )

    def listener(self, listener: Listener) -> SmtpServiceSettings:
        smtp = self.settings.smtp
        is_lmtp = listener.service == "lmtp"
        core = ServerSettings(
            hostname=self.settings.hostname,
            lmtp=is_lmtp,
            auth=listener.service == "submission",
            max_size=smtp.max_message_size,
            max_line=smtp.max_command_line,
            max_text_line=smtp.max_text_line,
            max_header_size=smtp.max_header_size,
            max_recipients=smtp.max_recipients,
            max_commands=smtp.max_idle_commands,
            max_errors=smtp.max_errors,
            max_messages=smtp.max_messages,
            command_timeout_s=smtp.command_timeout.total_seconds(),
            body_timeout_s=smtp.data_timeout.total_seconds(),
        )
        return SmtpServiceSettings(
            core=core,
            implicit_tls=listener.tls == "implicit",
            lmtp=is_lmtp,
            proxy_networks=listener.proxy_protocol,
            xclient_networks=listener.xclient,
            greet_delay_s=smtp.greet_delay.total_seconds(),
            min_rate=smtp.min_rate,
            proxy_timeout_s=smtp.proxy_timeout.total_seconds(),
            tls_timeout_s=smtp.tls_timeout.total_seconds(),
            message_timeout_s=smtp.message_timeout.total_seconds(),
        )

    # -- deciding

    def schedule(self) -> RetrySchedule:
        queue = self.settings.queue
        return RetrySchedule(
            retry=tuple(wait.total_seconds() for wait in queue.retry),
            warn_after_s=queue.warn_after.total_seconds(),
            expire_after_s=queue.expire_after.total_seconds(),
            report_expire_after_s=queue.expire_reports_after.total_seconds(),
        )

    def sites(self) -> SiteSettings:
        outbound = self.settings.outbound
        return SiteSettings(
            window_start=outbound.first_connections,
            window_max=max(outbound.connections_per_site, outbound.first_connections),
            workers=self.worker_count,
        )

    def planner(self) -> PlannerSettings:
        queue, outbound = self.settings.queue, self.settings.outbound
        return PlannerSettings(
            max_messages=queue.active_messages,
            max_octets=queue.active_size,
            max_connections=max(1, outbound.max_connections // self.worker_count),
            keep_idle_s=outbound.keep_idle.total_seconds(),
        )

    def reports(self, expand: Callable[[Address], Sequence[Address]]) -> ReportSettings:
        """`expand` is the directory's: reports too may go to an alias."""
        return ReportSettings(self.settings.hostname, self.postmaster, expand=expand)

    def runner(self, reports: ReportSettings) -> RunnerSettings:
        queue = self.settings.queue
        return RunnerSettings(reports, slow_above=queue.slow_above, refuse_above=queue.refuse_above)

    def rules(self) -> Rules:
        """The operator's rules come first, then those that are shipped."""
        tables: list[dict[str, object]] = []
        if self.settings.provider_rules.file:
            tables += _read_rules(self.read(self.settings.provider_rules.file).decode("utf-8"))
        tables += _read_rules(resources.files("posthouse.mta").joinpath("provider_rules.toml").read_text("utf-8"))
        return Rules(parse_rules(tables))

    def directory(self) -> RouteDirectory:
        return build_directory(self.settings, self.read)

    def read(self, path: str) -> bytes:
        """A file of the configuration."""
        return self.files[path] if path in self.files else Path(path).read_bytes()

    # -- routing and sending

    def routes(self) -> list[Route]:
        return [
            Route(
                domain=route.domain,
                hops=route.to,
                is_open=route.accept == "anyone",
                is_hosted=route.is_hosted,
                auth=self._read_auth(route),
                tls=TlsPolicy(route.tls),
            )
            for route in self.settings.route
        ]

    def _read_auth(self, route: RouteSettings) -> SmtpAuth | None:
        if route.username is None or route.password_file is None:
            return None
        return SmtpAuth(route.username, self.read(route.password_file).decode("utf-8").strip("\r\n"))

    def routing(self) -> RoutingSettings:
        outbound = self.settings.outbound
        sources = [ipaddress.ip_address(each).version for each in outbound.source]
        return RoutingSettings(
            hostname=self.settings.hostname,
            local=LocalAddresses(self._smtp_binds(), is_local_address),
            mx_port=self.settings.queue.mx_port,
            ipv4=not sources or 4 in sources,
            ipv6=outbound.ipv6 and (not sources or 6 in sources),
        )

    def _smtp_binds(self) -> list[tuple[str, int]]:
        binds = [each.bind for each in self.settings.listener if each.service == "smtp"]
        return [(bind.host, bind.port) for bind in binds if not bind.path]

    def outbound(self) -> OutboundSettings:
        outbound = self.settings.outbound
        command, data = outbound.command_timeout.total_seconds(), outbound.data_timeout.total_seconds()
        greeting = outbound.greeting_timeout.total_seconds()
        return OutboundSettings(
            hostname=outbound.hostname or self.settings.hostname,
            connect_s=outbound.connect_timeout.total_seconds(),
            greeting_s=greeting,
            hello_s=greeting,
            tls_s=outbound.tls_timeout.total_seconds(),
            mail_s=command,
            rcpt_s=command,
            data_command_s=data,
            body_block_s=data,
            data_final_s=outbound.final_timeout.total_seconds(),
        )

    # -- keeping

    def spool_options(self) -> SpoolOptions:
        queue = self.settings.queue
        return SpoolOptions(min_free=Space(queue.min_free, queue.min_free_inodes))


def _read_rules(text: str) -> list[dict[str, object]]:
    tables = tomllib.loads(text).get("rule", [])
    return [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []


# -- figures


def door_figures(metrics: Metrics, service: str) -> DoorFigures:
    return DoorFigures(
        connections=metrics.counter("posthouse_connections_total", "Connections accepted.", service=service),
        refused=metrics.counter("posthouse_connections_refused_total", "Connections answered 421.", service=service),
        open_sessions=metrics.gauge("posthouse_sessions", "Sessions open now.", service=service),
        timeouts=metrics.counter("posthouse_session_timeouts_total", "Sessions that timed out.", service=service),
        errors=metrics.counter("posthouse_session_errors_total", "Commands refused.", service=service),
    )


def inbound_figures(metrics: Metrics) -> InboundFigures:
    return InboundFigures(
        accepted=metrics.counter("posthouse_messages_received_total", "Messages answered 250."),
        accepted_octets=metrics.counter("posthouse_octets_received_total", "Octets of messages answered 250."),
        refused_recipients=metrics.counter("posthouse_recipients_refused_total", "RCPT answered 4xx or 5xx."),
        put_off=metrics.counter("posthouse_messages_refused_total", "Messages answered 4xx or 5xx."),
    )


_ATTEMPTS = "Attempts by recipient and outcome."


def outcome_figures(metrics: Metrics) -> OutcomeFigures:
    return OutcomeFigures(
        delivered=metrics.counter("posthouse_attempts_total", _ATTEMPTS, outcome="delivered"),
        relayed=metrics.counter("posthouse_attempts_total", _ATTEMPTS, outcome="relayed"),
        deferred=metrics.counter("posthouse_attempts_total", _ATTEMPTS, outcome="deferred"),
        failed=metrics.counter("posthouse_attempts_total", _ATTEMPTS, outcome="failed"),
        reports=metrics.counter("posthouse_reports_total", "Delivery status notifications queued."),
        delay=metrics.histogram("posthouse_delivery_seconds", "From arrival to delivery.", DELAY_BUCKETS),
    )
