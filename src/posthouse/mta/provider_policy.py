"""Doing what a provider rule says about a reply: slow a site down, leave it alone, or see the reply as another one.

Pure but for the planner's table of sites, which it changes. Nothing is durable: a restarted server learns again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from posthouse.message.address import Address
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Refused
from posthouse.mta.outbound import DeliveryResult, NotTried
from posthouse.mta.planner import Job, Planner
from posthouse.mta.rules import Bounce, Defer, NewConnection, RetryAfter, Rules, SlowDown, Suspend
from posthouse.mta.targets import SiteKey
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log


@dataclass(frozen=True, slots=True)
class Ruling:
    """`result` as it is to be settled; `dropped` jobs left memory because the site wants to be left alone."""

    result: DeliveryResult
    dropped: Sequence[Job] = ()
    wants_new_connection: bool = False


class ProviderPolicy:
    def __init__(self, rules: Rules, planner: Planner, clock: Clock, log: Log) -> None:
        self._rules = rules
        self._planner = planner
        self._clock = clock
        self._log = log

    def apply(self, site: SiteKey, address: Address, result: DeliveryResult) -> Ruling:
        if isinstance(result, Delivered | NotTried):
            return Ruling(result)
        host = result.remote.partition("[")[0]
        action = self._rules.find_action(result.reply, address.ascii_domain, host)
        if action is None:
            return Ruling(result)
        self._log.info("provider rule", site=site, rule=type(action).__name__, reply=str(result.reply))
        now = self._clock.now()
        match action:
            case SlowDown(per_minute, for_s):
                self._planner.slow_down(site, now, per_minute, for_s)
                return Ruling(_spare_site(result))
            case Suspend(for_s):
                until = Instant(now + for_s)
                return Ruling(_spare_site(result), self._planner.suspend(site, until, str(result.reply)))
            case Bounce():
                return Ruling(Refused(result.reply, result.remote))
            case Defer():
                return Ruling(Deferred(result.reply, result.remote))
            case RetryAfter(after_s):
                return Ruling(Deferred(result.reply, result.remote, retry_after_s=after_s))
            case NewConnection():
                return Ruling(_spare_site(result), wants_new_connection=True)
        assert_never(action)


def _spare_site(result: Deferred | Refused) -> Deferred | Refused:
    """The host works, it only wants something else: that is no failure of the site."""
    return replace(result, site_failed=False) if isinstance(result, Deferred) else result
