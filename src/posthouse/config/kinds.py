"""Kinds of values in the configuration file: how each is read from TOML, written back, and described.

A kind is a small immutable object beside the type of a setting (see settings.py). It raises `BadValueError` with words
for the administrator; the reader adds file, line and key. Nothing here touches the disk or the network.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import msgspec

from posthouse.message.address import AddressError, parse_address, parse_domain
from posthouse.message.nexthop import (
    DiscardHop,
    HostHop,
    LmtpSocketHop,
    MaildirHop,
    MxHop,
    NextHop,
    NextHopError,
    RejectHop,
    parse_next_hop,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SIZE = re.compile(r"(\d+)\s*([KMGT]?)B?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_PORT = re.compile(r"\d{1,5}")


class BadValueError(ValueError):
    """The value is not allowed; the message says what is."""


class Kind(Protocol):
    """What settings.py puts beside each type."""

    @property
    def allowed(self) -> str:
        """What may stand there, in a few words."""

    def read(self, value: object) -> object:
        """The typed value of what TOML gave. Raises BadValueError."""

    def write(self, value: object) -> str:
        """The TOML literal that `read` turns into `value` again."""


@dataclass(frozen=True, slots=True)
class Key:
    """What the tree says about one key. `absent` tells what happens without it, where the default is None.

    `example` is a TOML literal for the generated file and the manual.
    """

    kind: Kind
    sentence: str
    absent: str = ""
    example: str = ""


class Bind(msgspec.Struct, frozen=True):
    """Where a listener listens: `host` and `port`, or a unix socket's `path`."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def quote_toml(text: str) -> str:
    """A TOML basic string. JSON's escapes are a subset of TOML's."""
    return msgspec.json.encode(text).decode()


def _expect_text(value: object) -> str:
    if not isinstance(value, str):
        raise BadValueError("must be a string in quotes")
    return value


def parse_size(text: str) -> int:
    """Octets of "50M" (units of 1024). Raises BadValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BadValueError(f'{text!r} is not a size such as "512K", "50M" or "2G"')
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def format_size(octets: int) -> str:
    for unit in ("T", "G", "M", "K"):
        if octets and octets % _SIZE_UNITS[unit] == 0:
            return f"{octets // _SIZE_UNITS[unit]}{unit}"
    return str(octets)


def parse_duration(text: str) -> timedelta:
    """The time of "1h20m" or "5d". Raises BadValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadValueError(f'{text!r} is not a time such as "30s", "5m", "1h20m" or "5d"')
    days, hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds)
    except OverflowError:
        raise BadValueError(f"{text!r} is too long a time") from None


def format_duration(value: timedelta) -> str:
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class Text:
    """Any string that is not empty and has no control characters."""

    allowed: str = "text"

    def read(self, value: object) -> str:
        text = _expect_text(value)
        if not text or not text.isprintable():
            raise BadValueError("must not be empty or contain control characters")
        return text

    def write(self, value: object) -> str:
        return quote_toml(str(value))


@dataclass(frozen=True, slots=True)
class FilePath(Text):
    """A path; relative ones are resolved by the reader against the directory of the configuration file."""

    allowed: str = "a path"


@dataclass(frozen=True, slots=True)
class HostName(Text):
    """A fully qualified host name, kept in A-labels: it is sent in greetings (RFC 5321 §2.3.5)."""

    allowed: str = "a full host name such as mail.example.org"

    def read(self, value: object) -> str:
        text = _expect_text(value)
        try:
            domain = parse_domain(text)
        except AddressError as error:
            raise BadValueError(f"{text!r}: {error}") from None
        if domain.startswith("["):
            raise BadValueError(f"{text!r} is an address, not a host name")
        return domain


