"""What schemathesis makes up from the document of the HTTP API, sent to a real listener: never a 500, and every answer
as the document has it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from posthouse.app.web_api_document import describe
from posthouse.ports.clock import FakeClock
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeLog
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.http import HttpServer
from posthouse.trust.web_logins import Browser
from tests.app.test_web_api_server import ITEM
from tests.app.web_api_kit import ADMIN, House, open_house

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
_EXAMPLES = 5
_FIGURES = {"at": "2026-11-24T09:00:00.000Z", "now": {"received": 5}, "minutes": []}


class Served:
    """A house behind a listener of its own, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.port = 0
        self.house: House | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def sign_in(self) -> str:
        """The cookie of a new session of the administrator."""
        assert self.house is not None
        login = Login(ADMIN, "root@example.org", "WEB")
        begun = self.house.logins.begin(login, Browser("127.0.0.1"), "password")
        return f"posthouse={asyncio.run_coroutine_threadsafe(begun, self._loop).result(10)}"

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        with tempfile.TemporaryDirectory() as folder:
            async for house in open_house(Path(folder)):
                house.link.answers |= {
                    "web.queue.list": {"items": [ITEM], "more": False, "unanswered": ""},
                    "web.queue.show": lambda _: ITEM,
                    "web.queue.change": {"changed": 1, "unknown": [], "unanswered": []},
                    "web.sessions.list": {"items": [], "unanswered": ""},
                    "web.sessions.kill": {"changed": 1, "unanswered": []},
                    "web.figures": _FIGURES,
                }
                limits = AdmissionLimits(per_address=0, per_network=0)
                server = HttpServer(house.api.make_routes(), Admission(limits), FakeClock(), FakeLog())
                listener = socket.create_server(("127.0.0.1", 0))
                listener.setblocking(False)
                self.port, self.house = listener.getsockname()[1], house
                await server.start(listener, None)
                self._ready.set()
                await self._over.wait()
                await server.drain(1.0)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    started = Served()
    started.start()
    yield started
    started.stop()


_GROUPS = ["Signing in", "Settings", "Administration", "This document"]


@pytest.mark.parametrize("group", _GROUPS)
def test_no_request_is_a_500_and_answers_are_as_described(served: Served, group: str) -> None:
    try_all(served, group, _EXAMPLES)


@pytest.mark.soak
@pytest.mark.parametrize("group", _GROUPS)
def test_many_requests_find_no_500(served: Served, group: str) -> None:
    try_all(served, group, 200)


def try_all(served: Served, group: str, examples: int) -> None:
    assert served.house is not None
    document = json.loads(json.dumps(describe(served.house.api.endpoints, "0")))
    for methods in document["paths"].values():
        for told in methods.values():
            told.pop("security", None)  # passwords that it makes up would only slow us down: there is a cookie
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://localhost:{served.port}")
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if group in (operation.tags or ()):
            _try(operation, served, examples)
            tried += 1
    assert tried


def _try(operation: Any, served: Served, examples: int) -> None:
    house, cookie = served.house, served.sign_in()
    assert house is not None

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(operation.as_strategy())
    def call(case: Any) -> None:
        answer = case.call(headers={"Cookie": cookie, "X-Posthouse": "1"})
        case.validate_response(answer, checks=_CHECKS)
        assert not [event for event in house.log.events if event[0] == "error"]

    call()
