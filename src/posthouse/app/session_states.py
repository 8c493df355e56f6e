"""What the sessions of a worker are doing, for /metrics: counted once a second by service and state."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from posthouse.ports.observe import Gauge, Metrics
from posthouse.serve.connection import Connection, Service

STATES = ("connected", "logged in", "selected", "idle")


class SessionStates:
    """`connected`: nobody has logged in yet."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._gauges: dict[tuple[str, str], Gauge] = {}

    def count(self, services: Iterable[tuple[str, Service]]) -> None:
        found: Tally[tuple[str, str]] = Tally()
        for name, service in services:
            for state in STATES:
                found[name, state] += 0
            found.update((name, state_of(connection)) for connection in service.sessions)
        for (name, state), number in found.items():
            self._gauge(name, state).set(number)

    def _gauge(self, service: str, state: str) -> Gauge:
        known = self._gauges.get((service, state))
        if known is None:
            words = "Open sessions by what they are doing."
            known = self._metrics.gauge("posthouse_sessions_by_state", words, service=service, state=state)
            self._gauges[service, state] = known
        return known


def state_of(connection: Connection) -> str:
    if connection.login is None:
        return "connected"
    doing = connection.doing
    if not doing:
        return "logged in"
    return "idle" if doing.startswith("idle") else "selected"
