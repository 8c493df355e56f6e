"""Who we deliver for, as the routes of the configuration say it: the only directory until accounts exist.

A route with `accept = "anyone"` for an exact domain makes us its final host when it ends in a Maildir or lists its
recipients. Local parts are compared without regard to case and composed alike (NFC); domains by their A-labels.
`postmaster` and `abuse` always exist (RFC 5321 §4.5.1, RFC 2142 §4). Files are read once, when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from posthouse.config.reader import ConfigError, Problem
from posthouse.config.settings import Route, Settings
from posthouse.message.address import Address, AddressError, fold_local, to_ascii_domain
from posthouse.ports.directory import Directory, LocalMailbox, Standing

ALWAYS_KNOWN = frozenset({"postmaster", "abuse"})


class RouteDirectory:
    """A `ports.directory.Directory`. `people` maps A-label domains to local parts; None: every local part exists."""

    def __init__(self, people: Mapping[str, frozenset[str] | None]) -> None:
        self._people = dict(people)

    @property
    def domains(self) -> frozenset[str]:
        return frozenset(self._people)

    def look_up(self, address: Address) -> Standing:
        domain: str = address.domain
        if not domain.isascii():
            try:
                domain = to_ascii_domain(domain)
            except AddressError:
                return Standing.ELSEWHERE
        if domain not in self._people:
            return Standing.ELSEWHERE
        known = self._people[domain]
        return Standing.KNOWN if known is None or fold_local(address.local) in known else Standing.UNKNOWN

    def expand(self, address: Address) -> Sequence[Address]:
        return (address,)

    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        return None  # its route delivers


class CombinedDirectory:
    """A `ports.directory.Directory` of two: what `first` does not host is asked of `second`."""

    def __init__(self, first: Directory, second: Directory) -> None:
        self._first, self._second = first, second

    def look_up(self, address: Address) -> Standing:
        found = self._first.look_up(address)
        return found if found is not Standing.ELSEWHERE else self._second.look_up(address)

    def expand(self, address: Address) -> Sequence[Address]:
        """Targets that `second` hosts are left to it as they are."""
        if self._first.look_up(address) is Standing.ELSEWHERE:
            return self._second.expand(address)
        return self._first.expand(address)

    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        return self._first.mailbox_of(address) or self._second.mailbox_of(address)


def read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def build_directory(settings: Settings, read: Callable[[str], bytes] = read_file) -> RouteDirectory:
    """`read` gives a file's octets. Raises ConfigError when a recipients_file cannot be read."""
    return RouteDirectory(
        {to_ascii_domain(route.domain): _find_people(route, read) for route in settings.route if route.is_hosted}
    )


def _find_people(route: Route, read: Callable[[str], bytes]) -> frozenset[str] | None:
    if route.recipients is None and route.recipients_file is None:
        return None
    listed = set(route.recipients or ())
    if route.recipients_file is not None:
        listed.update(_read_people(route.recipients_file, read))
    return ALWAYS_KNOWN.union(fold_local(local) for local in listed)


def _read_people(path: str, read: Callable[[str], bytes]) -> list[str]:
    try:
        lines = [line.partition("#")[0].strip() for line in read(path).decode("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(path, 0, "recipients_file", f"cannot be read: {error}")]) from None
    return [line for line in lines if line]
