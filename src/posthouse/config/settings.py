"""The tree of settings: every key of posthouse.toml with its type, default, bounds and one sentence.

This is the only place that knows a default. The reader (reader.py), the manual, `check --defaults` and the file
that `init` writes are all generated from here. Values are frozen and typed: sizes are octets, times are
`timedelta`, networks are `ipaddress` networks. Annotations are read at run time, hence no postponed ones here.
"""

from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import (
    Bind,
    BindKind,
    Choice,
    Duration,
    FilePath,
    Flag,
    HopKind,
    HostName,
    IpAddressKind,
    Key,
    ListOf,
    MailAddress,
    Network,
    NetworkKind,
    RouteDomain,
    Size,
    Text,
    Whole,
)
from posthouse.config.settings_access import Imap, Pop3
from posthouse.config.settings_directory import DirectorySettings
from posthouse.config.settings_login import LoginSettings
from posthouse.config.settings_store import Delivery, Store
from posthouse.config.settings_submission import Submission
from posthouse.config.settings_web import Web
from posthouse.message.nexthop import MaildirHop, NextHop


def _seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


_NETWORK = NetworkKind()
_LOOPBACK: tuple[Network, ...] = tuple(_NETWORK.read(text) for text in ("127.0.0.0/8", "::1/128"))


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A door: what is spoken where. Repeat the table for each; IPv4 and IPv6 are two listeners."""

    service: Annotated[
        str,
        Key(
            Choice(("smtp", "submission", "lmtp", "imap", "pop3", "http")),
            "What is spoken on this listener.",
            example='"smtp"',
        ),
    ]
    bind: Annotated[Bind, Key(BindKind(), "Address and port, or unix socket, to listen on.", example='"0.0.0.0:25"')]
    tls: Annotated[
        str,
        Key(
            Choice(("off", "starttls", "implicit")),
            "Whether TLS is offered by STARTTLS, spoken from the start, or not at all.",
        ),
    ] = "off"
    proxy_protocol: Annotated[
        tuple[Network, ...],
        Key(
            ListOf(_NETWORK),
            "Networks whose connections open with a PROXY v1/v2 header; only the address announced there counts.",
            example='["10.0.0.0/8"]',
        ),
    ] = ()
    xclient: Annotated[
        tuple[Network, ...],
        Key(ListOf(_NETWORK), "Networks that may use XCLIENT to name the real client.", example='["10.0.0.0/8"]'),
    ] = ()
    hide_capabilities: Annotated[
        tuple[str, ...],
        Key(ListOf(Text()), "IMAP and POP3 capabilities that are not announced here.", example='["NOTIFY"]'),
    ] = ()


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The server's certificate."""

    certificate: Annotated[
        str | None,
        Key(
            FilePath(),
            "PEM file with the certificate and its chain; looked at hourly and swapped in place.",
            "a self-signed one is made in the data directory, with a warning",
            '"/etc/posthouse/cert.pem"',
        ),
    ] = None
    key: Annotated[
        str | None,
        Key(FilePath(), "PEM file with the private key.", "the one in the data directory", '"/etc/posthouse/key.pem"'),
    ] = None
    client_ca: Annotated[
        str | None,
        Key(
            FilePath(),
            "PEM file of authorities whose client certificates may log in (EXTERNAL) where mail is submitted or read.",
            "no client is asked for a certificate",
            '"/etc/posthouse/client-ca.pem"',
        ),
    ] = None


