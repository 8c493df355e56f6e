"""`/view`: what of a message becomes a page, with which headers; and what happens when it cannot be taken apart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from posthouse.app.web_view_recent import Recent
from posthouse.mua.frame import POLICY
from posthouse.ports.clock import FakeClock
from tests.app.view_kit import ME, PNG, open_view, to_wire, wrap_page, write_mail
from tests.mua.hostile_check import check_page, list_cases

MESSAGES = list_cases("eml")


async def test_html_is_shown_as_a_page_of_its_own_under_a_policy_of_its_own() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p onclick=x>Hello <b>you</b></p>", "Hello")))
    answer = await room.get(f"/view/{ME}/{email}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["cache-control"] == "private, no-store"
    assert b"<p>Hello <b>you</b></p>" in answer.body


async def test_plain_text_is_shown_when_there_is_no_html() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail(text="Look at https://example.org/ <now>\n\n> old\n")))
    body = (await room.get(f"/view/{ME}/{email}")).body.decode()
    assert '<a href="https://example.org/"' in body
    assert "&lt;now&gt;" in body
    assert '<blockquote class="quote">' in body


async def test_flowed_text_is_joined_as_its_type_says() -> None:
    room = await open_view()
    octets = b"Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\nDonau \r\ndampf \r\nschiff\r\n"
    email = await room.add(octets)
    assert b"Donaudampfschiff" in (await room.get(f"/view/{ME}/{email}")).body


async def test_pictures_from_elsewhere_are_left_out_and_counted_until_they_are_asked_for() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail('<img src="https://a.example/1"><img src="http://b.example/2" alt=x>')))
    answer = await room.get(f"/view/{ME}/{email}")
    assert answer.headers["x-blocked-images"] == "2"
    assert b"src=" not in answer.body.partition(b"<body>")[2]
    answer = await room.get(f"/view/{ME}/{email}?images=1")
    assert answer.headers["x-blocked-images"] == "0"
    assert answer.body.count(b'src="/image?account=') == 2
    assert room.pictures.asked == []  # a page alone fetches nothing


async def test_pictures_within_the_message_are_shown_by_tickets() -> None:
    room = await open_view()
    mail = write_mail('<p>See</p><img src="cid:one@here">')
    mail.add_related(PNG, "image", "png", cid="<one@here>")
    email = await room.add(to_wire(mail))
    body = (await room.get(f"/view/{ME}/{email}")).body.decode()
    path = body.partition('src="')[2].partition('"')[0].replace("&amp;", "&")
    assert path.startswith(f"/preview/{ME}/B")
    answer = await room.get(path, cookie="")
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_when_too_many_are_shown_at_once_it_is_said_and_tried_anew() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p>html</p>", "plain")))
    room.helper.is_busy = True
    assert (await room.get(f"/view/{ME}/{email}")).status == 503
    room.helper.is_busy = False
    assert b"<p>html</p>" in (await room.get(f"/view/{ME}/{email}")).body


async def test_a_message_that_cannot_be_taken_apart_is_shown_as_plain_text() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p>html</p>", "plain & simple")))
    room.helper.failing = "too slow"
    answer = await room.get(f"/view/{ME}/{email}")
    assert answer.status == 200
    assert b'<div class="text">plain &amp; simple' in answer.body
    assert b"html</p>" not in answer.body


async def test_html_without_plain_text_that_cannot_be_taken_apart_is_stripped() -> None:
    room = await open_view()
    email = await room.add(wrap_page(b"<div>" * 2000 + b"deep <script>alert(1)</script>"))
    answer = await room.get(f"/view/{ME}/{email}")
    assert answer.status == 200
    assert b"deep" in answer.body
    assert b"script" not in answer.body


async def test_of_a_large_page_that_cannot_be_taken_apart_the_beginning_is_stripped() -> None:
    """Its sender decides what is in it, and stripping holds up everybody else."""
    room = await open_view()
    email = await room.add(wrap_page(b"<p>first</p>\r\n" + b"<p>more</p>\r\n" * 40_000 + b"<p>last</p>"))
    room.helper.failing = "too slow"
    answer = await room.get(f"/view/{ME}/{email}")
    assert answer.status == 200
    assert b"first" in answer.body and b"more" in answer.body
    assert b"last" not in answer.body


async def test_in_the_dark_colours_are_turned_over() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail('<p style="color:#000;background-color:#fff">x</p>')))
    body = (await room.get(f"/view/{ME}/{email}?dark=1")).body.decode()
    assert '<html class="dark">' in body
    assert "color:rgb(232,232,232);background-color:rgb(28,28,28)" in body


async def test_only_who_is_signed_in_sees_mail_and_only_their_own() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p>x")))
    assert (await room.get(f"/view/{ME}/{email}", cookie="")).status == 401
    assert (await room.get(f"/view/A99/{email}")).status == 404
    assert (await room.get(f"/view/{ME}/M{ME[1:]}-999")).status == 404
    assert (await room.get(f"/view/{ME}/nonsense")).status == 404
    assert (await room.get(f"/view/{ME}/{email.replace('M', 'T')}")).status == 404


async def test_a_page_that_is_asked_for_twice_at_once_is_made_once() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p>x")))
    first, second = await asyncio.gather(*[room.get(f"/view/{ME}/{email}") for _ in range(2)])
    assert first.body == second.body
    assert len(room.helper.jobs) == 1
    await room.get(f"/view/{ME}/{email}?dark=1")
    assert len(room.helper.jobs) == 2
    room.desk.house.clock.advance(11.0)
    await room.get(f"/view/{ME}/{email}")
    assert len(room.helper.jobs) == 3


async def test_what_is_kept_of_a_page_is_for_its_reader_alone() -> None:
    room = await open_view()
    email = await room.add(to_wire(write_mail("<p>x")))
    assert (await room.get(f"/view/{ME}/{email}")).status == 200
    assert (await room.get(f"/view/{ME}/{email}", cookie="")).status == 401


async def test_a_reader_who_goes_away_takes_no_page_along() -> None:
    recent: Recent[int] = Recent(FakeClock())
    gate = asyncio.Event()

    async def make() -> int:
        await gate.wait()
        return 7

    first, second = (asyncio.create_task(recent.get("a", make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    gate.set()
    assert await second == 7


async def test_a_page_that_could_not_be_made_is_tried_again() -> None:
    recent: Recent[int] = Recent(FakeClock())

    async def fail() -> int:
        raise ValueError

    async def make() -> int:
        return 7

    with pytest.raises(ValueError):
        await recent.get("a", fail)
    assert await recent.get("a", make) == 7


@pytest.mark.parametrize("case", MESSAGES, ids=[case.stem for case in MESSAGES])
async def test_a_message_whose_header_is_the_trick_is_harmless(case: Path) -> None:
    room = await open_view()
    email = await room.add(case.read_bytes())
    for query in ("", "?images=1&dark=1"):
        answer = await room.get(f"/view/{ME}/{email}{query}")
        assert answer.status == 200
        check_page(answer.body.decode())
