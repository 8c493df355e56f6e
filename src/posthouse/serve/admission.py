"""Who may connect: limits in all, per address and per network (/24 and /64), and memory of who only makes errors.

Pure: the time is an argument, nothing waits. Counts are this worker's own plus what the coordinator last told
of the others (`set_remote`), so the server as a whole may be over a limit by what the other workers admitted
since: at most what arrives within two exchanges (200 ms). Nothing is kept over a crash.

Refusals are 421 (RFC 5321 §3.8); IPv4-mapped addresses count as IPv4. Exempt networks are held to the total only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from posthouse.message.peer import Network, is_in_networks
from posthouse.message.reply import Reply


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """0 turns a limit off. `own` is what this worker can hold, not shared: it has so many descriptors.

    Error scores halve every `error_half_life_s`; delays start beyond `free_errors`.
    """

    total: int = 10_000
    own: int = 0
    per_address: int = 100
    per_network: int = 500
    free_errors: float = 5.0
    delay_per_error_s: float = 0.5
    max_delay_s: float = 10.0
    error_half_life_s: float = 300.0
    max_scores: int = 50_000


_TOO_MANY = Reply(421, "4.3.2", "Too many connections here now, try again later")
_TOO_MANY_ADDRESS = Reply(421, "4.7.0", "Too many connections from your address, try again later")
_TOO_MANY_NETWORK = Reply(421, "4.7.0", "Too many connections from your network, try again later")


@lru_cache(maxsize=16_384)
def _network6(address: str) -> str:
    """The /64, as the sixteen hex digits of its first half: only compared, never shown."""
    try:
        return ipaddress.IPv6Address(address.partition("%")[0]).packed[:8].hex()
    except ValueError:
        return address


def _network_of(address: str) -> str:
    return address.rpartition(".")[0] if "." in address else _network6(address)


def _plain(address: str) -> str:
    """::ffff:192.0.2.1 is the IPv4 address 192.0.2.1 (RFC 4291 §2.5.5.2)."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address


