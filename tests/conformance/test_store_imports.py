"""What every store does with an import: emails and marks together, and never behind somebody else's back."""

from __future__ import annotations

import pytest

from posthouse.adapters.sqlite.store_imports import SqliteImports
from posthouse.ports.store import NoSuchMailbox, OverQuota, StoreFull
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.transfer import Imports, ImportUnderWay, Mark
from posthouse.ports.transfer_memory import MemoryImports
from tests.conformance.store_kit import ALICE, BOB, MemoryControl, Office, SqliteControl, make_addition

SOURCE, OTHER = b"source", b"other"


def open_imports(office: Office) -> Imports:
    if isinstance(office.control, SqliteControl):
        return SqliteImports(office.control.store.core)
    assert isinstance(office.control, MemoryControl)
    assert isinstance(office.control.store, MemoryStore)
    return MemoryImports(office.store.messages)


async def test_emails_and_marks_come_together(office: Office) -> None:
    imports, inbox = open_imports(office), await office.inbox()
    assert await imports.marks(ALICE, SOURCE) == {}
    await imports.add(ALICE, [make_addition(), make_addition()], SOURCE, [Mark("a", "", "2"), Mark("b", "", "1")])
    await imports.add(ALICE, [make_addition()], SOURCE, [Mark("a", "2", "3")])
    await imports.add(ALICE, [], SOURCE, [Mark("b", "1", "7")])
    assert await imports.marks(ALICE, SOURCE) == {"a": "3", "b": "7"}
    assert await office.uids(inbox) == [1, 2, 3]
    assert await imports.marks(ALICE, OTHER) == await imports.marks(BOB, SOURCE) == {}


async def test_a_mark_that_has_moved_meanwhile_refuses_the_whole(office: Office) -> None:
    imports, inbox = open_imports(office), await office.inbox()
    await imports.add(ALICE, [make_addition()], SOURCE, [Mark("a", "", "2")])
    for before in ("", "1", "3"):
        with pytest.raises(ImportUnderWay):
            await imports.add(ALICE, [make_addition()], SOURCE, [Mark("b", "", "1"), Mark("a", before, "9")])
    assert await imports.marks(ALICE, SOURCE) == {"a": "2"}
    assert await office.uids(inbox) == [1]


async def test_what_is_refused_leaves_no_mark(office: Office) -> None:
    imports, inbox = open_imports(office), await office.inbox()
    gone = await office.mailbox()
    await office.store.mailboxes.remove(ALICE, gone)
    with pytest.raises(NoSuchMailbox):
        await imports.add(ALICE, [make_addition(), make_addition(gone)], SOURCE, [Mark("a", "", "2")])
    office.control.set_quota(ALICE, emails=1)
    with pytest.raises(OverQuota):
        await imports.add(ALICE, [make_addition(), make_addition()], SOURCE, [Mark("a", "", "2")])
    office.control.set_full(True)
    with pytest.raises(StoreFull):
        await imports.add(ALICE, [make_addition()], SOURCE, [Mark("a", "", "2")])
    assert await imports.marks(ALICE, SOURCE) == {}
    assert await office.uids(inbox) == []


async def test_what_was_forgotten_begins_anew(office: Office) -> None:
    imports = open_imports(office)
    for source in (SOURCE, OTHER):
        await imports.add(ALICE, [make_addition()], source, [Mark("a", "", "2")])
    await imports.forget(ALICE, SOURCE)
    assert await imports.marks(ALICE, SOURCE) == {}
    assert await imports.marks(ALICE, OTHER) == {"a": "2"}
