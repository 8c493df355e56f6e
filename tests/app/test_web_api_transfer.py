"""Mail in and out as files: what comes back is what went, whatever the archive tries."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from posthouse.message.mailbox import Role
from posthouse.message.objectids import name_mailbox
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from posthouse.ports.store_memory import QuotaLimit
from tests.app.web_api_kit import ALICE, Answer, Browser, House, make_scope, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


def letter(number: int) -> bytes:
    return f"Subject: {number}\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nText {number}\r\nFrom me\r\n".encode()


async def fill(house: House, count: int, name: str = "Work") -> str:
    """The mailbox's id."""
    box = await house.store.mailboxes.create(ALICE, name)
    for number in range(count):
        octets = letter(number)
        addition = Addition((box.id,), InlineBody(octets), parse_message(octets), received=1_790_000_000.0 + number)
        await house.store.messages.add(ALICE, [addition])
    return name_mailbox(ALICE, box.id)


async def send(browser: Browser, query: str, octets: bytes, media_type: str = "application/octet-stream") -> Answer:
    return await browser.call("POST", f"/api/import?{query}", raw=octets, headers={"content-type": media_type})


async def send_slowly(browser: Browser, query: str, begun: asyncio.Semaphore, gate: asyncio.Event) -> int:
    """An import whose body comes when the gate opens."""
    told: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        begun.release()
        await gate.wait()
        return {"type": "http.request", "body": letter(1), "more_body": False}

    async def answer(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    headers = {"host": browser.host, "cookie": browser.cookie, **browser.headers}
    await browser.app(
        make_scope("POST", f"/api/import?{query}", headers, (browser.peer, browser.scheme)), receive, answer
    )
    return int(told[0]["status"])


async def names(house: House) -> dict[str, int]:
    return {box.name: box.total for box in await house.store.mailboxes.list_all(ALICE) if box.role is not Role.INBOX}


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, octets in members.items():
            archive.writestr(name, octets)
    return file.getvalue()


# -- export


async def test_everything_leaves_as_a_zip_archive_that_others_read(house: House) -> None:
    await fill(house, 3)
    browser = await house.signed_in()
    answer = await browser.call("GET", "/api/export?format=zip")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="mail.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"Work/{uid:010}.eml" for uid in (1, 2, 3)]
        assert archive.read("Work/0000000001.eml") == letter(0)


async def test_a_mailbox_leaves_as_mbox_and_comes_back_octet_by_octet(house: House) -> None:
    work = await fill(house, 5)
    browser = await house.signed_in()
    answer = await browser.call("GET", f"/api/export?format=mbox&mailbox={work}")
    assert answer.headers["content-type"] == "application/mbox"
    assert answer.body.count(b"\nFrom MAILER-DAEMON") == 4
    other = await house.store.mailboxes.create(ALICE, "Other")
    told = await send(browser, f"format=mbox&mailbox={name_mailbox(ALICE, other.id)}", answer.body)
    assert told.json == {"imported": 5, "failed": 0, "troubles": [], "stopped": None}
    again = await browser.call("GET", f"/api/export?format=mbox&mailbox={name_mailbox(ALICE, other.id)}")
    assert again.body == answer.body


async def test_only_ones_own_mail_leaves(house: House) -> None:
    work = await fill(house, 1)
    bob = await house.signed_in("bob@example.org", "bob's own")
    assert (await bob.call("GET", f"/api/export?format=mbox&mailbox={work}")).status == 404
    assert (await send(bob, f"format=eml&mailbox={work}", letter(1))).status == 404
    answer = await bob.call("GET", "/api/export?format=zip")
    assert zipfile.ZipFile(io.BytesIO(answer.body)).namelist() == []


async def test_names_of_mailboxes_lead_out_of_no_directory(house: House) -> None:
    await fill(house, 1, "..")
    await fill(house, 1, "a\\b:c")
    browser = await house.signed_in()
    answer = await browser.call("GET", "/api/export?format=zip")
    found = sorted(zipfile.ZipFile(io.BytesIO(answer.body)).namelist())
    assert found == ["_/0000000001.eml", "a_b_c/0000000001.eml"]


@pytest.mark.parametrize("query", ["", "format=tar", "format=mbox", "format=", "mailbox=F1-1"])
async def test_an_export_must_be_asked_for_rightly(house: House, query: str) -> None:
    answer = await (await house.signed_in()).call("GET", f"/api/export?{query}")
    assert answer.status == 400
    assert answer.detail


@pytest.mark.parametrize("mailbox", ["F1-999", "F2-1", "x", "F1-", "A1", "F1-0"])
async def test_a_mailbox_that_is_not_there_is_told(house: House, mailbox: str) -> None:
    browser = await house.signed_in()
    assert (await browser.call("GET", f"/api/export?format=zip&mailbox={mailbox}")).status == 404
    assert (await send(browser, f"format=eml&mailbox={mailbox}", letter(1))).status == 404


# -- import


async def test_a_message_comes_in_as_it_is_with_line_ends_of_the_wire(house: House) -> None:
    work = await fill(house, 0)
    browser = await house.signed_in()
    told = await send(browser, f"format=eml&mailbox={work}", letter(1).replace(b"\r\n", b"\n"), "message/rfc822")
    assert told.json["imported"] == 1
    answer = await browser.call("GET", f"/api/export?format=zip&mailbox={work}")
    assert zipfile.ZipFile(io.BytesIO(answer.body)).read("Work/0000000001.eml") == letter(1)


async def test_directories_of_an_archive_are_mailboxes(house: House) -> None:
    browser = await house.signed_in()
    members = {
        "Work/1.eml": letter(1),
        "Work/2024/2.eml": letter(2),
        "3.eml": letter(3),
        "../../etc/4.eml": letter(4),
        "Outbox/5.eml": letter(5),
        "Scheduled/6.eml": letter(6),
        "Work/readme.html": b"no mail",
        "__MACOSX/._1.eml": b"no mail",
        "Work/": b"",
    }
    told = await send(browser, "format=zip", pack(members))
    assert told.json == {"imported": 6, "failed": 0, "troubles": [], "stopped": None}
    found = await names(house)
    assert found == {
        "Work": 1,
        "2024": 1,
        "Imported": 1,
        "etc": 1,
        "Outbox (imported)": 1,
        "Scheduled (imported)": 1,
    }


async def test_all_of_an_archive_goes_into_the_mailbox_that_was_named(house: House) -> None:
    work = await fill(house, 0)
    told = await send(
        await house.signed_in(), f"format=zip&mailbox={work}", pack({"a/1.eml": letter(1), "b/2.eml": letter(2)})
    )
    assert told.json["imported"] == 2
    assert await names(house) == {"Work": 2}


async def test_nothing_is_imported_into_outbox_and_scheduled(house: House) -> None:
    browser = await house.signed_in()
    scheduled = await house.store.mailboxes.open_role(ALICE, Role.SCHEDULED)
    outbox = await house.store.mailboxes.create(ALICE, "Outbox")
    for box in (scheduled, outbox):
        answer = await send(browser, f"format=eml&mailbox={name_mailbox(ALICE, box.id)}", letter(1))
        assert answer.status == 409


async def test_what_cannot_be_taken_is_passed_over_and_told(house: House) -> None:
    browser = await house.signed_in()
    members = {"Work/1.eml": letter(1), "Work/2.eml": b"x" * 200_000, "Work/3.eml": b"", "Work/4.eml": letter(4)}
    told = (await send(browser, "format=zip", pack(members))).json
    assert (told["imported"], told["failed"]) == (2, 2)
    assert told["troubles"] == ["Work/2.eml: longer than 100000 octets", "Work/3.eml: empty"]


async def test_a_damaged_member_does_not_spoil_the_others(house: House) -> None:
    archive = bytearray(pack({"W/1.eml": letter(1), "W/2.eml": letter(2)}, zipfile.ZIP_STORED))
    at = archive.find(b"Text 2")
    archive[at : at + 4] = b"Tent"
    told = (await send(await house.signed_in(), "format=zip", bytes(archive))).json
    assert (told["imported"], told["failed"]) == (1, 1)


async def test_a_zip_bomb_ends_early(house: House) -> None:
    bomb = pack({f"W/{number}.eml": b"\0" * 90_000 for number in range(300)})
    assert len(bomb) < 200_000
    answer = await send(await house.signed_in(), "format=zip", bomb)
    assert answer.status == 400
    assert "more than" in answer.detail


@pytest.mark.parametrize(
    "octets", [b"", b"PK", b"nothing at all", b"PK\5\6" + b"\xff" * 18, b"PK\5\6" + b"\0" * 18, b"\0" * 70_000]
)
async def test_what_is_no_archive_is_told(house: House, octets: bytes) -> None:
    answer = await send(await house.signed_in(), "format=zip", octets)
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert answer.json["imported"] == 0


async def test_an_archive_of_a_million_members_is_not_opened(house: House) -> None:
    end = b"PK\5\6" + b"\0" * 4 + b"\xff\xff" * 2 + (100 << 20).to_bytes(4, "little") + b"\0" * 6
    answer = await send(await house.signed_in(), "format=zip", end)
    assert answer.status == 400
    assert "too many" in answer.detail


async def test_what_is_no_mbox_is_told(house: House) -> None:
    work = await fill(house, 0)
    answer = await send(await house.signed_in(), f"format=mbox&mailbox={work}", b"no mbox at all")
    assert answer.status == 400
    assert "/proc" not in answer.detail


async def test_an_upload_beyond_the_limit_is_refused(house: House) -> None:
    work = await fill(house, 0)
    answer = await send(await house.signed_in(), f"format=eml&mailbox={work}", b"x" * (house.max_import + 1))
    assert answer.status == 413


async def test_a_full_account_takes_what_fits(house: House) -> None:
    house.store.quotas_of[ALICE] = QuotaLimit(emails=2)
    members = {f"W/{number}.eml": letter(number) for number in range(5)}
    told = (await send(await house.signed_in(), "format=zip", pack(members))).json
    assert told["imported"] == 2
    assert told["stopped"]


async def test_a_store_that_cannot_write_is_a_503(house: House) -> None:
    work = await fill(house, 0)
    browser = await house.signed_in()
    house.store.full = True
    answer = await send(browser, f"format=eml&mailbox={work}", letter(1))
    assert answer.status == 503
    house.store.full = False
    assert (await send(browser, f"format=eml&mailbox={work}", letter(1))).json["imported"] == 1


async def test_nothing_is_left_behind_on_the_disk(house: House) -> None:
    before = sorted(path.name for path in Path(house.folder).iterdir())
    await send(await house.signed_in(), "format=zip", pack({"W/1.eml": letter(1)}))
    assert sorted(path.name for path in Path(house.folder).iterdir()) == before


@pytest.mark.parametrize("query", ["", "format=mbox", "format=eml", "format=maildir"])
async def test_an_import_must_be_asked_for_rightly(house: House, query: str) -> None:
    answer = await send(await house.signed_in(), query, letter(1))
    assert answer.status == 400


async def test_an_account_has_so_many_transfers_at_a_time(house: House) -> None:
    work, browser = await fill(house, 0), await house.signed_in()
    bob = await house.signed_in("bob@example.org", "bob's own")
    gate = asyncio.Event()
    begun = asyncio.Semaphore(0)
    slow = [asyncio.create_task(send_slowly(browser, f"format=eml&mailbox={work}", begun, gate)) for _ in range(2)]
    for _ in slow:
        await begun.acquire()
    assert (await send(browser, f"format=eml&mailbox={work}", letter(1))).status == 429
    assert (await browser.call("GET", "/api/export?format=zip")).status == 429
    assert (await bob.call("GET", "/api/export?format=zip")).status == 200
    gate.set()
    assert await asyncio.gather(*slow) == [200, 200]
    assert (await send(browser, f"format=eml&mailbox={work}", letter(1))).status == 200