class Dns(msgspec.Struct, frozen=True, kw_only=True):
    """Where names are looked up. A validating resolver on this machine is best."""

    servers: Annotated[
        tuple[Bind, ...],
        Key(
            ListOf(BindKind(53, 'addresses such as "127.0.0.1:53"')),
            "Name servers to ask, in order; none given: those of /etc/resolv.conf.",
            example='["127.0.0.1:53"]',
        ),
    ] = ()
    timeout: Annotated[timedelta, Key(Duration("100ms", "1m"), "How long one server may take for one question.")] = (
        _seconds(5)
    )
    attempts: Annotated[int, Key(Whole(1, 10), "How often a question is asked before it counts as failed for now.")] = 3
    cache_entries: Annotated[int, Key(Whole(0, 10_000_000), "Answers each worker keeps.")] = 20_000


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    """What SMTP and LMTP clients may do."""

    max_message_size: Annotated[
        int, Key(Size("1K", "10G"), "Largest message taken; announced by SIZE, more is 552.")
    ] = 50 << 20
    max_recipients: Annotated[
        int, Key(Whole(1, 1_000_000), "Recipients of one message; more are 452 and come in another transaction.")
    ] = 1000
    trusted_networks: Annotated[
        tuple[Network, ...],
        Key(ListOf(_NETWORK), "Networks that may relay without logging in and are exempt from the connection limits."),
    ] = _LOOPBACK
    max_command_line: Annotated[int, Key(Size("1K", "64K"), "Longest command line.")] = 4 << 10
    max_text_line: Annotated[
        int, Key(Size("1000", "100M"), "Longest line of a message taken with DATA; a longer one is 554.")
    ] = 1 << 20
    max_header_size: Annotated[
        int, Key(Size("16K", "100M"), "Largest header section of a message; a larger one is 552.")
    ] = 1 << 20
    max_received: Annotated[
        int, Key(Whole(10, 1000), "Received fields from which a message counts as looping and is refused.")
    ] = 50
    max_messages: Annotated[
        int, Key(Whole(1, 1_000_000_000), "Messages in one connection; then 421 asks the client to come back.")
    ] = 1_000_000
    max_idle_commands: Annotated[
        int, Key(Whole(10, 1_000_000), "NOOP, RSET, VRFY and the like between two messages; more is 421.")
    ] = 100
    soft_errors: Annotated[
        int, Key(Whole(0, 1000), "Errors (unknown recipients too) after which each answer is delayed by error_delay.")
    ] = 5
    max_errors: Annotated[int, Key(Whole(1, 100_000), "Errors after which the connection is closed with 421.")] = 20
    error_delay: Annotated[
        timedelta,
        Key(Duration("0s", "10s"), "Delay of an answer for each error beyond soft_errors; it adds up to 10s."),
    ] = timedelta(milliseconds=500)
    greet_delay: Annotated[
        timedelta, Key(Duration("0s", "1m"), "Pause before the greeting; a client that talks before it is refused.")
    ] = timedelta(0)
    command_timeout: Annotated[
        timedelta, Key(Duration("1s", "1d"), "How long a client may take for one command (RFC 5321 §4.5.3.2.7: 5m).")
    ] = _minutes(5)
    data_timeout: Annotated[
        timedelta, Key(Duration("1s", "1d"), "How long a client may be silent within a message.")
    ] = _minutes(5)
    message_timeout: Annotated[
        timedelta, Key(Duration("10s", "7d"), "How long one message may take at most, however it comes.")
    ] = timedelta(hours=1)
    min_rate: Annotated[
        int, Key(Whole(1, 1_000_000), "Octets per second that a message must come at, once data_timeout has passed.")
    ] = 512
    tls_timeout: Annotated[timedelta, Key(Duration("1s", "10m"), "How long a TLS handshake may take.")] = _seconds(30)
    proxy_timeout: Annotated[timedelta, Key(Duration("100ms", "10m"), "How long a PROXY header may take.")] = _seconds(
        5
    )
    look_up_names: Annotated[
        bool, Key(Flag(), "Whether the clients' reverse names are looked up for Received; nothing waits for them.")
    ] = True


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail for a domain goes. Hosted domains come first, then the first route that matches, then MX."""

    domain: Annotated[
        str, Key(RouteDomain(), 'A domain, ".domain" for all below it, or "*" for any.', example='"example.net"')
    ]
    to: Annotated[
        tuple[NextHop, ...],
        Key(
            ListOf(HopKind(), or_single=True, minimum=1),
            "The next hop, or a list of them tried in order.",
            example='"maildir:/var/mail/{domain}/{local}"',
        ),
    ]
    accept: Annotated[
        str,
        Key(
            Choice(("trusted", "anyone")),
            "Who may send there: trusted networks and logged-in users, or anyone (we are its MX or backup MX).",
        ),
    ] = "trusted"
    username: Annotated[
        str | None, Key(Text(), "User name for AUTH at the next hop.", "no AUTH", '"relay@example.org"')
    ] = None
    password_file: Annotated[
        str | None,
        Key(FilePath(), "File that holds the password for AUTH.", "no AUTH", '"/etc/posthouse/relay.secret"'),
    ] = None
    tls: Annotated[
        str,
        Key(
            Choice(("opportunistic", "required", "verify", "off")),
            "TLS towards the next hop: if offered, always, always with a valid certificate, or never.",
        ),
    ] = "opportunistic"
    recipients: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Text("local parts")),
            "Local parts that exist; others are 550 5.1.1 (postmaster and abuse always exist).",
            "every local part exists, unless recipients_file is given",
            '["alice", "bob"]',
        ),
    ] = None
    recipients_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "File with one local part in a line, added to recipients; read again at reload.",
            "none",
            '"/etc/posthouse/people.txt"',
        ),
    ] = None

    @property
    def is_hosted(self) -> bool:
        """We are the final word on who exists there: `maildir:` for anyone, or a list of recipients."""
        if self.accept != "anyone" or self.domain.startswith((".", "*")):
            return False
        lists_people = self.recipients is not None or self.recipients_file is not None
        return lists_people or any(isinstance(hop, MaildirHop) for hop in self.to)


class Outbound(msgspec.Struct, frozen=True, kw_only=True):
    """How mail leaves."""

    source: Annotated[
        tuple[str, ...],
        Key(
            ListOf(IpAddressKind()),
            "Addresses to send from, at most one IPv4 and one IPv6; none given: the system's choice.",
            example='["192.0.2.1", "2001:db8::1"]',
        ),
    ] = ()
    ipv6: Annotated[bool, Key(Flag(), "Whether hosts are also tried by IPv6.")] = True
    hostname: Annotated[
        str | None, Key(HostName(), "Name given in EHLO.", "the server's hostname", '"out.example.org"')
    ] = None
    max_connections: Annotated[int, Key(Whole(1, 100_000), "Outbound connections of the whole server at one time.")] = (
        1000
    )
    connections_per_site: Annotated[
        int, Key(Whole(1, 10_000), "Most connections to one site (a set of MX hosts) at one time.")
    ] = 20
    first_connections: Annotated[
        int, Key(Whole(1, 1000), "Connections a site gets before it has shown how many it takes.")
    ] = 5
    recipients_per_transaction: Annotated[
        int, Key(Whole(1, 10_000), "Recipients of one message handed on in one transaction.")
    ] = 100
    messages_per_connection: Annotated[
        int, Key(Whole(1, 1_000_000), "Messages after which a kept connection is closed.")
    ] = 100_000
    keep_idle: Annotated[
        timedelta, Key(Duration("0s", "5m"), "How long an idle connection is kept for the next message.")
    ] = _seconds(5)
    connect_timeout: Annotated[
        timedelta, Key(Duration("1s", "10m"), "How long connecting to one address may take.")
    ] = _seconds(30)
    tls_timeout: Annotated[timedelta, Key(Duration("1s", "10m"), "How long a TLS handshake may take.")] = _seconds(30)
    greeting_timeout: Annotated[
        timedelta, Key(Duration("1s", "1h"), "How long the greeting and the answer to EHLO may take.")
    ] = _minutes(5)
    command_timeout: Annotated[
        timedelta, Key(Duration("1s", "1h"), "How long the answers to MAIL and RCPT may take.")
    ] = _minutes(5)
    data_timeout: Annotated[
        timedelta, Key(Duration("1s", "1h"), "How long the answer to DATA and each block of the message may take.")
    ] = _minutes(3)
    final_timeout: Annotated[timedelta, Key(Duration("1s", "1h"), "How long the answer to the final dot may take.")] = (
        _minutes(10)
    )


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often mail is tried."""

    retry: Annotated[
        tuple[timedelta, ...],
        Key(ListOf(Duration("10ms", "7d"), minimum=1), "Waits between tries, +-10 %; the last one repeats."),
    ] = tuple(_minutes(count) for count in (5, 10, 20, 40, 80, 160, 240))
    warn_after: Annotated[
        timedelta, Key(Duration("1s", "30d"), "Age at which the sender is told once that mail is late.")
    ] = timedelta(hours=4)
    expire_after: Annotated[timedelta, Key(Duration("1s", "60d"), "Age at which mail goes back to its sender.")] = (
        timedelta(days=5)
    )
    expire_reports_after: Annotated[
        timedelta, Key(Duration("1s", "60d"), "Age at which bounces and other reports are given up.")
    ] = timedelta(days=1)
    mx_port: Annotated[int, Key(Whole(1, 65535), "Port that MX hosts are spoken to on.")] = 25
    active_messages: Annotated[
        int, Key(Whole(10, 10_000_000), "Messages each worker keeps in memory for delivery; the rest waits on disk.")
    ] = 20_000
    active_size: Annotated[
        int, Key(Size("1M", "1T"), "Octets of messages each worker keeps in memory for delivery.")
    ] = 64 << 20
    slow_above: Annotated[
        int,
        Key(
            Whole(0, 1_000_000_000),
            "Messages of one worker in memory or waiting for room there, beyond which clients are slowed down.",
        ),
    ] = 50_000
    refuse_above: Annotated[
        int, Key(Whole(0, 1_000_000_000), "As slow_above, but new mail is 421 and the connection is closed.")
    ] = 1_000_000
    min_free: Annotated[int, Key(Size("0", "10T"), "Free space of the data directory below which new mail is 452.")] = (
        256 << 20
    )
    min_free_inodes: Annotated[
        int, Key(Whole(0, 100_000_000), "Free inodes of the data directory below which new mail is 452.")
    ] = 10_000


