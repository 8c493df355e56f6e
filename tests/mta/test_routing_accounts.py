"""Addresses of the directory come before routes and DNS."""

from __future__ import annotations

from posthouse.message.address import Address, parse_address
from posthouse.message.mailbox import AccountId
from posthouse.mta.routing import Route
from posthouse.mta.targets import AccountBox, MaildirBox
from posthouse.ports.directory import DirectoryError, FakeDirectory, LocalMailbox
from tests.mta.routing_kit import ANN, failure_of, hops, make_router

GONE = parse_address("gone@example.net")
ROUTED = Route("example.net", hops("maildir:/mail/{domain}/{local}"), is_open=True, is_hosted=True)


def test_an_account_is_reached_whatever_the_routes_say() -> None:
    directory = FakeDirectory(accounts={"ann@example.net": AccountId(1)})
    router = make_router([ROUTED], directory=directory)
    assert router.route_now(ANN) == AccountBox()
    assert isinstance(router.route_now(GONE), MaildirBox)


def test_an_account_that_was_removed_is_no_such_mailbox_and_dns_is_not_asked() -> None:
    router = make_router(directory=FakeDirectory({"example.net": frozenset()}))
    destination = router.route_now(GONE)
    assert destination is not None
    assert failure_of(destination)[1:] == (550, "5.1.1")


def test_an_address_that_became_an_alias_since_it_was_accepted_does_not_go_to_our_own_mx() -> None:
    router = make_router(directory=FakeDirectory(aliases={"gone@example.net": (ANN,)}))
    destination = router.route_now(GONE)
    assert destination is not None
    assert failure_of(destination)[1:] == (550, "5.1.1")


class BrokenDirectory(FakeDirectory):
    def mailbox_of(self, address: Address) -> LocalMailbox | None:
        raise DirectoryError("disk I/O error")


def test_a_directory_that_cannot_be_asked_puts_mail_off() -> None:
    destination = make_router(directory=BrokenDirectory()).route_now(ANN)
    assert destination is not None
    assert failure_of(destination)[1:] == (451, "4.3.0")


def test_what_an_alias_or_an_account_stands_for_is_read_by_no_next_host() -> None:
    directory = FakeDirectory(aliases={"a%b@example.net": (ANN,)}, accounts={"ann@example.net": AccountId(1)})
    router = make_router([Route("example.net", hops("smtp://192.0.2.1"), is_open=True)], directory=directory)
    assert router.delivers_here(parse_address("a%b@example.net"))
    assert router.delivers_here(ANN)
    assert not router.delivers_here(GONE)
