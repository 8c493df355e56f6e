"""PushSubscription/get and /set (RFC 8620 §7.2), and what is sent to those that are verified."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from posthouse.access.jmap.methods import TABLES, JmapServer
from posthouse.access.jmap.push_hub import PushHub
from posthouse.access.jmap.push_methods import PushMethods, PushSettings
from posthouse.access.jmap.push_sender import PushSender, SenderParts
from posthouse.access.jmap.session import SessionBuilder
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeFigure
from posthouse.ports.webpush import FakeWebPush, PushOutcome
from tests.access.jmap_kit import ALICE, LOGIN, Desk, letter, make_parts, open_desk
from tests.msa.submit_kit import House

URL = "https://push.example.net/abc"
KEYS = {"p256dh": "point", "auth": "secret"}
GOOD = {"deviceClientId": "phone", "url": URL}


class Lab:
    """A desk with subscriptions; `run_sender` lets the sender work until it waits."""

    def __init__(self, desk: Desk, push: FakeWebPush) -> None:
        self.desk, self.push = desk, push
        self.reason = ""
        self.pauses: list[float] = []
        hub = PushHub(desk.store.changes, desk.memory.records, desk.house.log)
        self.sent, self.failed = FakeFigure(), FakeFigure()
        parts = SenderParts(
            hub,
            desk.memory.records,
            push,
            self._why_over,
            desk.house.clock,
            desk.house.log,
            self.sent,
            self.failed,
            self._pause,
        )
        self.sender = PushSender(parts)
        self.asked: list[Login] = []

    def _why_over(self, login: Login) -> str:
        self.asked.append(login)
        return self.reason

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        [(told, answer)] = await self.desk.ask((name, arguments))
        assert told == name, answer
        return answer

    async def make(self, **members: Any) -> str:
        """A subscription that is verified; its id."""
        created = (await self.call("PushSubscription/set", create={"a": {**GOOD, **members}}))["created"]["a"]
        await self.wait_sent(1)
        code = json.loads(self.push.sent.pop()[1])["verificationCode"]
        told = await self.call("PushSubscription/set", update={created["id"]: {"verificationCode": code}})
        assert told["updated"] == {created["id"]: None}
        return str(created["id"])

    async def wait_sent(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.push.sent) < count:
                await asyncio.sleep(0.001)

    async def list_ids(self) -> list[str]:
        return [each["id"] for each in (await self.call("PushSubscription/get", ids=None))["list"]]

    async def wait_ids(self, *wanted: str) -> None:
        async with asyncio.timeout(5):
            while await self.list_ids() != list(wanted):
                await asyncio.sleep(0.001)


async def open_lab(settings: PushSettings | None = None) -> Lab:
    house = House()
    parts, push = make_parts(house), FakeWebPush()
    methods = PushMethods(push, settings or PushSettings()).list_methods()
    desk = Desk(house, parts, JmapServer(parts, SessionBuilder(parts), (*TABLES, methods)))
    return Lab(desk, push)


# -- making them


async def test_a_new_subscription_is_sent_a_code_and_shows_none() -> None:
    lab = await open_lab()
    told = await lab.call("PushSubscription/set", create={"a": {**GOOD, "keys": KEYS, "types": ["Email"]}})
    made = told["created"]["a"]
    assert told["notCreated"] is None
    assert set(made) == {"id", "expires", "verificationCode"}
    await lab.wait_sent(1)
    [(target, octets)] = lab.push.sent
    assert (target.url, target.p256dh, target.auth) == (URL, "point", "secret")
    sent = json.loads(octets)
    assert sent["@type"] == "PushVerification"
    assert sent["pushSubscriptionId"] == made["id"]
    [shown] = (await lab.call("PushSubscription/get", ids=None))["list"]
    assert shown == {
        "id": made["id"],
        "deviceClientId": "phone",
        "verificationCode": None,
        "expires": made["expires"],
        "types": ["Email"],
    }


async def test_the_right_code_verifies_and_another_is_refused() -> None:
    lab = await open_lab()
    name = await lab.make()
    [shown] = (await lab.call("PushSubscription/get", ids=[name], properties=["verificationCode"]))["list"]
    assert shown["verificationCode"]
    told = await lab.call("PushSubscription/set", update={name: {"verificationCode": "guess"}})
    assert told["notUpdated"][name]["type"] == "invalidProperties"
    assert told["notUpdated"][name]["properties"] == ["verificationCode"]


@pytest.mark.parametrize(
    ("members", "properties"),
    [
        ({"url": "http://push.example.net/abc"}, ["url"]),
        ({"deviceClientId": ""}, ["deviceClientId"]),
        ({"deviceClientId": "x" * 256}, ["deviceClientId"]),
        ({"keys": {"p256dh": "wrong", "auth": ""}}, ["keys"]),
        ({"verificationCode": "x"}, ["verificationCode"]),
        ({"expires": "soon"}, ["expires"]),
        ({"types": "Email"}, ["types"]),
        ({"types": ["x"] * 51}, ["types"]),
        ({"more": 1}, ["more"]),
        ({"url": "https://10.0.0.1/"}, ["url"]),
    ],
)
async def test_what_is_wrong_with_a_new_one_is_named(members: dict[str, Any], properties: list[str]) -> None:
    lab = await open_lab()
    told = await lab.call("PushSubscription/set", create={"a": {**GOOD, **members}})
    assert told["notCreated"]["a"]["type"] == "invalidProperties"
    assert told["notCreated"]["a"]["properties"] == properties
    assert lab.push.sent == []


async def test_a_later_end_than_we_have_it_is_made_earlier() -> None:
    lab = await open_lab(PushSettings(expiry_s=3600.0))
    told = await lab.call("PushSubscription/set", create={"a": {**GOOD, "expires": "2050-01-01T00:00:00Z"}})
    made = told["created"]["a"]
    assert made["expires"] < "2050"
    renewed = await lab.call("PushSubscription/set", update={made["id"]: {"expires": "2050-01-01T00:00:00Z"}})
    assert renewed["updated"][made["id"]] == {"expires": made["expires"]}


async def test_url_and_keys_are_never_shown() -> None:
    lab = await open_lab()
    for name in ("url", "keys"):
        [(told, answer)] = await lab.desk.ask(("PushSubscription/get", {"ids": None, "properties": [name]}))
        assert (told, answer["type"]) == ("error", "forbidden")


async def test_they_have_no_account() -> None:
    lab = await open_lab()
    [(told, answer)] = await lab.desk.ask(("PushSubscription/get", {"accountId": "A1", "ids": None}))
    assert (told, answer["type"]) == ("error", "invalidArguments")


async def test_what_was_made_with_another_password_is_not_there() -> None:
    lab = await open_lab()
    name = await lab.make()
    stranger = Lab(lab.desk.as_login(replace(LOGIN, credential=99)), lab.push)
    assert (await stranger.call("PushSubscription/get", ids=[name]))["notFound"] == [name]
    told = await stranger.call("PushSubscription/set", update={name: {"types": None}}, destroy=["P99"])
    assert told["notUpdated"][name]["type"] == told["notDestroyed"]["P99"]["type"] == "notFound"
    assert await lab.list_ids() == [name]


async def test_url_keys_and_device_cannot_be_changed() -> None:
    lab = await open_lab()
    name = await lab.make()
    for member, value in (("url", "https://other.example/"), ("keys", KEYS), ("deviceClientId", "other"), ("id", "P9")):
        told = await lab.call("PushSubscription/set", update={name: {member: value}})
        assert told["notUpdated"][name] == {
            "type": "invalidProperties",
            "description": "It cannot be changed",
            "properties": [member],
        }


async def test_one_that_goes_in_the_same_call_is_not_updated() -> None:
    lab = await open_lab()
    name = await lab.make()
    told = await lab.call("PushSubscription/set", update={name: {"types": ["Email"]}}, destroy=[name])
    assert told["notUpdated"][name]["type"] == "willDestroy"
    assert told["destroyed"] == [name]
    assert await lab.list_ids() == []
    told = await lab.call("PushSubscription/set", update={"P99": {"types": None}}, destroy=["P99"])
    assert told["notUpdated"]["P99"]["type"] == told["notDestroyed"]["P99"]["type"] == "notFound"


async def test_an_account_has_only_so_many() -> None:
    lab = await open_lab(PushSettings(most=1))
    told = await lab.call("PushSubscription/set", create={"a": GOOD, "b": GOOD})
    assert list(told["created"]) == ["a"]
    assert told["notCreated"]["b"]["type"] == "overQuota"


async def test_nobody_makes_us_send_codes_without_end() -> None:
    lab = await open_lab(PushSettings(codes_per_hour=2))
    kinds = []
    for _ in range(3):
        told = await lab.call("PushSubscription/set", create={"a": GOOD})
        kinds.append(told["notCreated"] and told["notCreated"]["a"]["type"])
        await lab.call("PushSubscription/set", destroy=await lab.list_ids())
    assert kinds == [None, None, "rateLimit"]
    lab.desk.house.clock.advance(3601)
    assert (await lab.call("PushSubscription/set", create={"a": GOOD}))["notCreated"] is None


async def test_those_that_are_over_are_gone() -> None:
    lab = await open_lab(PushSettings(expiry_s=3600.0))
    await lab.make()
    lab.desk.house.clock.advance(3600)
    assert await lab.list_ids() == []
    assert await lab.desk.memory.records.list_all(ALICE.id, "push") == []


# -- sending


async def test_a_verified_subscription_is_told_of_new_mail() -> None:
    lab = await open_lab()
    await lab.make(types=["EmailDelivery"])
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_sent(1)
    told = json.loads(lab.push.sent[0][1])
    assert told["@type"] == "StateChange"
    assert [list(types) for types in told["changed"].values()] == [["EmailDelivery"]]
    assert lab.sent.value == 1
    await lab.sender.close()


async def test_one_that_is_not_verified_hears_nothing() -> None:
    lab = await open_lab()
    await lab.call("PushSubscription/set", create={"a": {**GOOD, "url": "https://push.example.net/first"}})
    await lab.wait_sent(1)
    lab.push.sent.clear()
    await lab.make(types=["EmailDelivery"])
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_sent(1)
    await lab.sender.close()
    assert [target.url for target, _ in lab.push.sent] == [URL]


async def test_mail_that_came_before_the_sender_looked_is_told() -> None:
    lab = await open_lab()
    await lab.make()
    await lab.desk.add(letter("one"))
    await lab.sender.look()
    await lab.wait_sent(1)
    await lab.sender.close()


async def test_one_that_is_verified_later_is_found_without_another_look() -> None:
    lab = await open_lab()
    first = await lab.make(types=["Unheard"])
    await lab.sender.look()
    await lab.make(types=["EmailDelivery"])
    await lab.call("PushSubscription/set", destroy=[first])
    await lab.desk.add(letter("one"))
    await lab.wait_sent(1)
    await lab.sender.close()


async def test_a_subscription_that_the_service_does_not_know_is_removed() -> None:
    lab = await open_lab()
    await lab.make()
    lab.push.outcomes = [PushOutcome.GONE]
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_ids()
    await lab.sender.close()


async def test_a_subscription_ends_with_its_password() -> None:
    lab = await open_lab()
    await lab.make()
    lab.reason = "The password was changed"
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_ids()
    assert lab.push.sent == []
    assert {(login.account, login.credential) for login in lab.asked} == {(ALICE.id, LOGIN.credential)}
    await lab.sender.close()


async def test_one_whose_time_is_over_goes_without_any_change() -> None:
    lab = await open_lab(PushSettings(expiry_s=3600.0))
    records = lab.desk.memory.records
    await lab.make()
    await lab.call("PushSubscription/set", create={"never": {**GOOD, "url": "https://push.example.net/never"}})
    await lab.sender.look()
    await lab.desk.house.handover.settle_down()
    assert len(await records.list_all(ALICE.id, "push")) == 2
    lab.desk.house.clock.advance(3600.0)
    await lab.sender.look()
    async with asyncio.timeout(5):
        while await records.list_all(ALICE.id, "push"):
            await asyncio.sleep(0.001)
    await lab.sender.close()
    assert await records.accounts_with("push") == set()


async def test_a_service_that_asks_to_wait_is_tried_again_a_few_times() -> None:
    lab = await open_lab()
    name = await lab.make()
    lab.push.outcomes = [PushOutcome.LATER] * 4
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_sent(4)
    assert lab.pauses[:3] == [10.0, 60.0, 300.0]
    assert await lab.list_ids() == [name]
    await lab.desk.add(letter("two"))
    await lab.wait_sent(5)
    await lab.sender.close()


async def test_what_a_service_refuses_is_not_repeated() -> None:
    lab = await open_lab()
    await lab.make()
    lab.push.outcomes = [PushOutcome.REFUSED]
    await lab.sender.look()
    await lab.desk.add(letter("one"))
    await lab.wait_sent(1)
    assert 10.0 not in lab.pauses
    await lab.sender.close()


async def test_nothing_is_sent_when_the_sender_is_closed() -> None:
    lab = await open_lab()
    await lab.make()
    await lab.sender.look()
    await lab.sender.close()
    await lab.desk.add(letter("one"))
    assert lab.push.sent == []


async def test_without_web_push_there_are_no_such_methods() -> None:
    desk = await open_desk()
    [(told, answer)] = await desk.ask(("PushSubscription/get", {"ids": None}))
    assert (told, answer["type"]) == ("error", "unknownMethod")