class Admission:
    """Counts of open connections by address. `admit` and `release` come in pairs; unix sockets ("") have no address."""

    __slots__ = (
        "_addresses",
        "_changed",
        "_exempt",
        "_fresh_errors",
        "_networks",
        "_remote",
        "_remote_networks",
        "_remote_total",
        "_scores",
        "_shared_limits",
        "_total",
        "limits",
    )

    def __init__(self, limits: AdmissionLimits | None = None, exempt: Sequence[Network] = ()) -> None:
        self._exempt = exempt
        self._shared_limits = self.limits = limits or AdmissionLimits()
        self._total = 0
        self._addresses: dict[str, int] = {}
        self._networks: dict[str, int] = {}
        self._remote: dict[str, int] = {}
        self._remote_networks: dict[str, int] = {}
        self._remote_total = 0
        self._changed: set[str] = set()
        self._scores: dict[str, tuple[float, float]] = {}
        self._fresh_errors: dict[str, float] = {}

    @property
    def own(self) -> int:
        """Connections of this worker."""
        return self._total

    @property
    def total(self) -> int:
        """Connections of the whole server, as far as known."""
        return self._total + self._remote_total

    def count(self, address: str) -> int:
        address = _plain(address)
        return self._addresses.get(address, 0) + self._remote.get(address, 0)

    def admit(self, address: str, now: float) -> Reply | None:
        """None: counted, `release` it later. Else the refusal, and nothing is counted."""
        limits = self.limits
        if limits.total and self._total + self._remote_total >= limits.total:
            return _TOO_MANY
        if limits.own and self._total >= limits.own:
            return _TOO_MANY
        if address.startswith("::ffff:"):
            address = _plain(address)
        addresses, networks = self._addresses, self._networks
        here = addresses.get(address, 0)
        network = _network_of(address)
        near = networks.get(network, 0)
        refusal = None
        if limits.per_address and here + self._remote.get(address, 0) >= limits.per_address:
            refusal = _TOO_MANY_ADDRESS
        elif limits.per_network and near + self._remote_networks.get(network, 0) >= limits.per_network:
            refusal = _TOO_MANY_NETWORK
        # Looked at only here: parsing an address costs more than all the rest.
        if refusal is not None and address and not self._is_exempt(address):
            return refusal
        addresses[address] = here + 1
        networks[network] = near + 1
        self._total += 1
        self._changed.add(address)
        return None

    def _is_exempt(self, address: str) -> bool:
        try:
            return is_in_networks(address.partition("%")[0], self._exempt)
        except ValueError:
            return False

    def release(self, address: str) -> None:
        address = _plain(address)
        addresses = self._addresses
        here = addresses.get(address, 0)
        if not here:
            return
        self._total -= 1
        self._changed.add(address)
        if here > 1:
            addresses[address] = here - 1
        else:
            del addresses[address]
        network = _network_of(address)
        near = self._networks[network]
        if near > 1:
            self._networks[network] = near - 1
        else:
            del self._networks[network]

    # -- clients that only make errors

    def note_error(self, address: str, now: float, weight: float = 1.0) -> None:
        """An unknown recipient, a failed login, a refused command: each slows what comes from there."""
        address = _plain(address)
        self._add_score(address, now, weight)
        if len(self._fresh_errors) < self.limits.max_scores:
            self._fresh_errors[address] = self._fresh_errors.get(address, 0.0) + weight

    def delay(self, address: str, now: float) -> float:
        """Seconds to hold the next error reply back; 0.0 for who makes few errors."""
        score = self._score(_plain(address), now) - self.limits.free_errors
        return min(self.limits.max_delay_s, score * self.limits.delay_per_error_s) if score > 0 else 0.0

    def _score(self, address: str, now: float) -> float:
        kept = self._scores.get(address)
        if kept is None:
            return 0.0
        score, at = kept
        return float(score * 0.5 ** ((now - at) / self.limits.error_half_life_s))

    def _add_score(self, address: str, now: float, weight: float) -> None:
        score = self._score(address, now) + weight
        # Put last, so that the first entries are those that were longest without an error.
        self._scores.pop(address, None)
        self._scores[address] = (score, now)
        if len(self._scores) > self.limits.max_scores:
            del self._scores[next(iter(self._scores))]

    # -- what the other workers hold

    def take_changes(self) -> dict[str, int]:
        """Own counts by address that changed since the last call; 0 when the last one left."""
        changes = {address: self._addresses.get(address, 0) for address in self._changed}
        self._changed.clear()
        return changes

    def resend_all(self) -> None:
        """For a new coordinator: the next `take_changes` tells everything. What it knows of the others came already."""
        self.limits = self._shared_limits
        self._changed.update(self._addresses)

    def stand_alone(self, worker_count: int) -> None:
        """Without a coordinator: nothing is known of the others, each worker goes on with its 1/N."""
        shared = self._shared_limits
        self.limits = replace(
            shared,
            total=-(-shared.total // worker_count),
            per_address=-(-shared.per_address // worker_count),
            per_network=-(-shared.per_network // worker_count),
        )
        self._forget_remote()

    def _forget_remote(self) -> None:
        self._remote.clear()
        self._remote_networks.clear()
        self._remote_total = 0

    def set_remote(self, counts: Mapping[str, int]) -> None:
        """The other workers' connections, for the addresses given."""
        remote, networks = self._remote, self._remote_networks
        for address, count in counts.items():
            more = count - remote.get(address, 0)
            _set_or_drop(remote, address, count)
            network = _network_of(address)
            _set_or_drop(networks, network, networks.get(network, 0) + more)
            self._remote_total += more

    def take_errors(self) -> dict[str, float]:
        """Error weights by address noted here since the last call."""
        errors, self._fresh_errors = self._fresh_errors, {}
        return errors

    def add_remote_errors(self, errors: Mapping[str, float], now: float) -> None:
        for address, weight in errors.items():
            self._add_score(address, now, weight)


def _set_or_drop(counts: dict[str, int], key: str, value: int) -> None:
    if value:
        counts[key] = value
    else:
        counts.pop(key, None)


class ConnectionCounts:
    """The coordinator's side: which worker holds how many connections from where."""

    __slots__ = ("_changed", "_totals", "_workers")

    def __init__(self) -> None:
        self._workers: dict[int, dict[str, int]] = {}
        self._totals: dict[str, int] = {}
        self._changed: set[str] = set()

    @property
    def total(self) -> int:
        return sum(self._totals.values())

    def report(self, worker: int, counts: Iterable[tuple[str, int]]) -> None:
        mine = self._workers.setdefault(worker, {})
        for address, count in counts:
            more = count - mine.get(address, 0)
            if more:
                _set_or_drop(mine, address, count)
                _set_or_drop(self._totals, address, self._totals.get(address, 0) + more)
                self._changed.add(address)

    def forget(self, worker: int) -> None:
        """The worker is gone, and its connections with it."""
        self.report(worker, [(address, 0) for address in self._workers.get(worker, ())])
        self._workers.pop(worker, None)

    def take_news(self) -> Callable[[int], dict[str, int]]:
        """What changed since the last call, as a function: worker -> the others' counts at those addresses."""
        changed, self._changed = self._changed, set()
        totals, workers = self._totals, self._workers

        def news(worker: int) -> dict[str, int]:
            mine = workers.get(worker, {})
            return {address: totals.get(address, 0) - mine.get(address, 0) for address in changed}

        return news

    def everything_for(self, worker: int) -> dict[str, int]:
        """For a worker that has just come."""
        mine = self._workers.get(worker, {})
        return {address: count - mine.get(address, 0) for address, count in self._totals.items()}
