"""STORE and UID STORE: what is set, what is told and what is not, by one session and by two (RFC 9051 §6.4.6)."""

from __future__ import annotations

import random

import pytest

from posthouse.message.mailbox import MAX_KEYWORDS
from posthouse.ports.store import FlagMode
from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office


async def open_client(count: int = 3, **settings: object) -> tuple[Office, Client]:
    office = await open_office(*[letter(str(number)) for number in range(count)], **settings)
    client = await office.enter()
    await client.select()
    return office, client


async def say(client: Client, line: str) -> list[bytes]:
    return (await client.talk(b"a " + line.encode())).split(b"\r\n")[:-1]


@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("FLAGS (\\Deleted $Junk)", {"\\Deleted", "$Junk"}),
        ("+FLAGS (\\Deleted $Junk)", {"\\Seen", "\\Flagged", "\\Deleted", "$Junk"}),
        ("-FLAGS (\\Seen \\Draft)", {"\\Flagged"}),
        ("FLAGS ()", set()),
        ("+FLAGS \\Draft", {"\\Seen", "\\Flagged", "\\Draft"}),
    ],
)
async def test_flags_are_set_added_and_taken_away(command: str, left: set[str]) -> None:
    office = await open_office()
    await office.add(letter("one"), flags=["\\Seen", "\\Flagged"])
    client = await office.enter()
    await client.select()
    assert (await say(client, f"STORE 1 {command}"))[-1] == b"a OK Changed"
    assert (await office.flags())[1] == left


async def test_recent_is_nothing_a_client_may_set() -> None:
    office, client = await open_client(1)
    assert (await say(client, "STORE 1 +FLAGS (\\Recent \\Seen)"))[-1].startswith(b"a BAD ")
    assert (await office.flags())[1] == set()


async def test_every_message_of_the_command_is_told_changed_or_not() -> None:
    office, client = await open_client()
    await office.flag(2, "\\Seen")
    await client.talk(b"n NOOP")
    assert await say(client, "STORE 1:2 +FLAGS (\\Seen)") == [
        b"* 1 FETCH (FLAGS (\\Seen))",
        b"* 2 FETCH (FLAGS (\\Seen))",
        b"a OK Changed",
    ]
    assert await say(client, "NOOP") == [b"a OK Completed"]


async def test_uid_store_tells_the_uid() -> None:
    _, client = await open_client()
    assert await say(client, "UID STORE 2 +FLAGS (\\Seen)") == [b"* 2 FETCH (UID 2 FLAGS (\\Seen))", b"a OK Changed"]


async def test_silent_is_silent() -> None:
    office, client = await open_client()
    assert await say(client, "STORE 1:* +FLAGS.SILENT (\\Seen)") == [b"a OK Changed"]
    assert await say(client, "NOOP") == [b"a OK Completed"]
    assert (await office.flags())[3] == {"\\Seen"}


async def test_silent_tells_modseqs_where_they_are_wanted() -> None:
    _, client = await open_client(2)
    await client.enable("CONDSTORE")
    assert await say(client, "STORE 1:2 +FLAGS.SILENT (\\Seen)") == [
        b"* 1 FETCH (UID 1 MODSEQ (3))",
        b"* 2 FETCH (UID 2 MODSEQ (3))",
        b"a OK Changed",
    ]


async def test_modseqs_come_with_the_flags_where_they_are_wanted() -> None:
    _, client = await open_client(1)
    await client.enable("CONDSTORE")
    assert await say(client, "STORE 1 +FLAGS (\\Seen)") == [b"* 1 FETCH (FLAGS (\\Seen) MODSEQ (3))", b"a OK Changed"]


async def test_a_new_keyword_is_told_before_it_is_used() -> None:
    _, client = await open_client(1)
    lines = await say(client, "STORE 1 +FLAGS ($New)")
    assert lines[0] == b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New)"
    assert b"PERMANENTFLAGS" in lines[1]
    assert lines[2:] == [b"* 1 FETCH (FLAGS ($New))", b"a OK Changed"]
    assert await say(client, "STORE 1 -FLAGS ($new)") == [b"* 1 FETCH (FLAGS ())", b"a OK Changed"]


