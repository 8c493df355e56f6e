"""Importing into a real store: where messages go, going on, quotas, and what cannot be taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from posthouse.adapters.mbox import MboxSource
from posthouse.message.mailbox import Role
from posthouse.ports.store import StoreError
from posthouse.ports.transfer import ImportUnderWay, Letter, TransferError
from tests.manage.transfer_kit import ALICE, BOB, INLINE, Depot, make_letter, open_depot, wire

FROM = b"From ann@example.com Tue Nov 14 22:13:20 2023\n"


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[Depot]:
    async with open_depot(tmp_path) as opened:
        yield opened


class Script:
    """A source that says what the test wants. It breaks off at `breaks_at`."""

    key = b"script"
    already = 0

    def __init__(self, *letters: Letter, batch: int = 2, breaks_at: int = 1 << 30) -> None:
        self._letters, self.batch, self._breaks_at = letters, batch, breaks_at
        self.total = len(letters)
        self.is_closed = False

    def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
        for number, letter in enumerate(self._letters):
            if number == self._breaks_at:
                raise TransferError("the line is cut")
            if letter.is_mailbox or letter.position > marks.get(letter.folder, ""):
                yield letter
            else:
                self.already += 1

    def close(self) -> None:
        self.is_closed = True


def letter(number: int, *path: str, **more: object) -> Letter:
    made = Letter("box", f"{number:03}", path or ("INBOX",), wire(make_letter(number)), received=5.0)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def letters(count: int) -> list[Letter]:
    return [letter(number) for number in range(count)]


def write_mbox(path: Path, *messages: bytes) -> MboxSource:
    path.write_bytes(b"".join(FROM + message + b"\n" for message in messages))
    return MboxSource(str(path), (path.name,), limit=1 << 20)


async def subjects(depot: Depot) -> dict[str, list[int]]:
    found = await depot.everything()
    return {
        name: [int(kept.octets.split(b"Subject: number ")[1].split(b"\r\n")[0]) for kept in mail]
        for name, mail in found.items()
        if mail
    }


async def test_an_mbox_comes_with_flags_and_dates(depot: Depot, tmp_path: Path) -> None:
    source = write_mbox(
        tmp_path / "Work",
        make_letter(1),
        make_letter(2, header="Status: RO\nX-Status: AF\nX-Keywords: Project NonJunk\n"),
        make_letter(3, header="X-Mozilla-Status: 1005\n"),
        make_letter(4, header="X-Mozilla-Status: 0009\n"),
    )
    result = await depot.bring(source)
    assert (result.imported, result.deleted, result.bad) == (3, 1, 0)
    work = (await depot.everything())["Work"]
    assert [kept.flags for kept in work] == [
        frozenset(),
        {"\\Seen", "\\Answered", "\\Flagged", "Project", "NonJunk"},
        {"\\Seen", "\\Flagged", "$Forwarded"},
    ]
    assert {kept.received for kept in work} == {1_700_000_000.0}
    assert work[0].octets == wire(make_letter(1))
    done, total = depot.reports[-1]
    assert done == total == (tmp_path / "Work").stat().st_size


async def test_without_a_date_of_arrival_the_message_is_asked(depot: Depot) -> None:
    received = "Received: from a by b; Tue, 14 Nov 2023 22:13:21 +0100\n"
    dates: list[float] = []
    for octets in (make_letter(1, header=received), make_letter(2), b"Subject: number 3\n\n"):
        one = letter(1, octets=wire(octets), received=None)
        one.position = f"{len(dates):03}"
        await depot.bring(Script(one), again=True)
        dates.append((await depot.everything())["INBOX"][-1].received)
    assert dates == [1_699_996_401.0, 1_699_996_400.0, depot.clock.now()]


async def test_labels_of_gmail_are_mailboxes_and_flags(depot: Depot, tmp_path: Path) -> None:
    def label(number: int, text: str) -> bytes:
        return make_letter(number, header=f"X-Gmail-Labels: {text}\n")

    messages = (
        label(1, "Inbox,Important,Opened,Category Updates"),
        label(2, "Sent,Starred,Work/2024"),
        label(3, "Archived,Unread"),
        label(4, '"a, b",=?UTF-8?Q?B=C3=BCcher?='),
        label(5, "Spam"),
        make_letter(6),
    )
    await depot.bring(write_mbox(tmp_path / "All mail", *messages))
    assert await subjects(depot) == {
        "INBOX": [1],
        "Sent": [2],
        "Work/2024": [2],
        "Archive": [3],
        "a, b": [4],
        "Bücher": [4],
        "Junk": [5],
        "All mail": [6],
    }
    everything = await depot.everything()
    assert everything["INBOX"][0].flags == {"\\Seen", "$Important"}
    assert everything["Work/2024"][0].flags == {"\\Seen", "\\Flagged"}
    assert everything["Archive"][0].flags == frozenset()
    assert (await depot.store.quotas.usage(ALICE)).emails == 6
    await depot.bring(write_mbox(tmp_path / "Plain", *messages), labels=False)
    assert (await subjects(depot))["Plain"] == [1, 2, 3, 4, 5, 6]


async def test_labels_that_an_imap_server_tells(depot: Depot) -> None:
    some = letter(1, "All Mail", labels=["Inbox", "Starred", "Work/x"], flags=frozenset({"\\Answered"}))
    none = letter(2, "All Mail", labels=[])
    await depot.bring(Script(some, none))
    assert await subjects(depot) == {"INBOX": [1], "Work/x": [1], "Archive": [2]}
    everything = await depot.everything()
    assert everything["INBOX"][0].flags == {"\\Answered", "\\Flagged"}
    assert everything["Archive"][0].flags == frozenset()


async def test_usual_names_are_the_mailboxes_of_their_roles(depot: Depot) -> None:
    await depot.bring(
        Script(
            letter(1, "Sent Items"),
            letter(2, "inbox"),
            letter(3, "Papierkorb", role=Role.TRASH),
            letter(4, "INBOX", "Below"),
            letter(5, "Deeper", "Sent Items"),
            batch=10,
        )
    )
    assert await subjects(depot) == {
        "Sent": [1],
        "INBOX": [2],
        "Trash": [3],
        "INBOX/Below": [4],
        "Deeper/Sent Items": [5],
    }


async def test_nothing_is_imported_into_scheduled(depot: Depot) -> None:
    await depot.bring(
        Script(
            letter(1, "scheduled"), letter(2, "Later", role=Role.SCHEDULED), letter(3, "Work", "Scheduled"), batch=10
        )
    )
    assert await subjects(depot) == {"Scheduled (imported)": [1, 2], "Work/Scheduled": [3]}


async def test_names_that_a_mailbox_cannot_have_are_made_fit(depot: Depot) -> None:
    await depot.bring(Script(letter(1, "a/b\nc"), letter(2, "é" * 200), letter(3, "", "x"), batch=10))
    assert set(await subjects(depot)) == {"a_b_c", "é" * 127, "_/x"}


async def test_an_empty_mailbox_comes_too(depot: Depot) -> None:
    await depot.bring(Script(letter(1, "Empty", "Within", octets=b"", is_mailbox=True, position="")))
    assert await depot.everything() == {"INBOX": [], "Empty": [], "Empty/Within": []}


async def test_an_import_that_was_cut_goes_on_without_loss_or_doubles(depot: Depot) -> None:
    with pytest.raises(TransferError, match="cut"):
        await depot.bring(Script(*letters(9), breaks_at=7))
    assert await subjects(depot) == {"INBOX": [0, 1, 2, 3, 4, 5]}
    result = await depot.bring(Script(*letters(9)))
    assert (result.imported, result.already) == (3, 6)
    assert await subjects(depot) == {"INBOX": list(range(9))}
    assert (await depot.bring(Script(*letters(9)))).imported == 0
    await depot.bring(Script(*letters(9)), again=True)
    assert await subjects(depot) == {"INBOX": [*range(9), *range(9)]}


async def test_marks_are_those_of_one_account(depot: Depot) -> None:
    await depot.bring(Script(*letters(3)))
    assert (await depot.bring(Script(*letters(3)), BOB)).imported == 3


async def test_a_cancelled_import_leaves_whole_batches(depot: Depot) -> None:
    task = asyncio.create_task(depot.bring(Script(*letters(500), batch=5)))
    while not (await subjects(depot)):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = (await subjects(depot))["INBOX"]
    assert len(kept) % 5 == 0
    assert kept == list(range(len(kept)))
    await depot.bring(Script(*letters(500), batch=50))
    assert await subjects(depot) == {"INBOX": list(range(500))}


async def test_two_imports_of_the_same_at_once_do_not_double(depot: Depot) -> None:
    both = (depot.bring(Script(*letters(200), batch=5)), depot.bring(Script(*letters(200), batch=5)))
    results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [ImportUnderWay]
    assert await subjects(depot) == {"INBOX": list(range(200))}


async def test_a_full_mailbox_takes_what_fits_and_the_rest_later(depot: Depot) -> None:
    depot.quotas[ALICE] = (None, 5)
    result = await depot.bring(Script(*letters(9), batch=8))
    assert (result.imported, result.bad) == (5, 0)
    assert "quota" in result.stopped
    assert await subjects(depot) == {"INBOX": [0, 1, 2, 3, 4]}
    result = await depot.bring(Script(*letters(9), batch=8), quota=False)
    assert (result.imported, result.already, result.stopped) == (4, 5, "")
    assert await subjects(depot) == {"INBOX": list(range(9))}


async def test_messages_that_cannot_be_taken_are_told_and_passed_over(depot: Depot) -> None:
    bad = letter(1, octets=b"", problem="longer than 5 octets")
    result = await depot.bring(Script(letter(0), bad, letter(2), letter(3, is_deleted=True), batch=3))
    assert (result.imported, result.bad, result.deleted) == (2, 1, 1)
    assert result.troubles == ["box: longer than 5 octets"]
    assert (await depot.bring(Script(letter(0), bad, letter(2), letter(3)))).imported == 0


async def test_keywords_beyond_what_an_account_can_have_are_left_out(depot: Depot) -> None:
    many = [letter(number, flags=frozenset({f"word{number}", "\\Seen"})) for number in range(60)]
    result = await depot.bring(Script(*many, batch=60))
    assert (result.imported, result.bad) == (60, 0)
    flags = [kept.flags for kept in (await depot.everything())["INBOX"]]
    assert len({flag for some in flags for flag in some}) == 58
    assert all("\\Seen" in some for some in flags)
    await depot.bring(Script(letter(99, flags=frozenset({"x" * 300}))))
    assert (await depot.everything())["INBOX"][-1].flags == frozenset()


async def test_large_messages_come_as_files(depot: Depot, tmp_path: Path) -> None:
    large = make_letter(1, "large\n" * INLINE)
    await depot.bring(write_mbox(tmp_path / "Large", large, large, make_letter(2)))
    work = (await depot.everything())["Large"]
    assert [kept.octets for kept in work] == [wire(large), wire(large), wire(make_letter(2))]
    assert len(list((tmp_path / "store").glob("*.bodies/*/*"))) == 1


async def test_a_mailbox_that_somebody_removes_meanwhile_is_made_again(depot: Depot) -> None:
    class Removing(Script):
        def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
            yield letter(0, "Work")
            yield letter(1, "Work")
            yield letter(2, "Work")

    waiting = depot.store.mailboxes.list_all
    removed = False

    def report(done: int, total: int) -> None:
        depot.reports.append((done, total))

    await depot.bring(Script(letter(0, "Work")))
    box = next(box for box in await waiting(ALICE) if box.name == "Work")
    task = asyncio.create_task(depot.bring(Removing(batch=1), again=True))
    while not removed:
        await asyncio.sleep(0)
        if depot.reports:
            await depot.store.mailboxes.remove(ALICE, box.id)
            removed = True
    await task
    assert (await subjects(depot))["Work"][-1] == 2


async def test_a_full_disk_stops_with_everything_before_kept(depot: Depot) -> None:
    class Filling(Script):
        def letters(self, marks: Mapping[str, str]) -> Iterator[Letter]:
            yield from letters(4)
            depot.store._files.octets = 0  # type: ignore[attr-defined]
            depot.clock.advance(2.0)
            yield from [letter(number) for number in (4, 5)]

    with pytest.raises(StoreError):
        await depot.bring(Filling())
    assert await subjects(depot) == {"INBOX": [0, 1]} or await subjects(depot) == {"INBOX": [0, 1, 2, 3]}
