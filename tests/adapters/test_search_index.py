"""The text index beside a store: what is in it, who writes it, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.sqlite.search_index import SearchIndex
from posthouse.adapters.sqlite.search_indexer import SearchIndexer
from posthouse.message.mailbox import EmailId, UidRange
from posthouse.message.search import Contains, HasHeader, Not, SortBy, SortKey, Where
from posthouse.ports.store import FlagEdit, FlagMode
from tests.adapters.search_kit import Library, make_addition, make_message, open_library
from tests.conformance.store_kit import ALICE, BOB

BIRDS = [make_message(text) for text in ("a robin", "two wrens", "a wren, a robin", "no bird")]


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    async with open_library(tmp_path) as opened:
        yield opened


def read_rows(library: Library) -> list[int]:
    """Rows of the index, from outside."""
    connection = apsw.Connection(str(library.file()), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [int(str(row[0])) for row in connection.execute("SELECT rowid FROM trigram ORDER BY rowid")]
    finally:
        connection.close()


async def expunge(library: Library, *uids: int) -> None:
    inbox = await library.inbox()
    ranges = tuple(UidRange(uid, uid) for uid in uids)
    await library.store.messages.set_flags(ALICE, inbox, ranges, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
    await library.store.messages.expunge(ALICE, inbox)


async def test_the_index_narrows_to_what_can_match(library: Library) -> None:
    await library.add(*BIRDS)
    assert await library.narrowed("robin") is None
    await library.index_all()
    assert await library.narrowed("ROBIN") == {1, 3}
    assert await library.narrowed("wren, a ro") == {3}
    assert await library.narrowed("wr") is None
    assert await library.find("robin") == [1, 3]
    assert await library.find("wr") == [2, 3]


async def test_two_characters_of_a_large_script_are_narrowed_too(library: Library) -> None:
    await library.add(*(make_message(text) for text in ("東京都に行く", "京都", "大阪", "Kyoto 京", "終わりは東京")))
    await library.index_all()
    for text, emails in (("京都", {1, 2}), ("東京", {1, 5}), ("京", {1, 2, 4, 5}), ("東京都", {1}), ("奈良", set())):
        assert await library.narrowed(text) == emails
        assert await library.find(text) == sorted(emails)


async def test_new_mail_is_found_before_it_is_indexed(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await library.add(make_message("the third robin"))
    assert await library.narrowed("robin") == {1, 3}
    assert await library.find("robin") == [1, 3, 5]


async def test_what_must_not_stand_in_a_message_is_not_left_to_the_index(library: Library) -> None:
    await library.add(make_message("robin", subject="wren"), make_message("rob in"))
    await library.index_all()
    assert await library.find(Not(Contains(Where.BODY, "wren"))) == [1, 2]
    assert await library.find(Not(Contains(Where.TEXT, "robin"))) == [2]


async def test_trigrams_in_another_order_are_candidates_and_no_matches(library: Library) -> None:
    await library.add(make_message("abcd bcde"), make_message("abcde"))
    await library.index_all()
    assert await library.narrowed("abcde") == {1, 2}
    assert await library.find("abcde") == [2]


async def test_expunged_mail_leaves_the_index(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await expunge(library, 1, 2)
    await library.index_all()
    assert [row & 0xFFFFFFFF for row in read_rows(library)] == [3, 4]
    assert await library.find("robin") == [3]


async def test_mail_expunged_before_it_was_indexed_never_gets_there(library: Library) -> None:
    await library.add(*BIRDS)
    await expunge(library, 1, 4)
    await library.index_all()
    assert [row & 0xFFFFFFFF for row in read_rows(library)] == [2, 3]


async def test_an_account_whose_newest_mail_went_at_once_does_not_stop_the_index(library: Library) -> None:
    await library.add(make_message("a robin"))
    await library.index_all()
    await library.add(make_message("a wren"))
    await expunge(library, 2)
    await library.index_all()  # there is nothing new, though a number was given
    await library.add(make_message("a second robin"))
    await library.index_all()
    assert [row & 0xFFFFFFFF for row in read_rows(library)] == [1, 3]


async def test_mail_erased_before_the_index_heard_of_it_leaves_it_all_the_same(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await expunge(library, 2)
    library.clock.advance(1.0)
    await library.sqlite.purge(library.clock.now())
    library.clock.advance(2 * 86_400.0)
    await library.index_all()
    assert [row & 0xFFFFFFFF for row in read_rows(library)] == [1, 3, 4]


async def test_undeleted_mail_is_found_under_its_new_id(library: Library) -> None:
    added = await library.add(*BIRDS)
    await library.index_all()
    await expunge(library, 1)
    await library.index_all()
    await library.sqlite.undelete(ALICE, [added[0].email])
    assert await library.find("a robin") == [3, 5]
    await library.index_all()
    assert await library.narrowed("a robin") == {3, 5}
    assert await library.find("a robin") == [3, 5]


async def test_an_erased_account_leaves_the_index(library: Library) -> None:
    await library.add(*BIRDS)
    await library.add(*BIRDS, account=BOB)
    await library.index_all()
    assert {row >> 32 for row in read_rows(library)} == {ALICE, BOB}
    await library.sqlite.remove_account(BOB)
    library.clock.advance(1.0)
    await library.sqlite.purge(library.clock.now())
    library.clock.advance(2 * 86_400.0)
    await library.index_all()
    assert {row >> 32 for row in read_rows(library)} == {ALICE}


async def test_another_account_of_the_shard_is_never_a_candidate(library: Library) -> None:
    await library.add(*BIRDS)
    await library.add(*[make_message(f"robin {number}") for number in range(9)], account=BOB)
    await library.index_all()
    assert await library.narrowed("robin") == {1, 3}
    assert await library.narrowed("robin 7") == set()
    assert await library.narrowed("wren", BOB) == set()
    assert await library.find("robin 7") == []
    assert len(await library.find("robin", BOB)) == 9


async def test_mail_of_others_does_not_change_the_order_of_relevance(library: Library) -> None:
    await library.add(*[make_message(text) for text in ("robin robin wren", "wren wren robin", "robin tit", "wren")])
    program = Contains(Where.BODY, "robin wren", is_fuzzy=True)
    by = [SortBy(SortKey.RELEVANCY)]
    await library.index_all()
    before = (await library.store.search.search(ALICE, program, sort=by)).emails
    await library.add(*[make_message("wren") for _ in range(50)], account=BOB)
    await library.index_all()
    assert (await library.store.search.search(ALICE, program, sort=by)).emails == before
    assert len(before) == 2


async def test_a_deleted_index_is_made_again(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    assert await library.narrowed("robin") == {1, 3}
    library.file().unlink()
    assert await library.find("robin") == [1, 3]
    assert await library.narrowed("robin") is None
    await library.index_all()
    assert await library.narrowed("robin") == {1, 3}


async def test_a_damaged_index_is_in_nobodys_way_and_is_made_again(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await library.indexer.close()
    await library.index.close()
    library.file().write_bytes(b"nonsense" * 4096)
    index, indexer = SearchIndex(library.sqlite.core, str(library.file().parent)), library.new_indexer()
    assert await index.find(ALICE, Contains(Where.TEXT, "robin")) is None
    await library.index_all(indexer)
    found = await index.find(ALICE, Contains(Where.TEXT, "robin"))
    assert found is not None and set(found.emails) == {1, 3}
    await indexer.close()
    await index.close()


async def test_an_index_by_other_rules_is_not_asked_and_is_made_again(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await library.indexer.close()
    connection = apsw.Connection(str(library.file()))
    connection.execute("UPDATE state SET rules = 'of old'")
    connection.execute("DELETE FROM trigram")
    connection.close()
    assert await library.find("robin") == [1, 3]
    indexer = library.new_indexer()
    await library.index_all(indexer)
    assert await library.narrowed("robin") == {1, 3}
    await indexer.close()


async def test_an_index_that_is_ahead_of_a_restored_store_forgets_the_account(tmp_path: Path) -> None:
    async with open_library(tmp_path) as library:
        await library.add(BIRDS[0])
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    async with open_library(tmp_path) as library:
        await library.add(*BIRDS[1:3])
        await library.index_all()
    shutil.rmtree(tmp_path / "store")
    shutil.move(tmp_path / "backup", tmp_path / "store")
    async with open_library(tmp_path) as library:
        await library.indexer.run_once()  # before mail is taken
        await library.add(BIRDS[3], BIRDS[0], BIRDS[2])
        await library.index_all()
        assert await library.find("robin") == [1, 3, 4]
        assert await library.narrowed("wrens") == set()


async def test_an_account_with_much_mail_does_not_keep_the_others_waiting(library: Library) -> None:
    await library.add(*[make_message(f"robin {number}") for number in range(300)])
    await library.add(*BIRDS, account=BOB)
    await library.indexer.run_once()
    assert (await library.narrowed("robin", BOB), len(await library.narrowed("robin") or ())) != ({1, 3}, 300)
    await library.indexer.run_once()
    assert await library.narrowed("robin", BOB) == {1, 3}


async def test_a_search_while_the_index_is_written_finds_everything(library: Library) -> None:
    await library.add(*[make_message(f"robin {number}") for number in range(400)])
    indexing = asyncio.create_task(library.index_all())
    rounds = 0
    while not indexing.done():
        assert len(await library.find("robin")) == 400
        rounds += 1
    assert rounds and len(await library.narrowed("robin") or ()) == 400
    await indexing


async def test_one_worker_indexes_and_another_goes_on_where_it_stopped(library: Library) -> None:
    await library.add(*BIRDS[:2])
    await library.index_all()
    other = library.new_indexer()
    await library.add(*BIRDS[2:])
    assert await other.run_once() == 1.0
    assert await library.narrowed("robin") == {1}
    await library.indexer.close()
    await library.index_all(other)
    assert await library.narrowed("robin") == {1, 3}
    assert len(read_rows(library)) == 4
    await other.close()


async def test_a_full_disk_is_left_to_the_mail(tmp_path: Path) -> None:
    async with open_library(tmp_path) as library:
        await library.add(*BIRDS)
        space = library.sqlite.core.space
        assert space is not None
        space.note_full()
        assert await library.indexer.run_once() == 1.0
        assert not library.file().exists()
        assert await library.find("robin") == [1, 3]


async def test_mail_that_cannot_be_read_stays_a_candidate(library: Library) -> None:
    writer = library.store.messages.open_body(ALICE)
    octets = make_message("a robin in a file")
    await writer.write(octets)
    body = await writer.finish()
    addition = make_addition(octets)
    await library.store.messages.add(
        ALICE, [type(addition)(addition.mailboxes, body, addition.message, addition.prefix, addition.received)]
    )
    await library.add(BIRDS[0])
    (file,) = [path for path in (library.path / "store" / "0.bodies").rglob("*") if path.is_file()]
    file.rename(library.path / "aside")
    await library.index_all()
    assert await library.narrowed("no such bird") == {1}
    assert await library.find("robin") == [2]
    (library.path / "aside").rename(file)
    assert await library.find("robin") == [1, 2]


async def test_fields_of_a_very_long_header_are_found(library: Library) -> None:
    padding = "".join(f"X-Padding-{number}: {'x' * 900}\r\n" for number in range(300))
    await library.add(make_message("body", header=f"{padding}X-Bird: a robin\r\n"), BIRDS[0])
    await library.index_all()
    assert await library.find(HasHeader("X-Bird", "robin")) == [1]
    assert await library.narrowed("no such bird") == {1}


async def test_a_very_long_text_is_found(library: Library) -> None:
    sentence = " ".join(f"word{number} of many" for number in range(200))
    await library.add(make_message(sentence), make_message(sentence[:-9]), BIRDS[0])
    await library.index_all()
    assert await library.find(sentence.upper()) == [1]


async def test_sorting_returns_every_message_whatever_the_index_has_seen(library: Library) -> None:
    await library.add(*[make_message(f"{number}", subject=f"s{number % 3}") for number in range(40)])
    await library.indexer.run_once()
    await library.add(*[make_message(f"{number}", subject=f"s{number % 3}") for number in range(40)])
    inbox = await library.inbox()
    for key in SortKey:
        found = await library.store.search.search(ALICE, Contains(Where.TEXT, "subject: s"), inbox, [SortBy(key)])
        assert sorted(found.uids) == list(range(1, 81))


async def test_a_search_holds_no_read_transaction_between_its_slices(library: Library) -> None:
    await library.add(*[make_message("a robin " + "x " * 20_000) for _ in range(200)])
    shard = library.sqlite.core.shards[0]
    assert len(await library.find("robin")) == 200
    assert shard.readers.oldest_s == 0.0


async def test_a_clean_shutdown_frees_the_lock(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    await library.indexer.close()
    other = SearchIndexer(library.sqlite.core, str(library.file().parent))
    await library.add(make_message("one more robin"))
    await library.index_all(other)
    assert EmailId(5) in (await library.narrowed("robin") or set())
    assert len(await library.find("")) == 5
    await other.close()


async def test_a_rush_of_mail_passes_first_but_does_not_keep_the_index_waiting_for_ever(library: Library) -> None:
    await library.add(*BIRDS)
    await library.index_all()
    indexed: set[int] = set()
    for second in range(33):
        await library.add(*[make_message(f"robin {second}.{number}") for number in range(2)])
        for number in range(120):
            await library.add(make_message(f"wren {second}.{number}"))
        library.clock.advance(1.0)
        await library.indexer.run_once()
        indexed = await library.narrowed("robin 0") or set()
        if second < 30:
            assert indexed == set(), second
    assert len(indexed) >= 2