async def test_other_sessions_hear_of_it_with_the_new_keyword_first() -> None:
    office, client = await open_client(1)
    other = await office.enter()
    await other.select()
    await say(client, "STORE 1 +FLAGS.SILENT ($New)")
    lines = await say(other, "NOOP")
    assert lines[0].startswith(b"* FLAGS (")
    assert lines[2:] == [b"* 1 FETCH (UID 1 FLAGS ($New))", b"a OK Completed"]


async def test_too_many_keywords_are_refused() -> None:
    _, client = await open_client(1)
    names = " ".join(f"k{number}" for number in range(MAX_KEYWORDS))
    assert (await say(client, f"STORE 1 +FLAGS.SILENT ({names})"))[-1] == b"a OK Changed"
    assert (await say(client, "STORE 1 +FLAGS (onemore)"))[-1].startswith(b"a NO [LIMIT] ")
    assert (await say(client, "STORE 1 -FLAGS.SILENT (neverheard)"))[-1] == b"a OK Changed"


async def test_a_read_only_mailbox_takes_no_flags() -> None:
    office = await open_office(letter("one"))
    client = await office.enter()
    await client.select(is_read_only=True)
    assert (await say(client, "STORE 1 +FLAGS (\\Seen)"))[-1].startswith(b"a NO [READ-ONLY] ")


async def test_nothing_is_changed_where_nothing_is() -> None:
    _, client = await open_client(0)
    assert await say(client, "STORE 1:* +FLAGS (\\Seen)") == [b"a OK There was nothing to change"]
    assert await say(client, "UID STORE 9 +FLAGS (\\Seen)") == [b"a OK There was nothing to change"]


async def test_a_limit_leaves_the_newest_and_names_the_oldest_of_them() -> None:
    office, client = await open_client(5, message_limit=2)
    assert await say(client, "STORE 1:* +FLAGS.SILENT (\\Seen)") == [b"a OK [MESSAGELIMIT 2 4] Changed"]
    assert [uid for uid, flags in (await office.flags()).items() if flags] == [4, 5]


async def test_uidonly_tells_uids_where_numbers_stood() -> None:
    office, client = await open_client(3)
    await office.expunge(1)
    await say(client, "NOOP")
    await client.enable("UIDONLY")
    assert (await say(client, "UID STORE 2 +FLAGS (\\Seen)"))[0] == b"* 2 UIDFETCH (FLAGS (\\Seen))"


# -- UNCHANGEDSINCE


async def test_what_another_changed_is_left_and_named_by_number() -> None:
    office, client = await open_client(4)
    await office.flag(2, "\\Flagged")
    await office.flag(3, "\\Flagged")
    lines = await say(client, "STORE 1:4 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Deleted)")
    assert lines[-1] == b"a OK [MODIFIED 2:3] Some had been changed"
    assert {uid for uid, flags in (await office.flags()).items() if "\\Deleted" in flags} == {1, 4}
    told = b"\r\n".join(lines)
    assert b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (3))" in told  # what it did not know of
    assert b"* 1 FETCH (UID 1 MODSEQ (5))" in told


async def test_what_another_changed_is_named_by_uid_in_uid_store() -> None:
    office, client = await open_client(4)
    await office.expunge(1)
    await say(client, "NOOP")
    await office.flag(3, "\\Flagged")
    lines = await say(client, "UID STORE 2:4 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Deleted)")
    assert lines[-1] == b"a OK [MODIFIED 3] Some had been changed"


async def test_unchangedsince_that_holds_changes_all() -> None:
    office, client = await open_client(2)
    lines = await say(client, "STORE 1:2 (UNCHANGEDSINCE 2) FLAGS (\\Seen)")
    assert lines == [
        b"* 1 FETCH (FLAGS (\\Seen) MODSEQ (3))",
        b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (3))",
        b"a OK Changed",
    ]
    assert set((await office.flags()).values()) == {frozenset({"\\Seen"})}