@dataclass(frozen=True, slots=True)
class MailAddress(Text):
    allowed: str = "an address such as admin@example.org"

    def read(self, value: object) -> str:
        text = _expect_text(value)
        try:
            return str(parse_address(text))
        except AddressError as error:
            raise BadValueError(f"{text!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class RouteDomain(Text):
    """`example.net`, `.example.net` (everything below it) or `*`."""

    allowed: str = 'a domain, ".domain" for everything below it, or "*"'

    def read(self, value: object) -> str:
        text = _expect_text(value)
        if text == "*":
            return text
        dot = "." if text.startswith(".") else ""
        try:
            return dot + parse_domain(text.removeprefix("."))
        except AddressError as error:
            raise BadValueError(f"{text!r}: {error}; allowed: {self.allowed}") from None


@dataclass(frozen=True, slots=True)
class Choice:
    values: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return " | ".join(self.values)

    def read(self, value: object) -> str:
        if value not in self.values:
            raise BadValueError(f"{value!r} is not one of: {self.allowed}")
        return str(value)

    def write(self, value: object) -> str:
        return quote_toml(str(value))


@dataclass(frozen=True, slots=True)
class Flag:
    allowed: str = "true | false"

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise BadValueError("must be true or false (without quotes)")
        return value

    def write(self, value: object) -> str:
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    minimum: int
    maximum: int

    @property
    def allowed(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def read(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadValueError("must be a whole number (without quotes)")
        if not self.minimum <= value <= self.maximum:
            raise BadValueError(f"{value} is out of bounds; allowed: {self.allowed}")
        return value

    def write(self, value: object) -> str:
        return str(value)


@dataclass(frozen=True, slots=True)
class Size:
    """Octets, written as "50M" or as a number."""

    minimum: str
    maximum: str

    @property
    def allowed(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def read(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise BadValueError('must be a size such as "50M"')
        octets = parse_size(str(value))
        if not parse_size(self.minimum) <= octets <= parse_size(self.maximum):
            raise BadValueError(f"{value} is out of bounds; allowed: {self.allowed}")
        return octets

    def write(self, value: object) -> str:
        assert isinstance(value, int)
        return quote_toml(format_size(value))


@dataclass(frozen=True, slots=True)
class Duration:
    minimum: str
    maximum: str

    @property
    def allowed(self) -> str:
        return f"{self.minimum} to {self.maximum}"

    def read(self, value: object) -> timedelta:
        if not isinstance(value, str):
            raise BadValueError('must be a time in quotes such as "5m" or "1h20m"')
        duration = parse_duration(value)
        if not parse_duration(self.minimum) <= duration <= parse_duration(self.maximum):
            raise BadValueError(f"{value} is out of bounds; allowed: {self.allowed}")
        return duration

    def write(self, value: object) -> str:
        assert isinstance(value, timedelta)
        return quote_toml(format_duration(value))


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """A network or a single address. IPv4-mapped ones are refused: addresses are normalised before comparing."""

    allowed: str = "networks such as 10.0.0.0/8 or 2001:db8::/32"

    def read(self, value: object) -> Network:
        text = _expect_text(value)
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise BadValueError(f"{error}; allowed: {self.allowed}") from None
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
            raise BadValueError(f"{text!r}: write IPv4 networks as IPv4, clients' addresses are compared as such")
        return network

    def write(self, value: object) -> str:
        return quote_toml(str(value))


@dataclass(frozen=True, slots=True)
class IpAddressKind:
    allowed: str = "an IPv4 or IPv6 address"

    def read(self, value: object) -> str:
        text = _expect_text(value)
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            raise BadValueError(f"{text!r} is not {self.allowed}") from None

    def write(self, value: object) -> str:
        return quote_toml(str(value))


@dataclass(frozen=True, slots=True)
class BindKind:
    """ADDRESS:PORT, [v6]:PORT or unix:/PATH. `default_port` makes the port optional."""

    default_port: int = -1
    allowed: str = '"192.0.2.1:25", "[::]:25" or "unix:/path"'

    def read(self, value: object) -> Bind:
        text = _expect_text(value)
        if text.startswith("unix:"):
            return self._read_unix(text.removeprefix("unix:"))
        if self.default_port >= 0 and _is_ip(text):
            return Bind(text, self.default_port)
        host, colon, port = text.rpartition(":")
        inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if (
            not colon
            or not _PORT.fullmatch(port)
            or int(port) > 65535
            or not _is_ip(inner)
            or (":" in inner) != (inner != host)
        ):
            raise BadValueError(f"{text!r} is not an address with a port; allowed: {self.allowed}")
        return Bind(str(ipaddress.ip_address(inner)), int(port))

    def _read_unix(self, path: str) -> Bind:
        if self.default_port >= 0 or not path.startswith("/"):
            raise BadValueError(f"{path!r}: a unix socket needs an absolute path; allowed: {self.allowed}")
        return Bind(path=path)

    def write(self, value: object) -> str:
        return quote_toml(str(value))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class HopKind:
    allowed: str = (
        "mx, smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT, lmtp+unix:/PATH, "
        "maildir:/PATH/{domain}/{local}, reject:550 5.7.1 TEXT or discard"
    )

    def read(self, value: object) -> NextHop:
        try:
            return parse_next_hop(_expect_text(value))
        except NextHopError as error:
            raise BadValueError(str(error)) from None

    def write(self, value: object) -> str:
        return quote_toml(show_next_hop(value))


def show_next_hop(hop: object) -> str:
    """The words of the configuration for a next hop."""
    match hop:
        case MxHop():
            return "mx"
        case DiscardHop():
            return "discard"
        case RejectHop(reply):
            return f"reject:{reply}"
        case HostHop() | LmtpSocketHop() | MaildirHop():
            return str(hop)
        case _:
            raise TypeError(f"not a next hop: {hop!r}")


@dataclass(frozen=True, slots=True)
class ListOf:
    """A TOML array of one kind; with `or_single` a lone value may stand without brackets."""

    item: Kind
    or_single: bool = False
    minimum: int = 0

    @property
    def allowed(self) -> str:
        return f"{'one of or a list of' if self.or_single else 'a list of'}: {self.item.allowed}"

    def read(self, value: object) -> tuple[object, ...]:
        if self.or_single and not isinstance(value, list):
            return (self.item.read(value),)
        if not isinstance(value, list):
            raise BadValueError("must be a list in square brackets")
        if len(value) < self.minimum:
            raise BadValueError(f"needs at least {self.minimum} entry")
        return tuple(self.item.read(entry) for entry in value)

    def write(self, value: object) -> str:
        assert isinstance(value, Sequence)
        return "[" + ", ".join(self.item.write(entry) for entry in value) + "]"
