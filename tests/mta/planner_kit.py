"""Messages, jobs and a performed plan for the tests of the planner. No time passes but what the test says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.mta.planner import Action, Job, Part, Planner, PlannerSettings, Rest, Slot, Verb
from posthouse.mta.schedule import NEVER
from posthouse.mta.sites import Sites, SiteSettings
from posthouse.mta.targets import SiteKey, SmtpSite
from posthouse.ports.spool import InlineBody, QueuedMessage, QueuedRecipient, Status

NOW = Instant(1_800_000_000.0)
SITE = SiteKey("mx:mx.example.net")
_BODY = InlineBody(b"x" * 2000)
_RECIPIENT = Recipient(parse_address("bob@example.net"))
_ROWS = [QueuedRecipient(number, _RECIPIENT, Status.WAITING, NOW) for number in range(1000)]
_numbers = count()


def at(seconds: float) -> Instant:
    return Instant(NOW + seconds)


def rows(number: int) -> list[QueuedRecipient]:
    """That many recipients; only their number matters."""
    return (_ROWS * (number // len(_ROWS) + 1))[:number]


def make_job(
    flow: str = "ann",
    recipients: int = 1,
    site: SiteKey = SITE,
    *,
    priority: int = 0,
    size: int = 2000,
    expires: Instant = NEVER,
) -> Job:
    body = _BODY if size == 2000 else InlineBody(b"x" * size)
    envelope = Envelope(None, (), mt_priority=priority)
    message = QueuedMessage(QueueId(f"{next(_numbers):09}"), envelope, [], b"", body, NOW)
    return Job(message, site, SmtpSite(site, ()), rows(recipients), flow, expires)


def make_planner(
    *,
    window: int = 5,
    proven: Iterable[SiteKey] = (SITE,),
    max_messages: int = 1_000_000,
    max_octets: int = 1 << 40,
    max_connections: int = 500,
) -> Planner:
    """`proven` sites have been spoken to before, so that they get their window at once."""
    sites = Sites(SiteSettings(window_start=window))
    for key in proven:
        sites.get(key).is_proven = True
    settings = PlannerSettings(max_messages, max_octets, max_connections)
    return Planner(sites, settings)


def opened(actions: Iterable[Action]) -> list[Slot]:
    return [action.slot for action in actions if action.verb is Verb.OPEN]


def must_take(planner: Planner, slot: Slot, now: Instant = NOW, max_recipients: int = 100) -> Part:
    part = planner.take(slot, now, max_recipients)
    assert isinstance(part, Part), part
    return part


def drain(planner: Planner, now: Instant = NOW, max_recipients: int = 100) -> list[Part]:
    """Perform plans until nothing is left to send; one transaction at a time, each successful."""
    done: list[Part] = []
    ready = [action.slot for action in planner.plan(now) if action.verb is not Verb.CLOSE]
    while ready:
        slot = ready.pop(0)
        part = planner.take(slot, now, max_recipients)
        if not isinstance(part, Rest):
            done.append(part)
            planner.finished(slot, now)
            ready.append(slot)
        ready += [action.slot for action in planner.plan(now) if action.verb is not Verb.CLOSE]
    return done