class ProviderRules(msgspec.Struct, frozen=True, kw_only=True):
    """What providers mean by their replies."""

    file: Annotated[
        str | None,
        Key(
            FilePath(),
            "TOML file of reply patterns that slow down, suspend or bounce (docs/operations.md).",
            "no rules",
            '"/etc/posthouse/providers.toml"',
        ),
    ] = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What all clients together may use. Trusted networks are exempt from the limits per address and per network."""

    connections: Annotated[int, Key(Whole(1, 1_000_000), "Inbound connections of the whole server; more are 421.")] = (
        10_000
    )
    connections_per_address: Annotated[int, Key(Whole(1, 1_000_000), "Inbound connections from one address.")] = 50
    connections_per_network: Annotated[
        int, Key(Whole(1, 1_000_000), "Inbound connections from one /24 (IPv4) or /64 (IPv6).")
    ] = 200
    backlog: Annotated[int, Key(Whole(1, 65535), "Connections the system may queue before they are accepted.")] = 1024


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Events, to standard error."""

    level: Annotated[str, Key(Choice(("debug", "info", "warning", "error")), "The least that is logged.")] = "info"
    format: Annotated[
        str, Key(Choice(("auto", "human", "json")), "Lines for people or for programs; auto: people on a terminal.")
    ] = "auto"


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to each message, for `posthouse trace`."""

    keep: Annotated[timedelta, Key(Duration("1h", "3650d"), "Age at which records are removed.")] = timedelta(days=30)
    max_size: Annotated[
        int, Key(Size("1M", "10T"), "Size of the whole journal beyond which the oldest hours are removed.")
    ] = 2 << 30


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read /metrics."""

    token_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "File with the bearer token that opens /metrics.",
            "only loopback may read it",
            '"/etc/posthouse/metrics.token"',
        ),
    ] = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. Only hostname and data are required, and a listener to be of use."""

    hostname: Annotated[str, Key(HostName(), "This server's full name.", example='"mail.example.org"')]
    data: Annotated[str, Key(FilePath(), "Directory of everything that is kept; 0700.", example='"/var/lib/posthouse"')]
    workers: Annotated[int, Key(Whole(0, 1024), "Worker processes; 0: one per core.")] = 0
    user: Annotated[
        str | None, Key(Text(), "User that workers and commands run as.", "whoever starts it", '"posthouse"')
    ] = None
    runtime: Annotated[
        str | None,
        Key(
            FilePath(),
            "Directory of the control and submit sockets.",
            "/run/posthouse when started as root, else run/ in the data directory",
            '"/run/posthouse"',
        ),
    ] = None
    postmaster: Annotated[
        str | None,
        Key(
            MailAddress(),
            "Takes mail for <Postmaster> and the role addresses, and double bounces.",
            "they are held in the queue",
            '"admin@example.org"',
        ),
    ] = None
    drain: Annotated[
        timedelta, Key(Duration("0s", "7d"), "How long old workers may go on serving clients after a reload.")
    ] = timedelta(hours=1)
    listener: tuple[Listener, ...] = ()
    tls: Tls = Tls()
    dns: Dns = Dns()
    smtp: Smtp = Smtp()
    directory: DirectorySettings = DirectorySettings()
    login: LoginSettings = LoginSettings()
    delivery: Delivery = Delivery()
    store: Store = Store()
    route: tuple[Route, ...] = ()
    outbound: Outbound = Outbound()
    submission: Submission = Submission()
    imap: Imap = Imap()
    pop3: Pop3 = Pop3()
    web: Web = Web()
    queue: Queue = Queue()
    provider_rules: ProviderRules = ProviderRules()
    limits: Limits = Limits()
    log: Log = Log()
    journal: Journal = Journal()
    metrics: Metrics = Metrics()

    def runtime_directory(self, is_root: bool) -> str:
        """Where the sockets are; `is_root` tells whether the server was started as root."""
        return self.runtime or ("/run/posthouse" if is_root else f"{self.data}/run")
