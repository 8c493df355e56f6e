"""LDAP as a source, with a server of a few entries in memory; tests/interop has a real one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from posthouse.adapters.ldap import LdapError, LdapRules, LdapSession, LdapSource, escape_filter, escape_name
from posthouse.adapters.login_names import fill_in
from posthouse.ports.compute import Compute, FakeCompute
from posthouse.ports.credentials import SourceAnswer
from posthouse.ports.observe import FakeLog

YES, NO, UNAVAILABLE = SourceAnswer.YES, SourceAnswer.NO, SourceAnswer.UNAVAILABLE
ALICE = "uid=alice,ou=people"
T = TypeVar("T")


class FakeLdap:
    """Like many servers it calls a bind without password a success. `said` lists what it was asked."""

    def __init__(self) -> None:
        self.passwords = {ALICE: "right", "cn=reader": "reading"}
        self.mail = {"alice@example.org": [ALICE], "twin@example.org": ["uid=a,ou=people", "uid=b,ou=people"]}
        self.said: list[str] = []
        self.open = 0
        self.code = 49
        self.is_down = False

    def connect(self) -> LdapSession:
        if self.is_down:
            raise LdapError("connection refused")
        self.open += 1
        return self

    def bind(self, name: str, password: str) -> int:
        self.said.append(f"bind {name}")
        return 0 if not password or self.passwords.get(name) == password else self.code

    def search(self, base: str, filter_text: str) -> Sequence[str]:
        self.said.append(f"search {filter_text}")
        found = re.fullmatch(r"\(mail=([^()*]*)\)", filter_text)
        if found is None:
            return [ALICE]  # a filter that somebody broke fits everybody
        asked = re.sub(r"\\([0-9a-f]{2})", lambda pair: chr(int(pair[1], 16)), found[1])
        return self.mail.get(asked, [])

    def close(self) -> None:
        self.open -= 1


class StuckCompute:
    """Never comes to an end."""

    async def run(self, function: Callable[[], T], /) -> T:
        stuck: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        return await stuck


SEARCH = LdapRules(base="ou=people")
TEMPLATE = LdapRules(user_dn="uid={local},ou=people")
READER = LdapRules(base="ou=people", reader_dn="cn=reader", reader_password="reading")


def make(ldap: FakeLdap, rules: LdapRules, log: FakeLog | None = None, compute: Compute | None = None) -> LdapSource:
    return LdapSource(rules, ldap.connect, compute or FakeCompute(), 0.01, log or FakeLog())


@pytest.mark.parametrize("rules", [SEARCH, TEMPLATE, READER])
async def test_who_can_bind_knows_the_password(rules: LdapRules) -> None:
    ldap = FakeLdap()
    source = make(ldap, rules)
    assert await source.check("alice@example.org", "right") is YES
    assert await source.check("alice@example.org", "wrong") is NO
    assert await source.check("nobody@example.org", "right") is NO
    assert ldap.open == 0


@pytest.mark.parametrize("rules", [SEARCH, TEMPLATE, READER])
async def test_an_empty_password_is_never_sent(rules: LdapRules) -> None:
    ldap = FakeLdap()
    assert await make(ldap, rules).check("alice@example.org", "") is NO
    assert ldap.said == []


@pytest.mark.parametrize("login", ["*", "*@example.org", "alice@*", "x)(mail=*", "alice@example.org)(|(uid=*", "\\2a"])
async def test_a_name_breaks_out_of_no_filter(login: str) -> None:
    ldap = FakeLdap()
    assert await make(ldap, SEARCH).check(login, "right") is NO
    assert not set(ldap.said[0].removeprefix("search (mail=").removesuffix(")")) & set("*()")


@pytest.mark.parametrize("login", ["alice,ou=people@x", "alice+uid=bob@x", " alice@x", "#616c@x", 'al"ice@x', "é@x"])
async def test_a_name_breaks_out_of_no_distinguished_name(login: str) -> None:
    ldap = FakeLdap()
    assert await make(ldap, TEMPLATE).check(login, "right") is NO
    assert re.fullmatch(r"bind uid=(?:[a-z0-9]|\\[0-9a-f]{2})+,ou=people", ldap.said[0])


async def test_a_name_that_is_not_found_costs_as_many_questions() -> None:
    asked = []
    for login in ("alice@example.org", "nobody@example.org"):
        ldap = FakeLdap()
        assert await make(ldap, READER).check(login, "wrong") is NO
        asked.append([word.split()[0] for word in ldap.said])
    assert asked[0] == asked[1] == ["bind", "search", "bind"]


async def test_two_entries_for_a_login_are_none() -> None:
    ldap, log = FakeLdap(), FakeLog()
    ldap.passwords["uid=a,ou=people"] = "right"
    assert await make(ldap, SEARCH, log).check("twin@example.org", "right") is NO
    assert log.events[0][0] == "warning"


@pytest.mark.parametrize(("code", "answer"), [(49, NO), (53, NO), (34, NO), (51, UNAVAILABLE), (13, UNAVAILABLE)])
async def test_what_a_server_answers(code: int, answer: SourceAnswer) -> None:
    ldap = FakeLdap()
    ldap.code = code
    assert await make(ldap, TEMPLATE).check("alice@example.org", "wrong") is answer


async def test_a_server_that_is_down_or_slow_or_hides_is_no_wrong_password() -> None:
    ldap, log = FakeLdap(), FakeLog()
    assert await make(ldap, SEARCH, log, StuckCompute()).check("alice@example.org", "right") is UNAVAILABLE
    ldap.passwords["cn=reader"] = "another"
    assert await make(ldap, READER, log).check("alice@example.org", "right") is UNAVAILABLE
    ldap.is_down = True
    assert await make(ldap, SEARCH, log).check("alice@example.org", "right") is UNAVAILABLE
    assert "right" not in repr(log.events)
    assert len(log.events) == 3
    assert ldap.open == 0


def test_names_are_filled_in() -> None:
    assert fill_in("{local}|{domain}|{address}|{other}", "a@b@c") == "a@b|c|a@b@c|{other}"
    assert fill_in("{local}|{domain}", "alone") == "alone|"
    assert fill_in("{local}", "{domain}@x") == "{domain}"
    assert escape_filter("a*(ü)\\\0") == r"a\2a\28\c3\bc\29\5c\00"
    assert escape_name("a b,c=+") == r"a\20b\2cc\3d\2b"
