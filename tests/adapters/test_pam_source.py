"""PAM as a source, with a library that answers what it is told; tests/interop has the real one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.pam import LibPam, PamSource, has_service
from posthouse.ports.compute import FakeCompute
from posthouse.ports.credentials import SourceAnswer
from posthouse.ports.observe import FakeLog


class FakePam:
    def __init__(self, code: int = 7) -> None:
        self.code = code
        self.asked: list[tuple[str, str]] = []

    def authenticate(self, service: str, user: str, password: str) -> int:
        self.asked.append((service, user))
        return 0 if password == "right" else self.code


class SlowPam:
    """Blocks until it is let go; `most` is how many were in it at one time."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.count = self.most = 0
        self._lock = threading.Lock()

    def authenticate(self, service: str, user: str, password: str) -> int:
        with self._lock:
            self.count += 1
            self.most = max(self.most, self.count)
        self.gate.wait(20)
        with self._lock:
            self.count -= 1
        return 0


def make(pam: FakePam, log: FakeLog | None = None, user: str = "{address}") -> PamSource:
    return PamSource("posthouse", user, pam, FakeCompute(), 1.0, log or FakeLog())


async def test_pam_decides() -> None:
    pam = FakePam()
    assert await make(pam).check("alice@example.org", "right") is SourceAnswer.YES
    assert await make(pam).check("alice@example.org", "wrong") is SourceAnswer.NO
    assert await make(pam, user="{local}").check("alice@example.org", "right") is SourceAnswer.YES
    assert pam.asked == [("posthouse", "alice@example.org")] * 2 + [("posthouse", "alice")]


async def test_an_empty_password_is_not_asked_about() -> None:
    pam = FakePam()
    assert await make(pam).check("alice@example.org", "") is SourceAnswer.NO
    assert pam.asked == []


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (6, "no"),
        (10, "no"),
        (13, "no"),
        (3, "unavailable"),
        (4, "unavailable"),
        (9, "unavailable"),
        (26, "unavailable"),
    ],
)
async def test_only_a_refusal_is_a_wrong_password(code: int, answer: str) -> None:
    log = FakeLog()
    assert (await make(FakePam(code), log).check("alice@example.org", "wrong")).value == answer
    assert bool(log.events) is (answer == "unavailable")
    assert "wrong" not in repr(log.events)


async def test_a_machine_without_pam_is_no_wrong_password() -> None:
    log = FakeLog()
    source = PamSource("posthouse", "{local}", LibPam("libnosuchpam.so.0"), FakeCompute(), 1.0, log)
    assert await source.check("alice@example.org", "right") is SourceAnswer.UNAVAILABLE
    assert log.events[0][0] == "error"


async def test_modules_that_block_use_up_a_bounded_pool_and_not_the_loop() -> None:
    pam, compute, log = SlowPam(), ThreadCompute(2), FakeLog()
    source = PamSource("posthouse", "{local}", pam, compute, 0.2, log)
    answers = await asyncio.gather(*[source.check("alice@example.org", "right") for _ in range(12)])
    assert answers == [SourceAnswer.UNAVAILABLE] * 12
    assert pam.most == 2
    pam.gate.set()
    assert await source.check("alice@example.org", "right") is SourceAnswer.YES
    compute.close()


def test_a_service_that_has_no_file_is_found_out() -> None:
    assert not has_service("no-such-service-of-posthouse")
