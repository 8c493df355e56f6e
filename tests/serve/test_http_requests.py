"""Which route a request takes, and what a handler learns of its client."""

from __future__ import annotations

import asyncio
import ipaddress
import json

import pytest

from posthouse.message.peer import Network
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.http import HttpDoor
from posthouse.serve.http_messages import HttpAnswer, HttpRequest, HttpRoute, answer_json
from posthouse.serve.http_reading import HttpLimits
from posthouse.serve.http_routing import Router, read_parameters
from tests.serve.http_kit import Lab, serving

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"),)


async def show(request: HttpRequest) -> HttpAnswer:
    return answer_json(
        {
            "path": request.path,
            "query": dict(request.query),
            "parameters": dict(request.parameters),
            "peer": request.peer,
            "scheme": request.scheme,
            "isLocal": request.is_local,
            "cookies": request.cookies,
            "origin": request.origin,
        }
    )


async def fetch(lab: Lab, path: str, *headers: str) -> dict[str, object]:
    answer = await lab.get(path, *headers)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    told: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return told


# -- routes


def find(path: str, *patterns: str) -> str:
    found = Router([HttpRoute(pattern, show) for pattern in patterns]).find(path)
    return found[0].path if found else ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/{rest*}"),
        ("/api", "/{rest*}"),
        ("/api/accounts", "/api/accounts"),
        ("/api/accounts/", "/api/{rest*}"),
        ("/api/accounts/a", "/api/accounts/{address}"),
        ("/api/accounts/a/password", "/api/accounts/{address}/password"),
        ("/api/accounts/a/other", "/api/{rest*}"),
        ("/api/accounts/new", "/api/accounts/new"),
        ("/api/accounts/new/password", "/api/accounts/{address}/password"),
        ("/api/%61ccounts", "/api/accounts"),
        ("/api%2Faccounts", "/{rest*}"),
        ("/up/a/", "/up/{a}/"),
        ("/up/a", "/{rest*}"),
        ("/" + "a/" * 100, ""),
    ],
)
def test_the_route_that_fits_best_takes_a_path(path: str, expected: str) -> None:
    patterns = (
        "/{rest*}",
        "/api/{rest*}",
        "/api/accounts",
        "/api/accounts/{address}",
        "/api/accounts/new",
        "/api/accounts/{address}/password",
        "/up/{a}/",
    )
    assert find(path, *patterns) == expected


def test_parameters_are_decoded_for_themselves() -> None:
    told = read_parameters("/d/{account}/{name}", "/d/A1/x%2Fy%20z%25")
    assert told == {"account": "A1", "name": "x/y z%"}
    assert read_parameters("/a/{rest*}", "/a/b/c%2Fd") == {"rest": "b/c/d"}


