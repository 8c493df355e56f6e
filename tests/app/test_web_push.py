"""Clients that stay connected: event streams and JMAP over WebSockets, as clients see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from posthouse.app.web_limits import UsageLimits
from tests.access.jmap_kit import letter
from tests.app.web_jmap_kit import AUTH, HEADERS, ME, USAGE, Door, WebLab, open_web

NEW_MAIL = {"Email", "EmailDelivery", "Thread", "Mailbox"}
JMAP: Any = ("jmap",)
CORE = "urn:ietf:params:jmap:core"


# -- event streams


async def test_a_stream_tells_of_a_new_message() -> None:
    async with open_web() as web, web.stream() as stream:
        assert stream.status == 200
        assert "content-type: text/event-stream" in stream.head
        assert await stream.next() == {"retry": "1000"}
        await web.desk.add(letter("one"))
        event = await stream.next()
    assert event["event"] == "state"
    told = json.loads(event["data"])
    assert told["@type"] == "StateChange"
    assert set(told["changed"][ME]) == NEW_MAIL
    assert set(told["changed"][ME].values()) == {event["id"]}


async def test_who_comes_back_is_told_what_it_missed() -> None:
    async with open_web() as web:
        async with web.stream() as stream:
            await stream.next()
            await web.desk.add(letter("one"))
            seen = (await stream.next())["id"]
        await web.desk.add(letter("two"))
        async with web.stream("types=*&closeafter=no&ping=0", AUTH, f"Last-Event-ID: {seen}") as stream:
            await stream.next()
            assert set(json.loads((await stream.next())["data"])["changed"][ME]) == NEW_MAIL


async def test_a_stream_for_one_state_ends_behind_it() -> None:
    async with open_web() as web, web.stream("types=Email,Mailbox&closeafter=state&ping=0") as stream:
        await stream.next()
        await web.desk.add(letter("one"))
        assert set(json.loads((await stream.next())["data"])["changed"][ME]) == {"Email", "Mailbox"}
        with pytest.raises(EOFError):
            await stream.next()


async def test_pings_tell_their_interval() -> None:
    async with open_web() as web, web.stream("types=*&closeafter=no&ping=1") as stream:
        await stream.next()
        await until_waiting(web)
        web.web.hub.sweep(web.desk.house.clock.monotonic() + 30)
        event = await stream.next()
    assert event == {"event": "ping", "data": '{"interval":30}'}


async def test_who_wants_no_pings_gets_a_comment_now_and_then() -> None:
    async with open_web() as web, web.stream() as stream:
        await stream.next()
        await until_waiting(web)
        web.web.hub.sweep(web.desk.house.clock.monotonic() + 300)
        assert await stream.next() == {}


async def until_waiting(web: WebLab) -> None:
    """The stream has said when it wants to be woken."""
    async with asyncio.timeout(5):
        while not any(listener.ping_at for listener in web.web.hub.list_all()):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("query", ["types=*&closeafter=never&ping=0", "types=&closeafter=no&ping=0", "ping=often"])
async def test_a_wish_that_cannot_be_read_is_400(query: str) -> None:
    async with open_web() as web:
        assert (await web.send("GET", f"/jmap/eventsource?{query}")).status == 400


async def test_streams_of_an_account_are_counted_and_end_with_their_connection() -> None:
    async with open_web() as web:
        async with web.stream() as first, web.stream():
            reply = await web.send("GET", "/jmap/eventsource?types=*&closeafter=no&ping=0")
            assert (reply.status, reply.json["limit"]) == (429, "maxStreams")
            first.close()
            await until_listening(web, 1)
            async with web.stream() as third:
                assert third.status == 200
        await until_listening(web, 0)


async def until_listening(web: WebLab, count: int) -> None:
    async with asyncio.timeout(5):
        while web.web.hub.total != count:
            await asyncio.sleep(0.001)


async def test_the_answer_to_head_leaves_nobody_listening() -> None:
    async with open_web() as web:
        for _ in range(USAGE.streams + 1):
            reply = await web.send("HEAD", "/jmap/eventsource?types=*&closeafter=no&ping=0")
            assert reply.status == 200
        await until_listening(web, 0)


async def test_a_stream_ends_when_its_password_is_gone() -> None:
    door = Door()
    async with open_web(door=door) as web, web.stream() as stream:
        await stream.next()
        door.reason = "The password was changed"
        web.web.hub.sweep(0.0)
        with pytest.raises(EOFError):
            await stream.next()


async def test_streams_end_when_the_worker_goes() -> None:
    async with open_web() as web, web.stream() as stream:
        await stream.next()
        web.web.hub.end_all("The server stops")
        draining = asyncio.create_task(web.lab.server.drain(5.0))
        with pytest.raises(EOFError):
            await stream.next()
        await draining


# -- WebSockets


@asynccontextmanager
async def talk(web: WebLab) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{web.port}/jmap/ws"
    async with connect(url, subprotocols=JMAP, additional_headers=HEADERS, proxy=None) as socket:
        yield socket


async def say(socket: ClientConnection, kind: str, **members: Any) -> None:
    await socket.send(json.dumps({"@type": kind, **members}))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(5):
        told: dict[str, Any] = json.loads(await socket.recv())
    return told


async def test_requests_are_answered_under_their_ids() -> None:
    async with open_web() as web, talk(web) as socket:
        for name in ("a", "b"):
            await say(socket, "Request", id=name, using=[CORE], methodCalls=[["Core/echo", {"x": name}, "0"]])
        told = [await hear(socket), await hear(socket)]
    assert {each["requestId"]: each["methodResponses"][0][1]["x"] for each in told} == {"a": "a", "b": "b"}
    assert {each["@type"] for each in told} == {"Response"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("{", "notJSON"),
        ("[]", "notRequest"),
        ('{"@type":"Other"}', "notRequest"),
        ('{"@type":"Request","id":"a","using":["urn:other"],"methodCalls":[]}', "unknownCapability"),
        (json.dumps({"@type": "Request", "id": "a", "x": "y" * 10_000}), "limit"),
    ],
)
async def test_what_is_wrong_is_told_and_the_connection_goes_on(message: str, kind: str) -> None:
    async with open_web() as web, talk(web) as socket:
        await socket.send(message)
        told = await hear(socket)
        assert told["@type"] == "RequestError"
        assert told["type"] == f"urn:ietf:params:jmap:error:{kind}"
        await say(socket, "Request", id="b", using=[CORE], methodCalls=[])
        assert (await hear(socket))["requestId"] == "b"


async def test_changes_are_told_from_when_they_are_asked_for() -> None:
    async with open_web() as web, talk(web) as socket:
        await web.desk.add(letter("unheard"))
        await say(socket, "WebSocketPushEnable", dataTypes=["Email"])
        await say(socket, "Request", id="a", using=[CORE], methodCalls=[])
        assert (await hear(socket))["@type"] == "Response"
        await web.desk.add(letter("one"))
        told = await hear(socket)
        state = told["changed"][ME]["Email"]
        assert told == {"@type": "StateChange", "changed": {ME: {"Email": state}}, "pushState": state}
        await say(socket, "WebSocketPushDisable")
        await say(socket, "Request", id="b", using=[CORE], methodCalls=[])
        assert (await hear(socket))["requestId"] == "b"
        await web.desk.add(letter("two"))
        await say(socket, "Request", id="c", using=[CORE], methodCalls=[])
        assert (await hear(socket))["requestId"] == "c"


async def test_who_says_what_it_saw_is_told_what_it_missed() -> None:
    async with open_web() as web, talk(web) as socket:
        seen = await web.desk.store.changes.modseq(web.desk.login.account)
        await web.desk.add(letter("one"))
        await say(socket, "WebSocketPushEnable", dataTypes=None, pushState=str(seen))
        assert set((await hear(socket))["changed"][ME]) == NEW_MAIL


async def test_limits_of_the_account_are_told_under_the_id() -> None:
    async with open_web(UsageLimits(1, 1, 1, requests_per_minute=1)) as web, talk(web) as socket:
        for name in ("a", "b"):
            await say(socket, "Request", id=name, using=[CORE], methodCalls=[])
        told = {each["requestId"]: each for each in (await hear(socket), await hear(socket))}
        assert told["b"]["@type"] == "RequestError"
        assert (told["b"]["status"], told["b"]["limit"]) == (429, "maxRequestsPerMinute")


async def test_sockets_of_an_account_are_counted() -> None:
    async with open_web(UsageLimits(1, 1, 1, 0)) as web:
        async with talk(web):
            await until_listening(web, 1)
            with pytest.raises(InvalidStatus) as refused:
                async with talk(web):
                    raise AssertionError("it was let in")
            assert refused.value.response.status_code == 429
        await until_listening(web, 0)


async def test_a_socket_ends_when_its_password_is_gone() -> None:
    door = Door()
    async with open_web(door=door) as web, talk(web) as socket:
        await until_listening(web, 1)
        door.reason = "The password was changed"
        web.web.hub.sweep(0.0)
        with pytest.raises(ConnectionClosed) as closed:
            await hear(socket)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "The password was changed")


async def test_a_stranger_gets_no_socket() -> None:
    async with open_web() as web:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{web.port}/jmap/ws", subprotocols=JMAP, proxy=None):
                raise AssertionError("it was let in")
    assert refused.value.response.status_code == 401
