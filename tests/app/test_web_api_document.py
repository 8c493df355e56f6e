"""The document of the HTTP API is the table that is served, and the page of it runs nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.app.web_view_readers import CALENDAR, UNSUBSCRIBE, ReaderRoutes
from posthouse.serve.http_messages import HttpRoute
from tests.app.view_kit import open_view
from tests.app.web_api_kit import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


async def read(house: House) -> dict[str, Any]:
    answer = await house.browser().call("GET", "/api/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json
    return document


async def test_everything_served_is_described_and_nothing_else(house: House) -> None:
    document = await read(house)
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    beside = {("POST", "/api/unsubscribe"), ("GET", "/calendar/{account}/{blob}")}  # served by web_view_readers.py
    assert described == {(endpoint.method, endpoint.path) for endpoint in house.api.endpoints} | beside


async def test_what_is_described_for_reading_mail_is_what_is_served() -> None:
    routes = ReaderRoutes((await open_view()).view).list_routes()
    served = {(route.methods[0], route.path) for route in routes if isinstance(route, HttpRoute)}
    assert served == {(endpoint.method, endpoint.path) for endpoint in (UNSUBSCRIBE, CALENDAR)}


async def test_every_operation_has_its_own_name_and_every_path_its_parameters(house: House) -> None:
    document = await read(house)
    operations = [(path, told) for path, methods in document["paths"].items() for told in methods.values()]
    names = [told["operationId"] for _, told in operations]
    assert len(names) == len(set(names))
    for path, told in operations:
        inside = [each["name"] for each in told.get("parameters", []) if each["in"] == "path"]
        assert inside == re.findall(r"\{(\w+)\}", path)
        assert told["summary"].endswith(".")
        assert any(status.startswith("2") for status in told["responses"])


async def test_every_reference_leads_to_a_type(house: House) -> None:
    document = await read(house)
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document["paths"]) + str(document["components"])))
    assert names == set(document["components"]["schemas"])
    assert document["components"]["schemas"]["StandingShown"]["properties"].keys() == {
        "account",
        "secondFactors",
        "server",
        "csrf",
    }


async def test_what_needs_a_sign_in_says_so(house: House) -> None:
    document = await read(house)
    open_ones = sorted(
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        if "security" not in told
    )
    assert open_ones == [
        "DELETE /api/session",
        "GET /api/docs",
        "GET /api/openapi.json",
        "POST /api/passkey/options",
        "POST /api/passkey/verify",
        "POST /api/session",
    ]


async def test_the_page_for_people_runs_nothing_and_asks_nobody(house: House) -> None:
    answer = await house.browser().call("GET", "/api/docs")
    text = answer.body.decode()
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script" not in policy
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    for endpoint in house.api.endpoints:
        assert endpoint.path in text