async def test_methods_of_a_path_may_have_routes_of_their_own() -> None:
    async def post(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(201)

    async with serving(HttpRoute("/a", show), HttpRoute("/a", post, ("POST",))) as lab:
        assert (await lab.get("/a")).startswith(b"HTTP/1.1 200 ")
        end = b" /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert (await lab.send(b"POST" + end)).startswith(b"HTTP/1.1 201 ")
        assert (await lab.send(b"HEAD" + end)).startswith(b"HTTP/1.1 200 ")
        refused = await lab.send(b"DELETE" + end)
    assert refused.startswith(b"HTTP/1.1 405 ")
    assert b"allow: GET, POST" in refused


async def test_parameters_query_and_cookies_reach_the_handler() -> None:
    async with serving(HttpRoute("/d/{name}", show)) as lab:
        told = await fetch(lab, "/d/x%2Fy?a=1&a=2&b", 'Cookie: s=abc; t="q"; s=later', "Cookie: u=1")
    assert told["parameters"] == {"name": "x/y"}
    assert told["query"] == {"a": "2", "b": ""}
    assert told["cookies"] == {"s": "abc", "t": "q", "u": "1"}


@pytest.mark.parametrize("host", ["a b", "a/b", "evil.example@good.example", "a\x80"])
async def test_a_host_that_is_none_is_refused(host: str) -> None:
    async with serving(HttpRoute("/", show)) as lab:
        answer = await lab.send(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_two_hosts_are_refused() -> None:
    async with serving(HttpRoute("/", show)) as lab:
        assert (await lab.get("/", "Host: other.example")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", ["/", "/nothing"])
async def test_a_request_without_host_is_refused_but_of_http_1_0(path: str) -> None:
    async with serving(HttpRoute("/", show)) as lab:
        told = await lab.send(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        assert told.startswith(b"HTTP/1.1 400 ")
        assert (await lab.send(b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


# -- who the client is


PROXIED = HttpDoor(proxy_networks=LOOPBACK)
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def read_shown(answer: bytes) -> dict[str, object]:
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    told: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return told


async def test_a_proxy_header_names_the_client_and_is_counted_as_that() -> None:
    admission = Admission(AdmissionLimits(per_address=1))
    async with serving(HttpRoute("/", show), door=PROXIED, admission=admission) as lab:
        told = read_shown(await lab.send(b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n" + REQUEST))
        assert (told["peer"], told["isLocal"]) == ("192.0.2.9", False)
        local = read_shown(await lab.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n" + REQUEST))
        assert (local["peer"], local["isLocal"]) == ("127.0.0.1", True)
    assert admission.total == 0


@pytest.mark.parametrize(("turned", "answer"), [(0, b""), (1, b"HTTP/1.1 503 ")])
async def test_who_is_turned_away_behind_a_proxy_is_not_served(turned: int, answer: bytes) -> None:
    served: list[HttpRequest] = []

    async def note(request: HttpRequest) -> HttpAnswer:
        served.append(request)
        return HttpAnswer()

    admission = Admission(AdmissionLimits(per_address=1))
    admission.admit("192.0.2.9", 0.0)
    limits = HttpLimits(turned=turned)
    async with serving(HttpRoute("/", note), door=PROXIED, admission=admission, limits=limits) as lab:
        told = await lab.send(b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n" + REQUEST)
    assert told.startswith(answer) and bool(told) == bool(answer)
    assert served == []


async def test_a_proxy_that_speaks_for_itself_is_not_this_machine() -> None:
    async with serving(HttpRoute("/", show), door=PROXIED) as lab:
        told = read_shown(await lab.send(b"PROXY UNKNOWN\r\n" + REQUEST))
    assert (told["peer"], told["isLocal"]) == ("127.0.0.1", False)


async def test_a_proxy_header_that_comes_in_pieces_or_never() -> None:
    async with serving(HttpRoute("/", show), door=PROXIED, limits=HttpLimits(head_s=0.2)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(b"PROXY TCP4 192.0.2.9 ")
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(b"198.51.100.1 4711 80\r\n" + REQUEST)
        assert read_shown(await reader.read())["peer"] == "192.0.2.9"
        writer.close()
        assert await lab.send(b"PROXY TCP4") == b""
        assert await lab.send(REQUEST) == b""
    assert [name for _, name, _ in lab.log.events] == ["proxy header refused"]


async def test_a_client_of_this_machine_is_local() -> None:
    async with serving(HttpRoute("/", show)) as lab:
        told = await fetch(lab, "/")
    assert (told["peer"], told["scheme"], told["isLocal"]) == ("127.0.0.1", "http", True)
    assert told["origin"] == "http://mail.example.org"


@pytest.mark.parametrize(
    "field", ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "Forwarded: for=127.0.0.1"]
)
async def test_what_a_stranger_says_of_itself_only_takes_away(field: str) -> None:
    async with serving(HttpRoute("/", show)) as lab:
        told = await fetch(lab, "/", field)
    assert (told["peer"], told["scheme"], told["isLocal"]) == ("127.0.0.1", "http", False)


async def test_a_trusted_proxy_tells_for_whom_it_speaks() -> None:
    async with serving(HttpRoute("/", show), door=HttpDoor(trusted=LOOPBACK)) as lab:
        told = await fetch(lab, "/", "X-Forwarded-For: 192.0.2.9, 203.0.113.5", "X-Forwarded-Proto: https")
    assert (told["peer"], told["scheme"], told["isLocal"]) == ("203.0.113.5", "https", False)
    assert told["origin"] == "https://mail.example.org"


async def test_trusted_proxies_in_a_row_are_passed_over() -> None:
    async with serving(HttpRoute("/", show), door=HttpDoor(trusted=LOOPBACK)) as lab:
        told = await fetch(lab, "/", "X-Forwarded-For: 192.0.2.9, ::ffff:127.0.0.7")
    assert told["peer"] == "192.0.2.9"


async def test_a_trusted_proxy_that_says_nothing_is_not_the_client() -> None:
    async with serving(HttpRoute("/", show), door=HttpDoor(trusted=LOOPBACK)) as lab:
        assert (await fetch(lab, "/"))["isLocal"] is False


async def test_a_proxy_that_names_no_address_is_refused() -> None:
    async with serving(HttpRoute("/", show), door=HttpDoor(trusted=LOOPBACK)) as lab:
        assert (await lab.get("/", "X-Forwarded-For: unknown")).startswith(b"HTTP/1.1 400 ")
