"""The main paths of JMAP once more, on the store that a server has: what is the same in memory is the same here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.ports.store import Store
from posthouse.ports.store_memory import MemoryStore
from tests.access import (
    test_jmap_blob_methods as blobs,
)
from tests.access import (
    test_jmap_mailbox_methods as mailboxes,
)
from tests.access import (
    test_jmap_mdn as mdn,
)
from tests.access import (
    test_jmap_submissions as submissions,
)
from tests.access import (
    test_jmap_thread_methods as threads,
)
from tests.access.jmap_kit import Desk, letter, open_desk
from tests.msa.submit_kit import House

Scene = Callable[[Desk], Awaitable[None]]

WITH_TWO_LETTERS: list[Scene] = [
    mailboxes.test_all_mailboxes_with_all_they_have,
    mailboxes.test_a_thread_counts_once_and_is_unread_while_one_of_its_emails_is,
    mailboxes.test_an_unread_answer_elsewhere_makes_the_thread_unread_here_but_not_one_in_trash,
    mailboxes.test_counts_follow_what_comes_and_goes,
    mailboxes.test_two_threads_become_one,
    mailboxes.test_only_counts_changed,
    mailboxes.test_made_changed_and_gone,
    mailboxes.test_changes_come_in_pieces_that_lead_to_the_end,
    mailboxes.test_queries_filter_sort_and_take_a_part,
    mailboxes.test_what_became_of_a_query,
    mailboxes.test_in_a_tree_children_move_with_their_parent,
    mailboxes.test_a_mailbox_is_made_below_one_of_the_same_request,
    mailboxes.test_names_places_roles_and_subscriptions_change,
    mailboxes.test_a_role_moves_from_one_to_another_in_one_request,
    mailboxes.test_what_cannot_change,
    mailboxes.test_a_mailbox_is_removed_with_its_children_in_any_order,
    mailboxes.test_what_is_not_removed,
    threads.test_threads_with_their_emails_in_the_order_of_receiving,
    threads.test_a_new_thread_one_that_grew_and_one_that_is_gone,
    threads.test_two_threads_become_one,
    threads.test_changes_come_in_pieces_that_lead_to_the_end,
    threads.test_more_than_wanted_in_one_moment,
]
WITH_ONE_LETTER: list[Scene] = [
    blobs.test_a_blob_is_put_together_of_text_base64_and_pieces_of_others,
    blobs.test_where_a_blob_is_used,
]
WITHOUT_LETTERS: list[Scene] = [
    submissions.test_an_email_is_sent_and_told_what_the_client_does_not_know,
    submissions.test_an_email_and_an_identity_of_the_same_request,
    submissions.test_on_success_the_email_is_updated_by_one_implied_set,
    submissions.test_on_success_the_email_is_destroyed,
    submissions.test_what_became_of_each_recipient,
    submissions.test_reports_that_came_back,
    submissions.test_all_submissions_and_some_properties,
    submissions.test_what_was_filed_nowhere_is_not_shown,
    submissions.test_changes_come_in_pieces_that_lead_to_the_end,
    submissions.test_queries_filter_and_sort,
    submissions.test_what_became_of_a_query,
    submissions.test_the_same_again_is_the_same_submission,
]
WITH_UNDO: list[Callable[[Desk], Awaitable[None]]] = [
    submissions.undone_waits_in_scheduled,
    submissions.undone_is_a_draft_again,
    submissions.over_is_destroyed,
    submissions.made_changed_and_destroyed,
]
WITH_RECEIPTS: list[Scene] = [
    mdn.test_a_receipt_goes_to_who_asked_from_nobody_and_marks_the_email,
    mdn.test_a_receipt_is_sent_once,
    mdn.test_ones_own_receipt_is_read_back,
]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House()
    options = StoreOptions(min_free=Space(0, 0))
    store = SqliteStore(f"{tmp_path}/store", lambda account: 0, made.clock, options=options)
    await store.open()
    store.set_search(SqliteSearch)
    ports = {field.name: getattr(store.store, field.name) for field in fields(Store)}
    made.store = cast(MemoryStore, SimpleNamespace(**ports, records=store.records, as_store=lambda: store.store))
    made.restart()
    try:
        yield made
    finally:
        await store.close()


@pytest.mark.parametrize("scene", WITH_TWO_LETTERS)
async def test_mailboxes_and_threads(house: House, scene: Scene) -> None:
    await scene(await open_desk(letter("one"), letter("two"), house=house))


@pytest.mark.parametrize("scene", WITH_ONE_LETTER)
async def test_blobs(house: House, scene: Scene) -> None:
    await scene(await open_desk(letter("one"), house=house))


@pytest.mark.parametrize("scene", WITHOUT_LETTERS)
async def test_submissions(house: House, scene: Scene) -> None:
    await scene(await open_desk(house=house))


@pytest.mark.parametrize("scene", WITH_UNDO)
async def test_submissions_that_wait(house: House, scene: Scene) -> None:
    await scene(await open_desk(house=house, undo_s=10.0))


@pytest.mark.parametrize("scene", WITH_RECEIPTS)
async def test_receipts(house: House, scene: Scene) -> None:
    await scene(await open_desk(mdn.ASKING, letter("plain"), house=house))
