"""Aliases followed when mail is accepted: who is a recipient in the end, and what of DSN goes along."""

from __future__ import annotations

from posthouse.message.address import parse_address
from posthouse.message.envelope import Notify, Recipient
from posthouse.message.reply import Reply
from posthouse.mta.expansion import Expansion, Named, expand_recipients, join_replies

ANN, BOB, TEAM = (parse_address(f"{name}@ours.example") for name in ("ann", "bob", "team"))
FAR = parse_address("carl@far.example")


def expand(*named: Named) -> Expansion:
    return expand_recipients(named)


def test_an_address_that_is_no_alias_stays_as_it_was_given() -> None:
    given = Recipient(ANN, Notify.SUCCESS, ("rfc822", "x@y"))
    assert expand(Named(given, (ANN,))) == Expansion((given,), ((0,),))


def test_each_target_of_an_alias_is_a_recipient_that_knows_the_original() -> None:
    expansion = expand(Named(Recipient(TEAM), (ANN, FAR)))
    original = ("rfc822", "team@ours.example")
    assert expansion.recipients == (Recipient(ANN, orcpt=original), Recipient(FAR, orcpt=original))
    assert list(expansion.places) == [[0, 1]]


def test_an_original_recipient_that_the_client_named_stays() -> None:
    given = Recipient(TEAM, Notify.FAILURE, ("rfc822", "list@else.example"))
    (one,) = expand(Named(given, (ANN,))).recipients
    assert one == Recipient(ANN, Notify.FAILURE, ("rfc822", "list@else.example"))


def test_a_target_that_several_recipients_lead_to_gets_it_once() -> None:
    expansion = expand(Named(Recipient(ANN), (ANN,)), Named(Recipient(TEAM), (BOB, ANN)))
    assert [one.address for one in expansion.recipients] == [ANN, BOB]
    assert list(expansion.places) == [[0], [1, 0]]


def test_two_spellings_of_one_mailbox_are_one_recipient() -> None:
    other = parse_address("Bob@alias.example")
    mailboxes = {BOB: 7, other: 7, FAR: None}
    named = [Named(Recipient(one), (one,)) for one in (BOB, other, FAR)]
    expansion = expand_recipients(named, lambda address: mailboxes[address] or address)
    assert [one.address for one in expansion.recipients] == [BOB, FAR]
    assert list(expansion.places) == [[0], [0], [1]]


def test_of_two_that_became_one_what_either_wanted_is_reported() -> None:
    def merge(first: Notify, second: Notify) -> Notify:
        expansion = expand(Named(Recipient(ANN, first), (ANN,)), Named(Recipient(TEAM, second), (ANN,)))
        return expansion.recipients[0].notify

    assert merge(Notify.NEVER, Notify.SUCCESS) == Notify.SUCCESS
    assert merge(Notify.NEVER, Notify.UNSET) == Notify.FAILURE | Notify.DELAY
    assert merge(Notify.NEVER, Notify.NEVER) == Notify.NEVER
    assert merge(Notify.UNSET, Notify.UNSET) == Notify.UNSET


def test_an_original_recipient_that_is_not_ascii_is_of_type_utf8() -> None:
    named = Recipient(parse_address("jürgen@ours.example"))
    assert expand(Named(named, (ANN,))).recipients[0].orcpt == ("utf-8", "jürgen@ours.example")


def test_one_answer_for_several_targets_is_the_temporary_one_then_the_permanent_one() -> None:
    done, later, never = Reply(250, "2.0.0", "ok"), Reply(452, "4.2.2", "full"), Reply(550, "5.1.1", "gone")
    assert join_replies([done, never, later]) is later
    assert join_replies([done, never]) is never
    assert join_replies([done, done]) is done
