"""`kill -9` at random moments while mail is read, moved, deleted and sent by IMAP, and read by POP3.

What was answered OK is so; what was not answered is done or not done, never lost; what is sent has one copy in Sent.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.manage.accounts import AppPasswordOptions
from posthouse.message.mailbox import Role
from posthouse.ports.directory_admin import AccountChange
from tests.crash.imap_under_load import Mail, Program
from tests.crash.imap_wire import Account, Wire
from tests.crash.mailboxes_under_load import PostOffice
from tests.crash.pop3_under_load import Pop3, Reader
from tests.crash.server_under_load import free_port, wait_until
from tests.crash.test_mailbox_kills import settle
from tests.crash.test_server_kills import kill_one

_BY_IMAP = (("a0", "u0"), ("b0", "u0"), ("a1", "u1"), ("a2", "u2"))  # two of them share an account
_BY_POP3 = ("p0",)
_LISTENER = '[[listener]]\nservice = "{service}"\nbind = "127.0.0.1:{port}"\ntls = "implicit"\n'
_LOCKED_S = 10.0  # a worker is started again in two, on a busy machine in more


class ReadingOffice(PostOffice):
    """A post office whose mail is read by IMAP and POP3."""

    def __init__(self, base: Path) -> None:
        self.imap_port, self.pop3_port = free_port(), free_port()
        super().__init__(base)
        with open_account_tools(load(str(self.config))) as tools:
            for name in _BY_POP3:
                tools.add_account(f"{name}@ours.example", AccountChange())
            logins = [f"{user}@ours.example" for user in {*_BY_POP3, *(user for _, user in _BY_IMAP)}]
            # Passwords that we made up cost no argon2 after each kill.
            self.accounts = {
                login.partition("@")[0]: Account(login, tools.add_app_password(login, "test", AppPasswordOptions()))
                for login in logins
            }

    def configure(self, workers: int) -> None:
        super().configure(workers)
        listeners = _LISTENER.format(service="imap", port=self.imap_port)
        listeners += _LISTENER.format(service="pop3", port=self.pop3_port)
        self.config.write_text(self.config.read_text() + listeners)


class Load:
    """Programs that use IMAP, and one that reads by POP3."""

    def __init__(self, office: ReadingOffice, seed: int) -> None:
        self.mail, accounts = Mail(), office.accounts
        self.programs = [Program(name, accounts[user], office.imap_port, self.mail, seed) for name, user in _BY_IMAP]
        ports = (office.imap_port, office.pop3_port)
        self.readers = [Reader(accounts[user], ports, self.mail, seed) for user in _BY_POP3]
        self._all: tuple[Program | Reader, ...] = (*self.programs, *self.readers)
        for thread in self._all:
            thread.start()

    @property
    def problems(self) -> list[str]:
        found = [thread.problem for thread in self._all]
        return ["".join(traceback.format_exception(problem)) for problem in found if problem is not None]

    @property
    def answered(self) -> int:
        return sum(program.answers.total() for program in self.programs)

    @property
    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._all)

    def end(self) -> None:
        for thread in self._all:
            thread.stop.set()
        for thread in self._all:
            thread.join(60)

    def tell(self, tokens: list[str]) -> list[str]:
        return [line for token in tokens for program in self.programs for line in program.tell(token)]

    def describe(self) -> str:
        answers, refusals, counts = Counter[str](), Counter[str](), Counter[str]()
        for program in self.programs:
            answers.update(program.answers)
            refusals.update(program.refusals)
        for reader in self.readers:
            counts.update(reader.counts)
        unanswered = sum(program.unanswered for program in self.programs)
        repeats = sum(program.repeats for program in self.programs)
        locked = max(reader.longest_lock for reader in self.readers)
        return (
            f"{answers.total()} answers {dict(answers)}, {unanswered} commands not answered, {repeats} known as"
            f" sent before, refused: {dict(refusals)};"
            f" POP3: {dict(counts)}, locked for {locked:.1f} s"
        )


def check_sent(office: ReadingOffice, load: Load) -> int:
    """Returns how many were delivered more than once."""
    mail, sent, arrived = load.mail, office.read(Role.SENT), office.read(Role.INBOX)
    arrived.update(office.recorded())
    doubled = [token for token, count in sent.items() if count > 1]
    not_filed = [token for token in mail.sent - mail.submitted if not sent[token]]
    lost = [token for token in mail.sent if not arrived[token]]
    assert (load.tell(doubled), load.tell(not_filed), load.tell(lost)) == ([], [], [])
    assert set(sent) | set(arrived) <= mail.unsure
    assert set(sent) - set(arrived) == set()
    assert set(arrived) - set(sent) <= mail.submitted
    assert office.states() == {"final": len(arrived)}  # nothing was taken twice
    return sum(count - 1 for count in arrived.values())


def let_work(load: Load, answers: int) -> None:
    """Until so many more commands were answered; not long on a busy machine."""
    enough, end = load.answered + answers, time.monotonic() + 1.0
    while load.answered < enough and time.monotonic() < end:
        time.sleep(0.002)


def kill_under_load(base: Path, kills: int, seed: int) -> str:
    chance = random.Random(seed)
    with contextlib.ExitStack() as ends:
        office = ReadingOffice(base)
        ends.callback(office.close)
        office.start()
        load = Load(office, seed)
        ends.callback(load.end)
        for _ in range(kills):
            let_work(load, chance.randint(0, 60))
            assert not load.problems, load.problems[0]
            kill_one(office, chance)
        wait_until(office.answers, 30, "the server answers after the last kill")
        load.end()
        assert not load.problems, load.problems[0]
        assert not load.is_running
        settle(office, 120)
        assert office.stop() == 0
        assert office.check() == []
        doubled = check_sent(office, load)
        assert doubled <= kills * 40  # only what was in flight
        assert max(reader.longest_lock for reader in load.readers) < _LOCKED_S
        assert all(program.reconciled for program in load.programs)
        return f"{kills} kills; {len(load.mail.sent)} sent, {doubled} delivered once more; {load.describe()}"


@pytest.mark.timeout(300)
def test_20_kills_while_mail_is_read_and_moved_break_no_promise_of_imap(tmp_path: Path) -> None:
    print(kill_under_load(tmp_path, kills=20, seed=20))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_200_kills_while_mail_is_read_and_moved_break_no_promise_of_imap(tmp_path: Path) -> None:
    print(kill_under_load(tmp_path, kills=200, seed=200))


@pytest.mark.timeout(120)
def test_the_maildrop_of_a_killed_worker_is_free_again_and_its_deletions_never_were(tmp_path: Path) -> None:
    with contextlib.ExitStack() as ends:
        office = ReadingOffice(tmp_path)
        ends.callback(office.close)
        office.start()
        with contextlib.closing(Wire(office.imap_port, office.accounts["p0"])) as wire:
            wire.ask(b"APPEND INBOX {20+}\r\nSubject: 1\r\n\r\nHello\r\n")
        with contextlib.closing(Pop3(office.pop3_port)) as client:
            client.log_in(office.accounts["p0"])
            client.ask("DELE 1")
            for pid in office.children("worker_process"):
                os.kill(pid, signal.SIGKILL)
            begun = time.monotonic()
            again = wait_for_maildrop(office)
        ends.enter_context(contextlib.closing(again))
        assert time.monotonic() - begun < _LOCKED_S
        assert again.ask("STAT") == "+OK 1 20"


def wait_for_maildrop(office: ReadingOffice) -> Pop3:
    end = time.monotonic() + 60
    while True:
        try:
            client = Pop3(office.pop3_port)
            try:
                client.log_in(office.accounts["p0"])
            except BaseException:
                client.close()
                raise
            return client
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
