"""submit.sock as `posthouse sendmail` sees it, with the inbound role on fakes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.app.submit import SubmitServer
from posthouse.app.submit_protocol import EX_TEMPFAIL, SubmitEnvelope, SubmitFrame, decode_submit, encode_submit
from posthouse.mta.inbound import InboundSession
from posthouse.ports.observe import FakeLog
from tests.mta.inbound_kit import Desktop


class Lab:
    def __init__(self, path: Path) -> None:
        self.desktop = Desktop()
        self.path = str(path)
        self.server = SubmitServer(lambda peer: InboundSession(self.desktop.desk, peer), 1 << 20, FakeLog())

    async def start(self) -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.path)
        await self.server.start(listening)

    async def submit(self) -> SubmitFrame:
        reader, writer = await asyncio.open_unix_connection(self.path)
        envelope = SubmitEnvelope(sender="alice@ours.example", recipients=["bob@ours.example"])
        for frame in (
            SubmitFrame(submit=envelope),
            SubmitFrame(body=b"Subject: x\r\n\r\nhello\r\n"),
            SubmitFrame(end=True),
        ):
            writer.write(encode_submit(frame))
        async with asyncio.timeout(5):
            answer = decode_submit((await reader.read())[4:])
        writer.close()
        return answer


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path / "s")
    await lab.start()
    yield lab
    await lab.server.drain(1.0)


async def test_a_submitted_message_is_queued_under_the_uid_of_its_sender(lab: Lab) -> None:
    answer = await lab.submit()
    assert answer.done is not None
    (message,) = lab.desktop.onward.taken
    assert (message.id, message.source) == (answer.done.id, f"uid:{os.getuid()}")


async def test_a_growing_backlog_makes_sendmail_wait_and_then_takes_the_message(lab: Lab) -> None:
    lab.desktop.onward.delay = 0.01
    assert (await lab.submit()).done is not None
    assert len(lab.desktop.onward.taken) == 1


async def test_a_backlog_that_is_too_large_makes_sendmail_try_again_later(lab: Lab) -> None:
    lab.desktop.onward.delay = None
    answer = await lab.submit()
    assert answer.error is not None
    assert (answer.error.code, answer.error.exit) == (421, EX_TEMPFAIL)
    assert lab.desktop.onward.taken == []


async def test_addresses_are_verified_one_by_one_and_nothing_is_queued(lab: Lab) -> None:
    reader, writer = await asyncio.open_unix_connection(lab.path)
    envelope = SubmitEnvelope("alice@ours.example", ["bob@ours.example", "nobody@ours.example", "no address"])
    writer.write(encode_submit(SubmitFrame(verify=envelope)))
    async with asyncio.timeout(5):
        answer = decode_submit((await reader.read())[4:])
    writer.close()
    assert answer.verdicts is not None
    assert [(each.address, each.code) for each in answer.verdicts] == [
        ("bob@ours.example", 250),
        ("nobody@ours.example", 550),
        ("no address", 501),
    ]
    assert lab.desktop.onward.taken == []
