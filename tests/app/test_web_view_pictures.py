"""`/image`, `/preview`, `/attachments`, `/calendar` and `/api/unsubscribe`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncGenerator

import pytest

from posthouse.mua.tickets import LIFETIME_S, Signer
from tests.access.jmap_kit import ALICE
from tests.app.view_kit import KEY, ME, PNG, ViewRoom, open_view, to_wire, write_mail

LOGO = "https://news.example/logo.png"
INVITATION = """BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VEVENT
SUMMARY:Tea
DTSTART:20260301T100000Z
END:VEVENT
END:VCALENDAR
"""


def sign(room: ViewRoom, account: str = ME) -> Signer:
    return Signer.until(KEY, account, room.view.clock.now())


# -- from elsewhere


async def test_a_picture_from_elsewhere_is_made_anew() -> None:
    room = await open_view()
    room.pictures.pictures[LOGO] = PNG
    answer = await room.get(sign(room).proxy(LOGO), cookie="")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.body[:4] == b"RIFF"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("logo", "other"),
        lambda url: url.replace(f"account={ME}", "account=A1"),
        lambda url: url.replace("expires=1", "expires=2"),
        lambda url: url.partition("&sig=")[0],
        lambda url: url[:-2],
        lambda url: url.replace("sig=", "sig=%C3%A4"),
    ],
)
async def test_a_url_that_we_did_not_sign_is_not_fetched(change) -> None:  # type: ignore[no-untyped-def]
    room = await open_view()
    room.pictures.pictures[LOGO] = PNG
    assert (await room.get(change(sign(room).proxy(LOGO)))).status == 403
    assert room.pictures.asked == []


async def test_a_ticket_ends() -> None:
    room = await open_view()
    room.pictures.pictures[LOGO] = PNG
    url = sign(room).proxy(LOGO)
    room.desk.house.clock.advance(LIFETIME_S + 3600)
    assert (await room.get(url)).status == 403


@pytest.mark.parametrize("octets", [b"<svg onload=alert(1)>", b"<html>", b"", b"%PDF-1.4", b"GIF89a broken"])
async def test_what_is_no_raster_picture_is_not_passed_on(octets: bytes) -> None:
    room = await open_view()
    room.pictures.pictures[LOGO] = octets
    answer = await room.get(sign(room).proxy(LOGO))
    assert answer.status == 415
    assert octets == b"" or octets not in answer.body


async def test_a_picture_that_cannot_be_fetched_is_502() -> None:
    room = await open_view()
    assert (await room.get(sign(room).proxy(LOGO))).status == 502


# -- of messages


async def attach(room: ViewRoom, octets: bytes, kind: str, name: str) -> str:
    mail = write_mail(text="see there")
    main, _, sub = kind.partition("/")
    mail.add_attachment(octets, main, sub, filename=name)
    email = await room.add(to_wire(mail))
    return f"/preview/{ME}/B{email.partition('-')[2]}-2"


async def test_a_picture_is_previewed_whatever_its_type_says() -> None:
    room = await open_view()
    answer = await room.get(await attach(room, PNG, "application/octet-stream", "x.bin"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_html_and_svg_are_never_previewed_as_such() -> None:
    room = await open_view()
    for octets, kind in ((b"<script>1</script>", "text/html"), (b"<svg onload=alert(1)>", "image/svg+xml")):
        answer = await room.get(await attach(room, octets, kind, "x") + "?type=text/html")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


async def test_text_is_previewed_as_text() -> None:
    room = await open_view()
    answer = await room.get(await attach(room, "größer".encode("latin-1"), "text/csv", "x.csv"))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.body.decode() == "größer"


async def test_what_has_no_preview_is_415() -> None:
    room = await open_view()
    assert (await room.get(await attach(room, b"\0\1\2", "application/x-thing", "x"))).status == 415


async def test_a_ticket_of_a_picture_opens_no_other_kind_of_file() -> None:
    room = await open_view()
    path = await attach(room, b"secret text", "text/plain", "x.txt")
    blob = path.rpartition("/")[2]
    assert (await room.get(sign(room).preview(blob, 100), cookie="")).status == 415
    assert (await room.get(path, cookie="")).status == 401


async def test_a_ticket_of_another_account_opens_nothing() -> None:
    room = await open_view()
    blob = (await attach(room, PNG, "image/png", "x.png")).rpartition("/")[2]
    url = sign(room).preview(blob, 100)
    assert (await room.get(url.replace(f"/{ME}/", "/A1/"), cookie="")).status == 403
    assert (await room.get(sign(room, "A1").preview(blob, 100), cookie="")).status == 404


# -- all at once


async def test_all_attachments_come_as_one_zip_file_with_names_that_are_no_paths() -> None:
    room = await open_view()
    mail = write_mail(text="see there")
    for name in ("../../etc/passwd", "a.txt", "A.TXT", 'C:\\x"<y>.doc', "\u202egpj.exe"):
        mail.add_attachment(name.encode(), "application", "octet-stream", filename=name)
    email = await room.add(to_wire(mail))
    answer = await room.get(f"/attachments/{ME}/{email}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment;")
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    names = archive.namelist()
    assert len(names) == len({name.casefold() for name in names}) == 5
    assert names[0] == "_.._etc_passwd"
    assert "a.txt" in names and "A (2).TXT" in names
    assert not any(set(name) & set('/\\:"<>\u202e') for name in names)
    assert archive.read("a.txt") == b"a.txt"


async def test_a_zip_file_counts_as_long_as_it_is_sent_and_not_longer() -> None:
    room = await open_view()
    mail = write_mail(text="see")
    mail.add_attachment(b"a", maintype="image", subtype="png", filename="a.png")
    email = await room.add(to_wire(mail))
    held = [room.view.limits.count_download(ALICE.id, each) for each in (nothing(), nothing())]
    assert (await room.get(f"/attachments/{ME}/{email}")).status == 429
    for each in held:
        await each.aclose()
    for _ in range(3):
        assert (await room.get(f"/attachments/{ME}/{email}")).status == 200


async def nothing() -> AsyncGenerator[bytes, None]:
    yield b""


async def test_a_message_without_attachments_has_no_zip_file() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail(text="nothing")))
    assert (await room.get(f"/attachments/{ME}/{email}")).status == 404


# -- lists and invitations


async def unsubscribe(room: ViewRoom, **fields: str) -> tuple[int, object]:
    email = await room.add(to_wire(write_mail(text="news", **fields)))
    answer = await room.post("/api/unsubscribe", {"emailId": email})
    return answer.status, answer.json


async def test_one_click_is_done_by_the_server() -> None:
    room = await open_view()
    status, told = await unsubscribe(
        room,
        List_Unsubscribe="<mailto:leave@news.example>, <https://news.example/leave?u=1>",
        List_Unsubscribe_Post="List-Unsubscribe=One-Click",
    )
    assert (status, told) == (200, {"isDone": True, "page": "", "mail": ""})
    assert room.pictures.posted == [("https://news.example/leave?u=1", {"List-Unsubscribe": "One-Click"})]


async def test_without_one_click_the_reader_is_told_where_to_go() -> None:
    room = await open_view()
    status, told = await unsubscribe(room, List_Unsubscribe="<https://news.example/leave>, <mailto:a@b.example>")
    assert (status, told) == (
        200,
        {"isDone": False, "page": "https://news.example/leave", "mail": "mailto:a@b.example"},
    )
    assert room.pictures.posted == []


@pytest.mark.parametrize("status", [0, 302, 404, 500])
async def test_one_click_that_fails_leads_to_the_page(status: int) -> None:
    room = await open_view()
    room.pictures.status = status
    _, told = await unsubscribe(
        room, List_Unsubscribe="<https://news.example/leave>", List_Unsubscribe_Post="List-Unsubscribe=One-Click"
    )
    assert told == {"isDone": False, "page": "https://news.example/leave", "mail": ""}


async def test_mail_of_no_list_cannot_be_left() -> None:
    room = await open_view()
    assert (await unsubscribe(room))[0] == 404
    assert (await room.post("/api/unsubscribe", {"emailId": "M1-999"})).status == 404
    assert (await room.post("/api/unsubscribe", ["x"])).status == 400


async def test_an_invitation_is_told_as_json() -> None:
    room = await open_view()
    path = await attach(room, INVITATION.encode(), "text/calendar", "x.ics")
    answer = await room.get(path.replace("/preview/", "/calendar/"))
    assert answer.status == 200
    assert answer.json["summary"] == "Tea"
    assert answer.json["start"] == {
        "local": "2026-03-01T10:00:00",
        "zone": "UTC",
        "isWholeDay": False,
        "utc": "2026-03-01T10:00:00Z",
    }
    assert (
        await room.get((await attach(room, b"x", "text/calendar", "y.ics")).replace("preview", "calendar"))
    ).status == 415
