"""What each account did of late, kept per worker and read from the store when it is first asked for.

The store is looked at again when an account comes near a limit or looks stolen, so that what other workers took
counts too: nobody is refused or held by a guess. In between a worker knows what it took itself; with N workers an
account may go beyond a limit by what the others took in `REFRESH_S`. Nothing durable here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from posthouse.message.mailbox import AccountId
from posthouse.msa.limits import DAY_S, Conduct, SendLimits, read_conduct
from posthouse.ports.clock import Clock
from posthouse.ports.store import Submission, Submissions

REFRESH_S = 10.0
_PAGE = 500
_MOST_READ = 5000  # submissions
_MOST_ACCOUNTS = 10_000


class Conducts:
    """`workers` share the limits: from its own share on a worker looks at the store before it answers."""

    def __init__(self, submissions: Submissions, clock: Clock, limits: SendLimits, workers: int = 1) -> None:
        self.limits = limits
        self._submissions = submissions
        self._clock = clock
        self._workers = max(1, workers)
        self._known: OrderedDict[AccountId, Conduct] = OrderedDict()

    async def of(self, account: AccountId) -> Conduct:
        """Raises StoreError."""
        now, conduct = self._clock.now(), self._known.get(account)
        if conduct is not None and not (self._is_close(conduct, now) and now - conduct.loaded >= REFRESH_S):
            self._known.move_to_end(account)
            return conduct
        conduct = self._known[account] = read_conduct(await self._read(account, now), now)
        self._known.move_to_end(account)
        if len(self._known) > _MOST_ACCOUNTS:
            self._known.popitem(last=False)
        return conduct

    async def _read(self, account: AccountId, now: float) -> list[Submission]:
        """The last day, and at least the newest page: whom and from where it wrote before."""
        found: list[Submission] = []
        while len(found) < _MOST_READ:
            page = await self._submissions.list_newest(account, _PAGE, found[-1].id if found else None)
            found += page
            if len(page) < _PAGE or page[-1].created < now - DAY_S:
                break
        return found

    def _is_close(self, conduct: Conduct, now: float) -> bool:
        """Near a limit, or held: what the store says may have changed."""
        limits, workers = self.limits, self._workers
        if conduct.is_held:
            return True
        pairs = (
            (conduct.messages, limits.messages_per_hour),
            (conduct.hourly, limits.recipients_per_hour),
            (conduct.daily, limits.recipients_per_day),
            (conduct.strangers, limits.strangers if limits.holds else 0),
            (conduct.failures, limits.failures if limits.holds else 0),
        )
        return any(limit and window.sum(now) * workers >= limit for window, limit in pairs)

    def note_sent(self, account: AccountId, recipients: Sequence[str], network: str, *, is_held: bool) -> None:
        conduct = self._known.get(account)
        if conduct is None:
            return
        if is_held:
            conduct.is_held = True
        else:
            conduct.note_sent(self._clock.now(), recipients, network)

    def note_failed(self, account: AccountId, count: int) -> None:
        conduct = self._known.get(account)
        if conduct is not None:
            conduct.note_failed(self._clock.now(), count)

    def forget(self, account: AccountId) -> None:
        """Look at the store the next time: held mail was released."""
        self._known.pop(account, None)
