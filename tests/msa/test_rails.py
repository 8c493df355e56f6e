"""What the Outbox does not send (sending.md rule 10)."""

from __future__ import annotations

import pytest

from posthouse.message.instant import Instant
from posthouse.msa.rails import refuse_for_outbox
from tests.msa.submit_kit import MESSAGE, with_header

NOW = Instant(1_800_000_000.0)  # a day after MESSAGE was written


def test_it_is_off_until_the_account_turns_it_on() -> None:
    reply = refuse_for_outbox(MESSAGE, 1, NOW, is_on=False)
    assert reply is not None and reply.enhanced == "5.7.1"
    assert refuse_for_outbox(MESSAGE, 1, NOW, is_on=True) is None


@pytest.mark.parametrize("name", ["Received", "Delivered-To", "Return-Path"])
def test_what_was_delivered_once_is_not_sent_again_without_a_resent_block(name: str) -> None:
    assert refuse_for_outbox(with_header(f"{name}: x"), 1, NOW, is_on=True) is not None
    resent = with_header("Resent-From: alice@ours.example", "Resent-To: b@c.example", f"{name}: x")
    assert refuse_for_outbox(resent, 1, NOW, is_on=True) is None


def test_a_migrated_folder_is_not_sprayed_out() -> None:
    assert refuse_for_outbox(MESSAGE, 20, NOW, is_on=True) is None
    assert refuse_for_outbox(MESSAGE, 21, NOW, is_on=True) is not None
    assert refuse_for_outbox(MESSAGE, 1, Instant(NOW + 2 * 86400), is_on=True) is None
    assert refuse_for_outbox(MESSAGE, 1, Instant(NOW + 3 * 86400), is_on=True) is not None
