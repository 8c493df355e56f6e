"""`kill -9` at random moments while mail comes into mailboxes and is submitted: nothing answered 250 is lost.

A delivery may be doubled when the kill comes between the mailbox and the queue; a copy in Sent may not.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from posthouse.message.mailbox import Role
from tests.crash.mailboxes_under_load import Correspondents, PostOffice, Submitters, expected_copies, open_office
from tests.crash.server_under_load import wait_until
from tests.crash.test_server_kills import kill_one


def check_inboxes(found: Counter[str], clients: Correspondents) -> int:
    """Returns how many copies there are too many."""
    missing = {token: found[token] for token in clients.acknowledged if found[token] < expected_copies(token)}
    assert missing == {}
    assert set(found) <= clients.unsure
    return sum(count - expected_copies(token) for token, count in found.items())


def check_submissions(office: PostOffice, sent: Counter[str], clients: Submitters) -> int:
    """Returns how many were sent more than once."""
    assert {token: sent[token] for token in clients.acknowledged if sent[token] != 1} == {}
    assert [token for token, count in sent.items() if count > 1] == []
    assert set(sent) <= clients.unsure
    recorded = office.recorded()
    assert set(sent) - set(recorded) == set()
    assert set(recorded) - set(sent) == set()
    return sum(count - 1 for count in recorded.values())


def settle(office: PostOffice, seconds: float) -> None:
    """Until everything has ended. What was in hand at two crashes is held, and released here."""
    end = time.monotonic() + seconds
    while not office.are_settled():
        assert time.monotonic() < end, f"submissions: {office.states()}, in the spool: {office.spooled()}"
        office.command("queue", "release", "--all")
        time.sleep(0.5)


def kill_under_load(base: Path, kills: int, messages: int, submissions: int, seed: int) -> str:
    chance = random.Random(seed)
    with open_office(base) as office:
        clients, submitters = (
            Correspondents(office.port, messages, seed=seed),
            Submitters(office.submission_port, submissions),
        )
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.8))
            kill_one(office, chance)
        wait_until(office.answers, 30, "the server answers after the last kill")
        clients.join()
        submitters.join()
        settle(office, 120)
        assert office.stop() == 0
        assert office.check() == []
        doubled = check_inboxes(office.read(Role.INBOX), clients)
        twice = check_submissions(office, office.read(Role.SENT), submitters)
        assert len(clients.acknowledged) == messages
        assert len(submitters.acknowledged) == submissions
        assert doubled <= kills * 40  # only what was in flight
        assert twice <= kills * 40
        return (
            f"{messages} into mailboxes, {doubled} copies too many; {submissions} submitted, {twice} sent once more;"
            f" clients met {dict(submitters.errors)}"
        )


@pytest.mark.timeout(300)
def test_20_kills_under_load_lose_no_mail_and_double_no_sent_copy(tmp_path: Path) -> None:
    print(kill_under_load(tmp_path, kills=20, messages=800, submissions=300, seed=20))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_200_kills_under_load_lose_no_mail_and_double_no_sent_copy(tmp_path: Path) -> None:
    print(kill_under_load(tmp_path, kills=200, messages=8000, submissions=3000, seed=200))