async def test_unchangedsince_and_a_limit_tell_both() -> None:
    office, client = await open_client(4, message_limit=2)
    await office.flag(3, "\\Flagged")
    lines = await say(client, "STORE 1:4 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Deleted)")
    assert any(line.startswith(b"* OK [MESSAGELIMIT 2 3] ") for line in lines)
    assert lines[-1].startswith(b"a OK [MODIFIED 3] ")


# -- two sessions


async def test_what_another_changed_is_told_even_if_the_own_change_is_silent() -> None:
    office, client = await open_client(1)
    await office.flag(1, "\\Flagged")
    assert await say(client, "STORE 1 +FLAGS.SILENT (\\Seen)") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))",
        b"a OK Changed",
    ]


async def test_replacing_flags_that_another_set_is_foreseen() -> None:
    office, client = await open_client(1)
    await office.flag(1, "\\Flagged")
    assert await say(client, "STORE 1 FLAGS.SILENT (\\Seen)") == [b"a OK Changed"]


async def test_messages_that_another_expunged_keep_their_numbers_until_later() -> None:
    office, client = await open_client(3)
    await office.expunge(1)
    lines = await say(client, "STORE 2:3 +FLAGS (\\Seen)")
    assert lines == [b"* 2 FETCH (FLAGS (\\Seen))", b"* 3 FETCH (FLAGS (\\Seen))", b"a OK Changed"]
    assert await say(client, "NOOP") == [b"* 1 EXPUNGE", b"a OK Completed"]


@pytest.mark.parametrize("seed", range(20))
async def test_two_sessions_that_flag_at_random_know_the_same_in_the_end(seed: int) -> None:
    chance = random.Random(seed)
    office, one = await open_client(4)
    two = await office.enter()
    await two.select()
    clients = [(one, _Picture(4)), (two, _Picture(4))]
    for _ in range(40):
        client, picture = chance.choice(clients)
        picture.read(await _one_step(chance, client, picture))
    for client, picture in clients:
        picture.read(await say(client, "NOOP"))
        assert picture.flags == list((await office.flags()).values())


async def _one_step(chance: random.Random, client: Client, picture: _Picture) -> list[bytes]:
    number, mode = chance.randint(1, 4), chance.choice(["", "+", "-"])
    flags = chance.sample(["\\Seen", "\\Flagged", "\\Draft", "$Junk"], chance.randint(1, 3))
    silent = ".SILENT" if chance.random() < 0.6 else ""
    if chance.random() < 0.2:
        return await say(client, "NOOP")
    lines = await say(client, f"STORE {number} {mode}FLAGS{silent} ({' '.join(flags)})")
    picture.assume(number, mode, frozenset(flags)) if silent else None
    return lines


class _Picture:
    """What a client thinks it knows. What it set silently holds unless the server says otherwise."""

    def __init__(self, count: int) -> None:
        self.flags: list[frozenset[str]] = [frozenset()] * count

    def assume(self, number: int, mode: str, flags: frozenset[str]) -> None:
        old = self.flags[number - 1]
        self.flags[number - 1] = {"": flags, "+": old | flags, "-": old - flags}[mode]

    def read(self, lines: list[bytes]) -> None:
        for line in lines:
            words = line.decode().split(" ", 3)
            if len(words) > 3 and words[2] == "FETCH":
                inside = words[3].partition("FLAGS (")[2].partition(")")[0]
                self.flags[int(words[1]) - 1] = frozenset(inside.split())


# -- rights (RFC 4314 §4)


async def open_shared(rights: str) -> tuple[Office, Client]:
    office = await open_office()
    await office.add(letter("one"), flags=["\\Flagged", "\\Deleted", "$Junk"])
    bob = await office.enter(BOB)
    await office.share_inbox(bob, rights)
    return office, bob


