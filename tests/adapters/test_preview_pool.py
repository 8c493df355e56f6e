"""Helpers: what they decode, what they cannot do, how they end. Real processes."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from posthouse.adapters.preview_confine import Done, Job
from posthouse.adapters.preview_pool import IDLE_S, Helper, HelperBusy, HelperFailed, Room, Turns
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog

DECODER = "posthouse.app.web_view_helper"
ALICE, BOB = 1, 2
ATTACKER = "tests.adapters.preview_misbehaving"


@asynccontextmanager
async def helping(module: str, clock: FakeClock | None = None, **more: object) -> AsyncIterator[Helper]:
    helper = Helper(module, clock or FakeClock(), FakeLog(), **more)  # type: ignore[arg-type]
    yield helper
    await helper.close()


def write_picture(picture: Image.Image, kind: str, **more: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, kind, **more)
    return written.getvalue()


def read_picture(done: Done) -> Image.Image:
    picture = Image.open(io.BytesIO(done.octets))
    assert picture.format == "WEBP"
    return picture


def write_pdf(pages: int) -> bytes:
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(300, 400)
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


# -- what they decode


async def test_all_raster_types_are_decoded_and_made_small() -> None:
    picture = Image.new("RGB", (64, 32), (200, 10, 10))
    async with helping(DECODER) as helper:
        for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO"):
            job = Job("picture", write_picture(picture, kind), {"width": 16})
            shown = read_picture(await helper.run(job, ALICE))
            assert shown.width == 16, kind


async def test_a_moving_picture_keeps_moving() -> None:
    frames = [Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (0, 90, 200)]
    octets = write_picture(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    async with helping(DECODER) as helper:
        shown = read_picture(await helper.run(Job("picture", octets, {}), ALICE))
    assert getattr(shown, "n_frames", 1) == 3


async def test_what_cameras_write_about_a_picture_is_left_behind() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "a camera"
    octets = write_picture(Image.new("RGB", (40, 20)), "JPEG", exif=exif)
    async with helping(DECODER) as helper:
        done = await helper.run(Job("picture", octets, {}), ALICE)
    assert read_picture(done).size == (20, 40)
    assert b"a camera" not in done.octets


async def test_a_page_of_a_pdf_is_a_picture_and_pages_are_counted() -> None:
    async with helping(DECODER) as helper:
        done = await helper.run(Job("pdf", write_pdf(3), {"width": 150, "page": 2}), ALICE)
        assert done.figures["pages"] == 3
        assert read_picture(done).size == (150, 200)
        with pytest.raises(HelperFailed, match="page 4 of 3"):
            await helper.run(Job("pdf", write_pdf(3), {"page": 4}), ALICE)


async def test_a_decompression_bomb_is_not_decoded() -> None:
    bomb = write_picture(Image.new("1", (20_000, 20_000)), "PNG")
    async with helping(DECODER) as helper:
        with pytest.raises(HelperFailed):
            await helper.run(Job("picture", bomb, {}), ALICE)
        # The same helper goes on.
        small = write_picture(Image.new("L", (4, 4)), "PNG")
        assert read_picture(await helper.run(Job("picture", small, {}), ALICE)).size == (4, 4)


@pytest.mark.parametrize("octets", [b"", b"<svg/>", b"%!PS-Adobe", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"%PDF-1.4 broken"])
async def test_what_cannot_be_decoded_is_refused(octets: bytes) -> None:
    async with helping(DECODER) as helper:
        for kind in ("picture", "pdf"):
            with pytest.raises(HelperFailed):
                await helper.run(Job(kind, octets, {}), ALICE)


async def test_html_is_taken_apart_in_a_helper() -> None:
    async with helping(DECODER) as helper:
        done = await helper.run(Job("html", b"<p onclick=x>a<script>b</script>", {}), ALICE)
        assert done.octets == (8).to_bytes(4, "big") + b"<p>a</p>"
        with pytest.raises(HelperFailed, match="TooComplex"):
            await helper.run(Job("html", b"<div>" * 5_000, {}), ALICE)


# -- what they cannot do


@pytest.mark.parametrize(
    "job",
    ["connect", "connect in place of a pipe", "read a file", "write a file", "run a program", "fork", "signal", "eat"],
)
async def test_who_takes_over_a_decoder_can_do_nothing_with_it(job: str) -> None:
    async with helping(ATTACKER) as helper:
        with pytest.raises(HelperFailed):
            await helper.run(Job(job, b"", {}), ALICE)
    assert not Path("/tmp/posthouse-preview-test").exists()


async def test_a_helper_has_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOUSE_SECRET", "x")
    async with helping(ATTACKER) as helper:
        done = await helper.run(Job("environment", b"", {}), ALICE)
    assert set(done.octets.decode().split()) <= {"PYTHONPATH", "LC_ALL", "LC_CTYPE"}


# -- how they end


async def test_a_job_that_takes_too_long_is_killed_and_the_next_one_gets_a_new_process() -> None:
    async with helping(ATTACKER, seconds=0.3) as helper:
        await helper.run(Job("echo", b"x", {}), ALICE)
        first = helper.pid
        with pytest.raises(HelperFailed, match="too slow"):
            await helper.run(Job("spin", b"", {}), ALICE)
        assert helper.pid is None
        assert (await helper.run(Job("echo", b"again", {}), ALICE)).octets == b"again"
        assert helper.pid != first


@pytest.mark.parametrize("job", ["die", "babble"])
async def test_a_broken_helper_is_replaced(job: str) -> None:
    async with helping(ATTACKER) as helper:
        with pytest.raises(HelperFailed):
            await helper.run(Job(job, b"", {}), ALICE)
            # Babble may come as an answer of its own: the next one is none.
            await helper.run(Job("echo", b"", {}), ALICE)
        assert (await helper.run(Job("echo", b"again", {}), ALICE)).octets == b"again"


async def test_the_answer_to_a_job_nobody_waits_for_is_not_given_to_the_next_one() -> None:
    async with helping(ATTACKER) as helper:
        await helper.run(Job("echo", b"x", {}), ALICE)
        waiting = asyncio.create_task(helper.run(Job("echo", b"secret" * 100_000, {}), ALICE))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await helper.run(Job("echo", b"mine", {}), ALICE)).octets == b"mine"


async def test_jobs_wait_for_each_other_up_to_a_number() -> None:
    async with helping(ATTACKER, room=Room(2)) as helper:
        jobs = [helper.run(Job("echo", b"%d" % number, {}), ALICE) for number in range(3)]
        told = await asyncio.gather(*jobs, return_exceptions=True)
    assert [each.octets for each in told if isinstance(each, Done)] == [b"0", b"1"]
    assert isinstance(told[2], HelperBusy)


async def test_an_account_that_has_many_jobs_leaves_room_and_turns_to_others() -> None:
    ended: list[str] = []

    async def run(helper: Helper, name: str, account: int) -> None:
        await helper.run(Job("echo", b"", {}), account)
        ended.append(name)

    async with helping(ATTACKER, room=Room(6, 4)) as helper:
        jobs = [run(helper, f"alice{number}", ALICE) for number in range(5)]
        told = await asyncio.gather(*jobs, run(helper, "bob", BOB), return_exceptions=True)
    assert [type(each) for each in told if each is not None] == [HelperBusy]
    assert ended == ["alice0", "alice1", "bob", "alice2", "alice3"]


async def test_a_turn_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    turns = Turns()
    await turns.take(ALICE)
    first, second = (asyncio.create_task(turns.take(who)) for who in (ALICE, BOB))
    third = asyncio.create_task(turns.take(ALICE))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    turns.pass_on()
    first.cancel()  # in the moment in which its turn comes
    await asyncio.wait_for(third, 5)
    assert first.cancelled() and turns.is_taken
    turns.pass_on()
    assert not turns.is_taken


async def test_an_idle_helper_is_ended() -> None:
    clock = FakeClock()
    async with helping(ATTACKER, clock) as helper:
        await helper.run(Job("echo", b"", {}), ALICE)
        await helper.sweep()
        pid = helper.pid
        assert pid is not None
        clock.advance(IDLE_S + 1)
        await helper.sweep()
        assert helper.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_helper_that_cannot_start_is_a_failure_like_another() -> None:
    async with helping("posthouse.no_such_module") as helper:
        with pytest.raises(HelperFailed):
            await helper.run(Job("echo", b"", {}), ALICE)
