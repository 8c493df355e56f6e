"""Queue ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.ids import MAX_SHARD, Serial, ShardNumber, make_queue_id, split_queue_id

shards = st.integers(0, MAX_SHARD).map(ShardNumber)
serials = st.integers(0, 2**55 - 1).map(Serial)


@given(shards, serials)
def test_an_id_can_be_taken_apart_again(shard: ShardNumber, serial: Serial) -> None:
    queue_id = make_queue_id(shard, serial)
    assert len(queue_id) == 13
    assert split_queue_id(queue_id) == split_queue_id(queue_id.lower()) == (shard, serial)


@given(shards, serials, serials)
def test_ids_of_a_shard_sort_by_time(shard: ShardNumber, one: Serial, other: Serial) -> None:
    assert (make_queue_id(shard, one) < make_queue_id(shard, other)) == (one < other)


@pytest.mark.parametrize("text", ["", "X", "0" * 12, "0" * 14, "I" * 13, "000000000000-", "é" * 13, "0" * 12 + " "])
def test_other_texts_are_no_ids(text: str) -> None:
    with pytest.raises(ValueError, match="not a queue id"):
        split_queue_id(text)
