"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208)."""

from __future__ import annotations

import pytest

from posthouse.ports.directory import Account
from tests.access.imap_kit import ALICE, Client, Office, letter, open_office


async def _enter(octets: int | None = None, emails: int | None = None) -> tuple[Office, Client]:
    office = await open_office(letter("one", "x\n" * 2_000))
    office.logins.people.by_id[ALICE] = Account(
        ALICE, "alice@example.org", addresses=("alice@example.org",), quota_octets=octets, quota_emails=emails
    )
    return office, await office.enter()


@pytest.mark.parametrize(
    ("octets", "emails", "resources"),
    [
        (10 << 20, 500, b"STORAGE 7 10240 MESSAGE 1 500"),
        (10 << 20, None, b"STORAGE 7 10240"),
        (None, 500, b"MESSAGE 1 500"),
    ],
)
async def test_what_is_used_and_what_may_be(octets: int | None, emails: int | None, resources: bytes) -> None:
    _, alice = await _enter(octets, emails)
    quota = b'* QUOTA "" (%b)\r\n' % resources
    assert await alice.talk(b'a GETQUOTA ""') == quota + b"a OK That is the quota\r\n"
    assert await alice.talk(b"b GETQUOTAROOT inbox") == (
        b'* QUOTAROOT "INBOX" ""\r\n' + quota + b"b OK That is the quota root\r\n"
    )


async def test_a_message_in_two_mailboxes_counts_once() -> None:
    _, alice = await _enter(10 << 20, 500)
    await alice.talk(b"a CREATE copy")
    await alice.select()
    assert b"b OK" in await alice.talk(b"b COPY 1 copy")
    assert b"(STORAGE 7 10240 MESSAGE 1 500)" in await alice.talk(b'c GETQUOTA ""')


async def test_without_limits_there_is_no_root() -> None:
    _, alice = await _enter()
    assert b"a NO [NONEXISTENT]" in await alice.talk(b'a GETQUOTA ""')
    assert await alice.talk(b"b GETQUOTAROOT INBOX") == b'* QUOTAROOT "INBOX"\r\nb OK That is the quota root\r\n'


async def test_other_roots_are_not_there() -> None:
    _, alice = await _enter(10 << 20, 500)
    assert b"a NO [NONEXISTENT]" in await alice.talk(b"a GETQUOTA bob@example.org")
    assert b"b NO [NONEXISTENT]" in await alice.talk(b"b GETQUOTAROOT nowhere")


async def test_quotas_are_not_the_users_to_set() -> None:
    _, alice = await _enter(10 << 20, 500)
    assert b"a NO [NOPERM]" in await alice.talk(b'a SETQUOTA "" (STORAGE 1)')
