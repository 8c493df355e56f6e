"""FETCH and UID FETCH: every item, which messages, \\Seen, and what happens when messages go (RFC 9051 §6.4.5)."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.access.imap_kit import ALICE, BOB, Client, Office, letter, open_office

ANN = b'((NIL NIL "ann" "example.com"))'
DAY = 1_700_000_000  # 14 Nov 2023 22:13:20 UTC


async def open_client(*messages: bytes, **settings: object) -> tuple[Office, Client]:
    office = await open_office(*messages, **settings)
    client = await office.enter()
    await client.select()
    return office, client


async def fetch(client: Client, what: str) -> list[bytes]:
    """The lines of the answer to a command; only for answers without literals."""
    return (await client.talk(b"a " + what.encode())).split(b"\r\n")[:-1]


# -- items


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("UID", b"UID 1"),
        ("FLAGS", b"FLAGS (\\Flagged)"),
        ("RFC822.SIZE", b"RFC822.SIZE 165"),
        ("EMAILID", b"EMAILID (M1-1)"),
        ("THREADID", b"THREADID (T1-1)"),
        ("MODSEQ", b"MODSEQ (2)"),
        ("PREVIEW", b'PREVIEW "Hello."'),
        ("PREVIEW (LAZY)", b'PREVIEW "Hello."'),
        ("INTERNALDATE", b'INTERNALDATE "14-Nov-2023 22:13:20 +0000"'),
        ("SAVEDATE", b'SAVEDATE "15-Jan-2027 08:00:00 +0000"'),
        ("BODY", b'BODY ("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 8 1)'),
        ("BODYSTRUCTURE", b'BODYSTRUCTURE ("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 8 1 NIL NIL NIL NIL)'),
        (
            "ENVELOPE",
            b'ENVELOPE (NIL "one" %b %b %b ((NIL NIL "alice" "example.org")) NIL NIL NIL NIL)' % (ANN, ANN, ANN),
        ),
        ("FAST", b'FLAGS (\\Flagged) INTERNALDATE "14-Nov-2023 22:13:20 +0000" RFC822.SIZE 165'),
        ("(UID BINARY.SIZE[1])", b"UID 1 BINARY.SIZE[1] 8"),
    ],
)
async def test_each_item_is_told_as_the_store_has_it(item: str, told: bytes) -> None:
    office = await open_office()
    await office.add(letter("one"), flags=["\\Flagged"], date=(DAY, 0))
    client = await office.enter()
    await client.select()
    assert await fetch(client, f"FETCH 1 {item}") == [b"* 1 FETCH (%b)" % told, b"a OK Fetched"]


@pytest.mark.parametrize(
    ("received", "zone", "text"),
    [
        (DAY, 60, b"14-Nov-2023 23:13:20 +0100"),
        (DAY, 120, b"15-Nov-2023 00:13:20 +0200"),
        (DAY, -210, b"14-Nov-2023 18:43:20 -0330"),
        (DAY + 3600 * 24, 0, b"15-Nov-2023 22:13:20 +0000"),
        (-1, 0, b"31-Dec-1969 23:59:59 +0000"),
        (1_709_164_800, 0, b"29-Feb-2024 00:00:00 +0000"),
        (951_782_399, -60, b"28-Feb-2000 22:59:59 -0100"),
        (951_696_000, 0, b"28-Feb-2000 00:00:00 +0000"),
        (1_699_142_400, 0, b" 5-Nov-2023 00:00:00 +0000"),
    ],
)
async def test_the_internal_date_keeps_the_zone_it_was_given_in(received: int, zone: int, text: bytes) -> None:
    office = await open_office()
    await office.add(letter("one"), date=(received, zone))
    client = await office.enter()
    await client.select()
    assert (await fetch(client, "FETCH 1 INTERNALDATE"))[0] == b'* 1 FETCH (INTERNALDATE "%b")' % text


async def test_a_preview_of_other_letters_is_a_literal() -> None:
    _, client = await open_client(letter("one", "Grüße\n"))
    assert b"PREVIEW {7}\r\nGr\xc3\xbc\xc3\x9fe)" in await client.talk(b"a FETCH 1 PREVIEW")


async def test_uid_fetch_tells_the_uid_once_whether_asked_or_not() -> None:
    _, client = await open_client(letter("one"))
    assert await fetch(client, "UID FETCH 1 FLAGS") == [b"* 1 FETCH (UID 1 FLAGS ())", b"a OK Fetched"]
    assert await fetch(client, "UID FETCH 1 (FLAGS UID)") == [b"* 1 FETCH (UID 1 FLAGS ())", b"a OK Fetched"]


async def test_keywords_are_told_with_the_flags() -> None:
    office = await open_office()
    await office.add(letter("one"), flags=["$Junk", "\\Seen"])
    client = await office.enter()
    await client.select()
    assert (await fetch(client, "FETCH 1 FLAGS"))[0] == b"* 1 FETCH (FLAGS (\\Seen $Junk))"


async def test_modseqs_come_with_flags_once_condstore_is_enabled() -> None:
    _, client = await open_client(letter("one"))
    await client.enable("CONDSTORE")
    assert (await fetch(client, "FETCH 1 FLAGS"))[0] == b"* 1 FETCH (FLAGS () MODSEQ (2))"


async def test_asking_for_modseq_enables_condstore() -> None:
    office, client = await open_client(letter("one"))
    await fetch(client, "FETCH 1 MODSEQ")
    await office.flag(1, "\\Seen")
    assert await client.talk(b"a NOOP") == b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (3))\r\na OK Completed\r\n"


# -- which messages


async def test_sets_are_told_in_the_order_of_the_mailbox_each_message_once() -> None:
    _, client = await open_client(*map(letter, "abcde"))
    lines = await fetch(client, "FETCH 5,1:2,2 UID")
    assert lines == [b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)", b"* 5 FETCH (UID 5)", b"a OK Fetched"]


async def test_everything_of_an_empty_mailbox_is_nothing() -> None:
    _, client = await open_client()
    assert await fetch(client, "FETCH 1:* FLAGS") == [b"a OK Fetched"]
    assert await fetch(client, "UID FETCH 1:* FLAGS") == [b"a OK Fetched"]


async def test_a_number_beyond_the_last_message_is_bad_and_an_unknown_uid_is_nothing() -> None:
    _, client = await open_client(letter("one"))
    assert (await fetch(client, "FETCH 2 FLAGS"))[0].startswith(b"a BAD ")
    assert await fetch(client, "UID FETCH 7 FLAGS") == [b"a OK Fetched"]


async def test_only_what_changed_since_comes_with_its_modseq() -> None:
    office, client = await open_client(*map(letter, "abc"))
    await office.flag(2, "\\Flagged")
    await client.talk(b"a NOOP")
    modseq = int(re.search(rb"MODSEQ \((\d+)\)", (await fetch(client, "FETCH 2 MODSEQ"))[0])[1])  # type: ignore[index]
    assert await fetch(client, f"FETCH 1:3 UID (CHANGEDSINCE {modseq - 1})") == [
        b"* 2 FETCH (UID 2 MODSEQ (%d))" % modseq,
        b"a OK Fetched",
    ]
    assert await fetch(client, f"FETCH 1:3 UID (CHANGEDSINCE {modseq})") == [b"a OK Fetched"]


async def test_what_vanished_since_is_told_before_the_rest() -> None:
    office, client = await open_client(*map(letter, "abcd"))
    await client.enable("QRESYNC")
    await office.expunge(2, 3)
    await client.talk(b"a NOOP")
    lines = await fetch(client, "UID FETCH 1:3 (FLAGS) (CHANGEDSINCE 1 VANISHED)")
    assert lines[0] == b"* VANISHED (EARLIER) 2:3"
    assert lines[1].startswith(b"* 1 FETCH (UID 1 FLAGS () MODSEQ (")
    assert len(lines) == 3


async def test_what_vanished_is_all_that_is_not_there_when_the_record_is_too_short() -> None:
    office, client = await open_client(*map(letter, "abcd"))
    await client.enable("QRESYNC")
    await office.expunge(2)
    await client.talk(b"a NOOP")
    office.memory.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    lines = await fetch(client, "UID FETCH 1:9 (FLAGS) (CHANGEDSINCE 1 VANISHED)")
    assert lines[0] == b"* VANISHED (EARLIER) 2"


async def test_what_the_client_still_counts_has_not_vanished_yet() -> None:
    office, client = await open_client(*map(letter, "abc"))
    await client.enable("QRESYNC")
    await office.expunge(2)
    lines = await fetch(client, "UID FETCH 1:3 (UID) (CHANGEDSINCE 1 VANISHED)")
    assert not any(b"EARLIER" in line for line in lines)
    assert lines[-2] == b"* VANISHED 2"


@pytest.mark.parametrize("command", ["FETCH 1 UID (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 UID (VANISHED)"])
async def test_vanished_is_for_uid_fetch_with_changedsince(command: str) -> None:
    _, client = await open_client(letter("one"))
    await client.enable("QRESYNC")
    assert (await fetch(client, command))[-1].startswith(b"a BAD ")


async def test_vanished_needs_qresync() -> None:
    _, client = await open_client(letter("one"))
    assert (await fetch(client, "UID FETCH 1 UID (CHANGEDSINCE 1 VANISHED)"))[-1].startswith(b"a BAD ")


@pytest.mark.parametrize(
    ("partial", "uids"),
    [("1:2", [1, 2]), ("2:4", [2, 3, 4]), ("4:9", [4, 5]), ("6:9", []), ("-1:-2", [4, 5]), ("-4:-9", [1, 2])],
)
async def test_a_partial_is_a_page_of_the_messages(partial: str, uids: list[int]) -> None:
    _, client = await open_client(*map(letter, "abcde"))
    lines = await fetch(client, f"UID FETCH 1:* UID (PARTIAL {partial})")
    assert [int(line.split()[-1][:-1]) for line in lines[:-1]] == uids


async def test_a_limit_leaves_the_newest_and_names_the_oldest_of_them() -> None:
    _, client = await open_client(*map(letter, "abcde"), message_limit=2)
    lines = await fetch(client, "UID FETCH 1:* UID")
    assert lines == [b"* 4 FETCH (UID 4)", b"* 5 FETCH (UID 5)", b"a OK [MESSAGELIMIT 2 4] Fetched"]
    assert (await fetch(client, "UID FETCH 1:2 UID"))[-1] == b"a OK Fetched"


async def test_uidonly_tells_uids_where_numbers_stood() -> None:
    office, client = await open_client(*map(letter, "abc"))
    await office.expunge(1)
    await client.talk(b"a NOOP")
    await client.enable("UIDONLY")
    assert await fetch(client, "UID FETCH 2:3 (FLAGS)") == [
        b"* 2 UIDFETCH (FLAGS ())",
        b"* 3 UIDFETCH (FLAGS ())",
        b"a OK Fetched",
    ]


# -- \\Seen


async def test_reading_a_message_makes_it_seen_and_says_so_in_the_same_response() -> None:
    office, client = await open_client(letter("one"), letter("two"))
    answer = await client.talk(b"a FETCH 1 BODY[TEXT]")
    assert answer == b"* 1 FETCH (FLAGS (\\Seen) BODY[TEXT] {8}\r\nHello.\r\n)\r\na OK Fetched\r\n"
    assert (await office.flags())[1] == {"\\Seen"}
    assert await client.talk(b"b NOOP") == b"b OK Completed\r\n"
    assert await client.talk(b"a FETCH 1 BODY[TEXT]") == b"* 1 FETCH (BODY[TEXT] {8}\r\nHello.\r\n)\r\na OK Fetched\r\n"


@pytest.mark.parametrize("item", ["RFC822", "RFC822.TEXT", "BODY[1]", "BODY[HEADER]", "BINARY[1]", "BODY[]<0.1>"])
async def test_what_is_no_peek_makes_seen(item: str) -> None:
    office, client = await open_client(letter("one"))
    await client.talk(b"a FETCH 1 " + item.encode())
    assert (await office.flags())[1] == {"\\Seen"}


@pytest.mark.parametrize(
    "item", ["BODY.PEEK[]", "RFC822.HEADER", "BINARY.PEEK[1]", "BINARY.SIZE[1]", "BODYSTRUCTURE", "PREVIEW"]
)
async def test_a_peek_leaves_a_message_unseen(item: str) -> None:
    office, client = await open_client(letter("one"))
    await client.talk(b"a FETCH 1 " + item.encode())
    assert (await office.flags())[1] == set()


async def test_examine_leaves_messages_unseen() -> None:
    office = await open_office(letter("one"))
    client = await office.enter()
    await client.select(is_read_only=True)
    assert b"FLAGS" not in await client.talk(b"a FETCH 1 BODY[TEXT]")
    assert (await office.flags())[1] == set()


async def test_seen_has_its_modseq_with_it() -> None:
    _, client = await open_client(letter("one"))
    await client.enable("CONDSTORE")
    answer = await client.talk(b"a FETCH 1 BODY[TEXT]")
    assert answer.startswith(b"* 1 FETCH (FLAGS (\\Seen) MODSEQ (3) BODY[TEXT]")
    assert answer.count(b"FETCH (") == 1


async def test_others_hear_that_a_message_was_read() -> None:
    office, client = await open_client(letter("one"))
    other = await office.enter()
    await other.select()
    await client.talk(b"a FETCH 1 BODY[TEXT]")
    assert await other.talk(b"a NOOP") == b"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\na OK Completed\r\n"


async def test_what_another_flagged_is_told_when_reading_sets_seen() -> None:
    office, client = await open_client(letter("one"), letter("two"))
    await office.flag(1, "\\Flagged")
    answer = await client.talk(b"a FETCH 1 BODY[TEXT]")
    assert b"* 1 FETCH (FLAGS (\\Flagged \\Seen)" in answer or b"* 1 FETCH (FLAGS (\\Seen \\Flagged)" in answer


# -- messages that go


@pytest.mark.parametrize("item", ["ENVELOPE", "BODY.PEEK[]", "BODY.PEEK[1]", "(UID RFC822.SIZE)"])
async def test_a_message_that_another_expunged_is_passed_over(item: str) -> None:
    office, client = await open_client(*map(letter, "abc"))
    await office.expunge(2)
    answer = await client.talk(b"a FETCH 1:3 " + item.encode())
    assert re.findall(rb"^\* (\d) FETCH \((?!UID \d FLAGS)", answer, re.MULTILINE) == [b"1", b"3"]
    assert b"a OK [EXPUNGEISSUED] " in answer
    assert b"EXPUNGE\r\n" not in answer
    assert b"* 2 EXPUNGE\r\n" in await client.talk(b"b NOOP")


async def test_all_messages_gone_is_no_error_either() -> None:
    office, client = await open_client(letter("one"))
    await office.expunge(1)
    assert await fetch(client, "FETCH 1 ENVELOPE") == [b"a OK [EXPUNGEISSUED] Some of the messages have been expunged"]


async def test_uid_fetch_may_tell_that_messages_went() -> None:
    office, client = await open_client(*map(letter, "abc"))
    await office.expunge(2)
    answer = await client.talk(b"a UID FETCH 1:3 RFC822.SIZE")
    assert answer.index(b"* 3 FETCH") < answer.index(b"* 2 EXPUNGE") < answer.index(b"a OK [EXPUNGEISSUED]")


# -- slices


async def test_a_large_mailbox_is_told_in_several_writes_in_order() -> None:
    _, client = await open_client(*[letter(str(number)) for number in range(520)])
    client.wire.writes.clear()
    client.wire.taken = 0
    answer = await client.talk(b"a FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)")
    assert [int(number) for number in re.findall(rb"^\* (\d+) FETCH", answer, re.MULTILINE)] == list(range(1, 521))
    assert len(client.wire.writes) > 1
    assert client.wire.drains > 0


async def test_sparse_sets_over_slices_are_right() -> None:
    _, client = await open_client(*[letter(str(number)) for number in range(520)])
    chosen = [number for number in range(1, 520) if number % 9]
    answer = await client.talk(b"a FETCH " + ",".join(map(str, chosen)).encode() + b" (UID RFC822.SIZE)")
    pairs = re.findall(rb"^\* (\d+) FETCH \(UID (\d+) ", answer, re.MULTILINE)
    assert [(int(number), int(uid)) for number, uid in pairs] == [(number, number) for number in chosen]


async def test_a_client_that_is_gone_ends_its_fetch() -> None:
    _, client = await open_client(*[letter(str(number)) for number in range(520)])
    client.wire.block()
    client.session.receive(b"a FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\n")
    for _ in range(20):
        await asyncio.sleep(0)
    written = len(client.wire.writes)
    await client.lose()
    assert len(client.wire.writes) == written


# -- other people's mailboxes


async def test_a_reader_of_a_shared_mailbox_has_a_seen_of_its_own() -> None:
    office = await open_office(letter("one"))
    bob = await office.enter(BOB)
    await office.share_inbox(bob, "lr")
    assert b"FLAGS (\\Seen)" in await bob.talk(b"a FETCH 1 BODY[TEXT]")
    assert (await office.flags())[1] == set()
    own = await office.store.messages.snapshot(ALICE, await office.inbox(), BOB)
    assert own.flags[0] & 1
