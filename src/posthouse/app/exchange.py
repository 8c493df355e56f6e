"""What workers and coordinator tell each other every 100 ms: sites, open connections, clients that make errors.

Both sides keep their own picture and send only what changed. A message that is lost with its connection does not
matter: after each connect a worker tells everything again. Overshoot: what happens within two exchanges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from posthouse.app.shared_sites import SiteNews, SiteReport, WorkerShares
from posthouse.app.worker_context import Arguments, Link
from posthouse.ports.clock import Clock
from posthouse.serve.admission import Admission

EXCHANGE_S = 0.1


class Report(msgspec.Struct, omit_defaults=True):
    """Worker to coordinator."""

    sites: list[SiteReport] = []
    connections: dict[str, int] = {}
    errors: dict[str, float] = {}


class News(msgspec.Struct, omit_defaults=True):
    """Coordinator to worker."""

    sites: list[SiteNews] = []
    connections: dict[str, int] = {}
    errors: dict[str, float] = {}


def to_arguments(message: Report | News) -> dict[str, object]:
    """Only what is there: empty when there is nothing to tell."""
    return {name: value for name, value in msgspec.structs.asdict(message).items() if value}


class WorkerExchange:
    """The worker's side."""

    def __init__(
        self,
        link: Link,
        shares: WorkerShares,
        admission: Admission,
        clock: Clock,
        worker_count: int,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        """`publish` is called with each exchange, coordinator or not (acceptor.Board)."""
        self._link = link
        self._shares = shares
        self._admission = admission
        self._clock = clock
        self._worker_count = worker_count
        self._publish = publish
        link.on_notice("news", self._take_news)
        link.on_connect(self._fill)
        link.on_disconnect(self._stand_alone)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._publish()
            self.tell()
            await asyncio.sleep(EXCHANGE_S)

    def tell(self) -> None:
        if not self._link.is_connected:
            return  # it gathers per address and site, and is told in whole after the next connect
        report = Report(self._shares.take_reports(), self._admission.take_changes(), self._admission.take_errors())
        if arguments := to_arguments(report):
            self._link.notify("report", arguments)

    def _fill(self) -> None:
        self._shares.resend_all()
        self._admission.resend_all()
        self.tell()

    def _stand_alone(self) -> None:
        self._shares.stand_alone()
        self._admission.stand_alone(self._worker_count)

    def _take_news(self, args: Arguments) -> None:
        news = msgspec.convert(args, News)
        self._shares.apply(news.sites)
        self._admission.set_remote(news.connections)
        self._admission.add_remote_errors(news.errors, self._clock.monotonic())
