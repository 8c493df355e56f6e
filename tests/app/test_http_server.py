"""HTTP in a worker's loop: plain handlers, bounds, admission, draining; and the routes every worker has."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from posthouse.adapters.metrics import PlainMetrics
from posthouse.adapters.net.tls import make_self_signed, make_server_context
from posthouse.app.http_routes import make_routes, may_read_metrics
from posthouse.app.rpc import CoordinatorLink
from posthouse.ports.observe import FakeLog
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.http_messages import HttpAnswer, HttpRequest, HttpRoute
from posthouse.serve.http_reading import HttpLimits
from tests.serve.http_kit import serving


async def describe(request: HttpRequest) -> HttpAnswer:
    text = f"{request.method} {request.path} {dict(request.query)} {request.peer} {len(request.body)}"
    return HttpAnswer(201, text.encode(), headers={"X-Mark": request.headers.get("x-mark", "")})


async def test_a_handler_gets_and_gives_plain_values() -> None:
    async with serving(HttpRoute("/thing", describe, ("GET", "POST"))) as lab:
        answer = await lab.get("/thing?a=1&b=%20", "X-Mark: seen")
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert answer.endswith(b"GET /thing {'a': '1', 'b': ' '} 127.0.0.1 0")
        assert b"x-mark: seen" in answer.lower()
        assert b"nosniff" in answer
        assert (await lab.get("/other")).startswith(b"HTTP/1.1 404 ")
        posted = await lab.send(
            b"POST /thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
        )
        assert posted.endswith(b" 5")
        assert (await lab.send(b"PUT /thing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 405 "
        )


async def test_a_defect_in_a_handler_is_a_500_and_logged() -> None:
    async def break_down(request: HttpRequest) -> HttpAnswer:
        raise KeyError("secret")

    async with serving(HttpRoute("/", break_down)) as lab:
        answer = await lab.get("/")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer
    assert lab.log.events == [("error", "HTTP request failed", {"path": "/"})]


async def test_a_handler_that_takes_too_long_is_ended() -> None:
    async def wait(request: HttpRequest) -> HttpAnswer:
        await asyncio.get_running_loop().create_future()
        return HttpAnswer()

    async with serving(HttpRoute("/", wait), limits=HttpLimits(request_s=0.05)) as lab:
        assert (await lab.get("/")).startswith(b"HTTP/1.1 408 ")


async def test_a_body_too_large_is_413() -> None:
    async with serving(HttpRoute("/", describe, ("POST",)), limits=HttpLimits(body=1000)) as lab:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n"
        assert (await lab.send(head + b"x" * 2000)).startswith(b"HTTP/1.1 413 ")


async def test_a_head_without_end_is_cut_off() -> None:
    async with serving(HttpRoute("/", describe), limits=HttpLimits(head=5000)) as lab:
        assert await lab.send(b"GET / HTTP/1.1\r\n" + b"X-Fill: yes\r\n" * 100_000) == b""


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHo"])
async def test_a_client_that_says_nothing_is_let_go(start: bytes) -> None:
    async with serving(HttpRoute("/", describe), limits=HttpLimits(head_s=0.05)) as lab:
        assert await lab.send(start) == b""


async def test_garbage_is_answered_and_closed() -> None:
    async with serving(HttpRoute("/", describe)) as lab:
        assert (await lab.send(b"\x16\x03\x01 nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_connections_pass_admission_and_leave_it() -> None:
    admission = Admission(AdmissionLimits(per_address=1))
    async with serving(HttpRoute("/", describe), admission=admission) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        told = await lab.get("/")
        assert told.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in told
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        assert b" 201 " in await lab.get("/")
    assert admission.total == 0


async def test_who_is_turned_away_in_crowds_or_asks_nothing_is_cut_off() -> None:
    admission = Admission(AdmissionLimits(per_address=1))
    admission.admit("127.0.0.1", 0.0)
    limits = HttpLimits(turned=1, turned_s=0.1)
    async with serving(HttpRoute("/", describe), admission=admission, limits=limits) as lab:
        silent = asyncio.create_task(lab.send(b""))
        while not lab.server.connections:
            await asyncio.sleep(0)
        assert await lab.get("/") == b""
        assert await silent == b""
        assert (await lab.get("/")).startswith(b"HTTP/1.1 503 ")
    assert admission.total == 1


async def test_draining_answers_what_is_in_hand_and_drops_the_idle() -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    async def wait(request: HttpRequest) -> HttpAnswer:
        entered.set()
        await gate.wait()
        return HttpAnswer(body=b"done")

    async with serving(HttpRoute("/", wait)) as lab:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", lab.port)
        busy = asyncio.create_task(lab.get("/"))
        await entered.wait()
        draining = asyncio.create_task(lab.server.drain(20.0))
        assert await idle.read() == b""
        gate.set()
        assert (await busy).endswith(b"done")
        await draining
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", lab.port)
        idle_writer.close()


async def test_draining_ends_at_its_deadline() -> None:
    async def wait(request: HttpRequest) -> HttpAnswer:
        entered.set()
        await asyncio.get_running_loop().create_future()
        return HttpAnswer()

    entered = asyncio.Event()
    async with serving(HttpRoute("/", wait)) as lab:
        busy = asyncio.create_task(lab.get("/"))
        await entered.wait()
        await lab.server.drain(0.05)
        assert await busy == b""


async def test_https_with_a_key_read_through_proc(tmp_path: Path) -> None:
    certificate, key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    make_self_signed("mail.example.org", certificate, key)
    with open(certificate) as chain, open(key) as secret:
        tls = make_server_context(f"/proc/self/fd/{chain.fileno()}", f"/proc/self/fd/{secret.fileno()}")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    async with serving(HttpRoute("/", describe), tls=tls) as lab:
        assert b" 201 " in await lab.get("/", tls=client)


# -- the routes every worker has


def request_from(peer: str, **headers: str) -> HttpRequest:
    return HttpRequest("GET", "/metrics", {}, headers, peer, is_local=peer in ("", "::1", "127.0.0.1"))


@pytest.mark.parametrize(
    ("peer", "authorization", "token", "expected"),
    [
        ("127.0.0.1", "", None, True),
        ("::1", "", None, True),
        ("", "", None, True),
        ("192.0.2.1", "", None, False),
        ("192.0.2.1", "", b"secret", False),
        ("192.0.2.1", "Bearer secret", b"secret", True),
        ("192.0.2.1", "bearer secret ", b"secret", True),
        ("192.0.2.1", "Bearer wrong", b"secret", False),
        ("192.0.2.1", "Bearer ", b"", False),
        ("192.0.2.1", "Basic secret", b"secret", False),
    ],
)
def test_figures_are_for_loopback_or_the_token(
    peer: str, authorization: str, token: bytes | None, expected: bool
) -> None:
    assert may_read_metrics(request_from(peer, authorization=authorization), token) is expected


async def refuse() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    raise ConnectionRefusedError


async def test_without_a_coordinator_a_worker_tells_its_own_figures() -> None:
    metrics = PlainMetrics()
    metrics.counter("posthouse_things_total", "Things").inc(3)
    link = CoordinatorLink(refuse, {}, FakeLog())
    is_ready = False
    routes = make_routes(link, metrics, None, lambda: is_ready)
    async with serving(*routes) as lab:
        assert b"posthouse_things_total 3\n" in await lab.get("/metrics")
        assert b" 200 " in await lab.get("/healthz")
        assert b" 503 " in await lab.get("/readyz")
        is_ready = True
        assert b" 200 " in await lab.get("/readyz")
