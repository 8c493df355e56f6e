"""Submission put together: from settings and ports to the door that every way to send goes through.

    submission = Submission(settings, people, world)      # one per worker
    runner.connect_store(submission.handover)             # before any shard is opened
    pool.may_remove = submission.may_remove               # likewise
    QueueOperations(..., submitted=submission.handover)
    submission.submitter                                  # IMAP, JMAP, sendmail: submit(...)
    submission.make_role(converse)                        # SmtpService.make_role of a "submission" listener
    submission.adapt(core_settings)                       # EHLO keywords of such a listener

The worker calls `handover.replay` every second and `handover.settle_down` before its shards are closed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from posthouse.config.settings import Settings
from posthouse.message.address import parse_address
from posthouse.message.ids import ShardNumber
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.peer import Peer
from posthouse.msa.conduct import Conducts
from posthouse.msa.handover import HandOver, HandOverParts, Onward
from posthouse.msa.limits import SendLimits
from posthouse.msa.session import SubmissionDesk, SubmissionSession, SubmissionSettings
from posthouse.msa.submit import FindRejection, SubmitFigures, SubmitParts, SubmitSettings, Submitter, reject_nobody
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.observe import Journal, Log, Metrics
from posthouse.ports.spool import Spool
from posthouse.ports.store import Store, StoreError
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.trust.login import SaslConversation

_PARSED_BESIDE = 128 * 1024  # octets: larger ones are parsed beside the loop


@dataclass(frozen=True, slots=True)
class People:
    accounts: Accounts
    directory: Directory


@dataclass(frozen=True, slots=True)
class World:
    """`spool` and `spools` as of app/shards.py; `workers` share the limits."""

    store: Store
    spool: Callable[[], Spool]
    spools: Callable[[], Sequence[Spool]]
    onward: Onward
    compute: Compute
    clock: Clock
    log: Log
    journal: Journal
    metrics: Metrics
    workers: int = 1
    inline_limit: int = 128 * 1024
    find_rejection: FindRejection = reject_nobody


class Submission:
    def __init__(self, settings: Settings, people: People, world: World) -> None:
        self._settings, self._people, self._world = settings, people, world
        submissions = world.store.submissions
        conducts = Conducts(submissions, world.clock, send_limits(settings), world.workers)
        self.handover = HandOver(
            HandOverParts(
                submissions,
                world.store.mailboxes,
                world.store.messages,
                people.accounts,
                people.directory,
                world.spool,
                world.spools,
                world.onward,
                conducts,
                world.clock,
                world.log,
                world.journal,
            )
        )
        self.submitter = Submitter(
            SubmitParts(
                SubmitSettings(settings.hostname, world.inline_limit, settings.submission.remember.total_seconds()),
                people.accounts,
                people.directory,
                submissions,
                world.store.messages,
                conducts,
                self.handover,
                self._parse,
                partial(secrets.token_urlsafe, 18),
                world.clock,
                world.log,
                submit_figures(world.metrics),
                world.find_rejection,
            )
        )

    async def _parse(self, octets: bytes) -> ParsedMessage:
        if len(octets) <= _PARSED_BESIDE:
            return parse_message(octets)
        return await self._world.compute.run(partial(parse_message, octets))

    def make_role(self, converse: Callable[[Peer], SaslConversation]) -> Callable[[Peer], SubmissionSession]:
        submission = self._settings.submission
        desk = SubmissionDesk(
            SubmissionSettings(
                self._settings.hostname,
                submission.hide_address,
                submission.undo.total_seconds(),
                submission.max_future_release.total_seconds(),
                parse_address(self._settings.postmaster) if self._settings.postmaster else None,
            ),
            self.submitter,
            self._people.accounts,
            self._people.directory,
            converse,
            self._world.clock,
            self._world.log,
            self._world.find_rejection,
        )
        return partial(SubmissionSession, desk)

    def adapt(self, core: ServerSettings) -> ServerSettings:
        """What people who log in may ask for beyond what relays may. RFC 4865 §4 wants a date: it counts from now."""
        longest = self._settings.submission.max_future_release
        latest = datetime.fromtimestamp(self._world.clock.now(), UTC) + longest
        future = f"{longest // timedelta(seconds=1)} {latest:%Y-%m-%dT%H:%M:%SZ}" if longest else ""
        return replace(core, mt_priority=True, deliver_by=True, etrn=False, future_release=future)

    async def may_remove(self, shard: ShardNumber) -> bool:
        """`ShardPool.may_remove`: not while the store names the shard for mail that is still to come."""
        try:
            return not await self._world.store.submissions.due([shard], float("inf"), 1)
        except StoreError:
            return False


def send_limits(settings: Settings) -> SendLimits:
    submission = settings.submission
    return SendLimits(
        submission.messages_per_hour,
        submission.recipients_per_hour,
        submission.recipients_per_day,
        submission.recipients_per_message,
        submission.hold_suspicious,
        submission.new_recipients,
        submission.failures,
    )


def submit_figures(metrics: Metrics) -> SubmitFigures:
    name, words = "posthouse_submissions_total", "Submissions of people who logged in, by what was answered."
    return SubmitFigures(
        submitted=metrics.counter(name, words, answer="submitted"),
        refused=metrics.counter(name, words, answer="refused"),
        repeated=metrics.counter(name, words, answer="repeated"),
        held=metrics.counter(name, words, answer="held"),
    )
