"""JMAP by HTTP: session, requests, uploads and downloads, and what an account may use at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from posthouse.app.web_limits import AccountLimits, UsageLimits
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import FakeClock
from posthouse.ports.uploads_memory import MemoryUploads
from posthouse.protocol.jmap.limits import CoreLimits
from posthouse.protocol.jmap.problems import RequestRefused
from tests.access.jmap_kit import ALICE, letter
from tests.app.web_jmap_kit import AUTH, ME, USAGE, WebLab, open_web

LIMIT = "urn:ietf:params:jmap:error:limit"


def blob_path(blob: str, name: str = "file.txt", accept: str = "text/plain", account: str = ME) -> str:
    return f"/jmap/download/{account}/{blob}/{name}?accept={accept}"


# -- the session


@pytest.mark.parametrize("path", ["/.well-known/jmap", "/jmap/session"])
async def test_the_session_has_urls_of_the_host_that_was_asked(path: str) -> None:
    async with open_web() as web:
        reply = await web.send("GET", path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache, no-store, must-revalidate"
    assert reply.json["apiUrl"] == "http://mail.example.org:8080/jmap/api"
    assert reply.json["username"] == ALICE.address


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jmap/session"),
        ("POST", "/jmap/api"),
        ("POST", f"/jmap/upload/{ME}/"),
        ("GET", blob_path("B1")),
        ("GET", "/jmap/eventsource?types=*&closeafter=no&ping=0"),
    ],
)
async def test_nothing_is_told_to_strangers(method: str, path: str) -> None:
    async with open_web() as web:
        assert (await web.send(method, path, b"", "Authorization: Wrong")).status == 401


# -- requests


async def test_a_request_is_answered() -> None:
    async with open_web() as web:
        await web.desk.add(letter("one"))
        reply = await web.ask(("Core/echo", {"a": 1}), ("Mailbox/get", {"accountId": ME}))
        session = await web.send("GET", "/jmap/session")
    assert reply.status == 200
    names = [name for name, _, _ in reply.json["methodResponses"]]
    assert names == ["Core/echo", "Mailbox/get"]
    assert reply.json["sessionState"] == session.json["state"]


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"{", "application/json", "notJSON"),
        (b"\xff", "application/json", "notJSON"),
        (b"{}", "text/plain", "notJSON"),
        (b"{}", "application/json", "notRequest"),
        (b'{"using":["urn:other"],"methodCalls":[]}', "application/json", "unknownCapability"),
    ],
)
async def test_a_bad_request_is_400_with_a_problem(body: bytes, content_type: str, kind: str) -> None:
    async with open_web() as web:
        reply = await web.post(body, content_type)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["type"] == f"urn:ietf:params:jmap:error:{kind}"
    assert reply.json["status"] == 400


async def test_a_request_too_large_names_the_limit() -> None:
    async with open_web() as web:
        reply = await web.post(b" " * 10_001)
    assert (reply.status, reply.json["type"], reply.json["limit"]) == (400, LIMIT, "maxSizeRequest")


async def test_too_many_requests_at_once_are_429_and_name_the_limit() -> None:
    async with open_web() as web:
        lines = ["POST /jmap/api HTTP/1.1", "Host: a", AUTH, "Content-Type: application/json", "Content-Length: 9"]
        held = []
        for _ in range(USAGE.requests):
            held.append(await asyncio.open_connection("127.0.0.1", web.port))
            held[-1][1].write("\r\n".join([*lines, "", ""]).encode())
        reply = await until(web, 429)
        assert (reply["type"], reply["limit"]) == (LIMIT, "maxConcurrentRequests")
        for _, writer in held:
            writer.close()
        assert "sessionState" in await until(web, 200)


async def until(web: WebLab, status: int) -> Any:
    async with asyncio.timeout(5):
        while True:
            reply = await web.ask(("Core/echo", {}))
            if reply.status == status:
                assert status != 429 or reply.headers["retry-after"]
                return reply.json


async def test_too_many_requests_in_a_minute_are_429() -> None:
    async with open_web(UsageLimits(2, 2, 2, requests_per_minute=3)) as web:
        statuses = [(await web.ask(("Core/echo", {}))).status for _ in range(4)]
        reply = await web.ask(("Core/echo", {}))
        assert statuses == [200, 200, 200, 429]
        assert reply.json["limit"] == "maxRequestsPerMinute"
        web.desk.house.clock.advance(20)
        assert (await web.ask(("Core/echo", {}))).status == 200


def test_a_minute_fills_up_again_as_it_passes_and_by_account() -> None:
    clock = FakeClock()
    limits = AccountLimits(UsageLimits(9, 9, 9, requests_per_minute=60), clock)

    def count() -> int:
        done = 0
        try:
            while True:
                with limits.request(AccountId(1)):
                    done += 1
        except RequestRefused:
            return done

    assert count() == 60
    clock.advance(1.0)
    assert count() == 1
    clock.advance(3600)
    assert count() == 60
    with limits.request(AccountId(2)):
        pass


# -- uploads and downloads


async def upload(web: WebLab, octets: bytes, content_type: str = "image/png") -> dict[str, Any]:
    reply = await web.send("POST", f"/jmap/upload/{ME}/", octets, AUTH, f"Content-Type: {content_type}")
    assert reply.status == 201, reply
    told: dict[str, Any] = reply.json
    return told


async def test_what_was_uploaded_comes_back_as_it_is() -> None:
    octets = bytes(range(256)) * 4000
    async with open_web() as web:
        told = await upload(web, octets)
        assert told == {"accountId": ME, "blobId": told["blobId"], "type": "image/png", "size": len(octets)}
        reply = await web.send("GET", blob_path(told["blobId"], "pic.png", "image/png"))
    assert reply.body == octets
    assert reply.headers["content-length"] == str(len(octets))


async def test_a_download_is_never_a_page_of_ours() -> None:
    async with open_web() as web:
        told = await upload(web, b"<script>alert(1)</script>", "text/html")
        reply = await web.send("GET", blob_path(told["blobId"], "a%22%0D%0Ab.html", "text/html"))
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"] == "text/html"
    assert "immutable" in reply.headers["cache-control"]
    assert "b.html" not in reply.headers


async def test_a_type_that_is_none_becomes_octets() -> None:
    async with open_web() as web:
        told = await upload(web, b"x")
        for accept in ("", "text", "text/html%0D%0AX:y"):
            reply = await web.send("GET", blob_path(told["blobId"], accept=accept))
            assert reply.headers["content-type"] == "application/octet-stream"


async def test_an_account_has_so_many_downloads_at_a_time() -> None:
    text = "A long line.\r\n" * 400_000
    async with open_web() as web:
        added = await web.desk.add(letter("one", text))
        path = blob_path(f"B{added.email}", "mail.eml", "message/rfc822")
        slow = []
        for blob in (f"B{added.email}", f"B{added.email}-1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", web.lab.port, limit=1000)
            writer.write(f"GET {blob_path(blob)} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n\r\n".encode())
            assert b" 200 " in await reader.readuntil(b"\r\n")
            slow.append(writer)
        refused = await web.send("GET", path)
        assert (refused.status, refused.json["limit"]) == (429, "maxConcurrentDownloads")
        small = await web.desk.add(letter("two"))
        assert (await web.send("GET", blob_path(f"B{small.email}"))).status == 200
        slow.pop().transport.abort()
        async with asyncio.timeout(5):
            while (again := await web.send("GET", path)).status == 429:
                await asyncio.sleep(0.01)
        assert again.status == 200
        assert (await web.send("HEAD", path)).status == 200
        assert (await web.send("GET", path)).status == 200
        slow.pop().transport.abort()


async def test_a_message_is_downloaded_whole_and_in_parts() -> None:
    text = "A long line.\r\n" * 40_000
    async with open_web() as web:
        added = await web.desk.add(letter("one", text))
        whole = await web.send("GET", blob_path(f"B{added.email}", "mail.eml", "message/rfc822"))
        part = await web.send("GET", blob_path(f"B{added.email}-1"))
    assert whole.status == 200
    assert whole.headers["content-length"] == str(len(whole.body))
    assert len(whole.body) > len(text)
    assert part.body == text.encode()


@pytest.mark.parametrize(
    "path",
    [
        blob_path("B99"),
        blob_path("Unothing"),
        blob_path("nonsense"),
        blob_path("B1", account="A99"),
        "/jmap/download/",
        f"/jmap/download/{ME}/B1",
    ],
)
async def test_what_is_not_there_is_404(path: str) -> None:
    async with open_web() as web:
        assert (await web.send("GET", path)).status == 404


async def test_an_upload_to_another_account_is_404() -> None:
    async with open_web() as web:
        assert (await web.send("POST", "/jmap/upload/A99/", b"x")).status == 404


async def test_an_upload_too_large_names_the_limit_and_keeps_nothing() -> None:
    async with open_web() as web:
        reply = await web.send("POST", f"/jmap/upload/{ME}/", b"x" * 2_000_001)
        assert (reply.status, reply.json["limit"]) == (413, "maxSizeUpload")
        uploads = web.desk.parts.uploads
        assert isinstance(uploads, MemoryUploads)
        assert not uploads.kept


async def test_an_account_uploads_only_so_much() -> None:
    async with open_web() as web:
        for _ in range(2):
            await upload(web, b"x" * 1_900_000)
        assert (await web.send("POST", f"/jmap/upload/{ME}/", b"x" * 1_900_000)).status == 507


async def test_who_uploads_too_much_hears_so_however_large_it_is() -> None:
    async with open_web(limits=CoreLimits(max_size_upload=50_000_000)) as web:
        assert (await web.send("POST", f"/jmap/upload/{ME}/", b"x" * 40_000_000)).status == 507


async def test_an_upload_that_breaks_off_keeps_nothing_and_frees_its_place() -> None:
    async with open_web(limits=CoreLimits(max_size_upload=100)) as web:
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        head = f"POST /jmap/upload/{ME}/ HTTP/1.1\r\nHost: a\r\n{AUTH}\r\nContent-Length: 10\r\n\r\nhello"
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        for _ in range(USAGE.uploads + 1):
            await upload(web, b"x")
        uploads = web.desk.parts.uploads
        assert isinstance(uploads, MemoryUploads)
        assert {kept.octets for kept in uploads.kept.values()} == {b"x"}


async def test_an_uploaded_message_can_be_imported() -> None:
    async with open_web() as web:
        told = await upload(web, letter("by upload"), "message/rfc822")
        boxes = (await web.desk.call("Mailbox/get", ids=None))["list"]
        inbox = next(box["id"] for box in boxes if box["role"] == "inbox")
        made = await web.desk.call(
            "Email/import", emails={"a": {"blobId": told["blobId"], "mailboxIds": {inbox: True}}}
        )
    assert list(made["created"]) == ["a"], json.dumps(made)