@pytest.mark.parametrize(
    ("rights", "flag", "is_allowed"),
    [
        ("lr", "\\Seen", True),  # everybody has a \\Seen of its own
        ("lr", "\\Draft", False),
        ("lrw", "\\Draft", True),
        ("lrw", "$Mine", True),
        ("lrt", "$Mine", False),
        ("lrw", "\\Deleted", False),
        ("lrt", "\\Deleted", True),
    ],
)
async def test_each_flag_needs_its_right(rights: str, flag: str, is_allowed: bool) -> None:
    _, bob = await open_shared(rights)
    answer = (await say(bob, f"STORE 1 +FLAGS.SILENT ({flag})"))[-1]
    assert answer == b"a OK Changed" if is_allowed else answer.startswith(b"a NO [NOPERM] ")


async def test_of_several_flags_those_that_are_allowed_are_set() -> None:
    office, bob = await open_shared("lrw")
    assert (await say(bob, "STORE 1 -FLAGS.SILENT (\\Deleted \\Flagged)"))[-1] == b"a OK Changed"
    assert (await office.flags())[1] == {"\\Deleted", "$Junk"}


async def test_setting_all_flags_leaves_those_that_are_not_allowed() -> None:
    office, bob = await open_shared("lrw")
    assert (await say(bob, "STORE 1 FLAGS (\\Draft)")) == [
        b"* 1 FETCH (FLAGS (\\Deleted \\Draft))",
        b"a OK Changed",
    ]
    assert (await office.flags())[1] == {"\\Deleted", "\\Draft"}


async def test_setting_all_flags_without_any_right_but_to_see() -> None:
    office, bob = await open_shared("lr")
    assert (await say(bob, "STORE 1 FLAGS (\\Seen)"))[-1] == b"a OK Changed"
    assert (await say(bob, "STORE 1 FLAGS (\\Draft)"))[-1].startswith(b"a NO [NOPERM] ")
    assert (await office.flags())[1] == {"\\Flagged", "\\Deleted", "$Junk"}
    own = await office.store.messages.snapshot(1, await office.inbox(), BOB)  # type: ignore[arg-type]
    assert own.flags[0] & 1


async def test_a_readers_seen_is_its_own() -> None:
    office, bob = await open_shared("lrs")
    await say(bob, "STORE 1 +FLAGS (\\Seen)")
    assert "\\Seen" not in (await office.flags())[1]
    await office.flag(1, "\\Seen")
    await say(bob, "STORE 1 -FLAGS (\\Seen)")
    assert "\\Seen" in (await office.flags())[1]
    await office.flag(1, "\\Seen", mode=FlagMode.REMOVE)


async def test_a_keyword_of_a_change_that_was_refused_is_not_made() -> None:
    office, client = await open_client(1)
    await office.flag(1, "\\Flagged")
    lines = await say(client, "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (never)")
    assert lines[-1] == b"a OK [MODIFIED 1] Some had been changed"
    assert not any(b"never" in line for line in lines)
    assert (await office.store.messages.keywords(ALICE)).names == ()


async def test_a_system_flag_that_is_none_is_named() -> None:
    _, client = await open_client(1)
    assert await say(client, "STORE 1 +FLAGS (\\Nope \\Seen)") == [b"a BAD There is no system flag \\Nope"]


# -- QRESYNC


@pytest.mark.parametrize("since", ["", " (UNCHANGEDSINCE 9)"])
async def test_with_qresync_ones_own_changes_are_told_with_uid_and_modseq(since: str) -> None:
    """RFC 7162 §3.2.4."""
    _, client = await open_client(2)
    await client.enable("QRESYNC")
    assert (await say(client, f"STORE 2{since} +FLAGS (\\Flagged)"))[
        0
    ] == b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (3))"
    assert (await say(client, f"STORE 2{since} +FLAGS.SILENT (\\Draft)"))[0] == b"* 2 FETCH (UID 2 MODSEQ (4))"
    assert (await say(client, "FETCH 1 BODY[]"))[0].startswith(b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (5) BODY[] ")
