"""The HTTP API of a real server of two workers: a session that all of them know, and an administrator's day."""

from __future__ import annotations

import http.client
import io
import json
import smtplib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.ports.directory_admin import AccountChange
from tests.crash.server_under_load import Server, free_port, wait_until

ANN, ROOT = "ann@ours.example", "root@ours.example"
_MANY = 12  # connections: both workers get some


class Office(Server):
    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.http = free_port()
        listener = f'[[listener]]\nservice = "http"\nbind = "127.0.0.1:{self.http}"\n'
        self.config.write_text(f'postmaster = "{ROOT}"\n{self.config.read_text()}{listener}')
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("ours.example")
            self.passwords = {ANN: tools.add_account(ANN, AccountChange())}
            self.passwords[ROOT] = tools.add_account(ROOT, AccountChange(is_admin=True))

    def call(self, cookie: str, method: str, path: str, body: object = None, octets: bytes = b"") -> tuple[int, bytes]:
        """By a connection of its own."""
        status, _, answer = self.send(cookie, method, path, body, octets)
        return status, answer

    def send(
        self, cookie: str, method: str, path: str, body: object = None, octets: bytes = b""
    ) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=30)
        headers = {"Cookie": cookie, "X-Posthouse": "1"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, json.dumps(body).encode() if body is not None else octets, headers)
        answer = connection.getresponse()
        told = answer.status, answer.headers.get("Set-Cookie", ""), answer.read()
        connection.close()
        return told

    def sign_in(self, name: str) -> str:
        wanted = {"username": name, "password": self.passwords[name]}
        status, cookie, answer = self.send("", "POST", "/api/session", wanted)
        assert status == 200, answer
        return cookie.partition(";")[0]

    def read(self, cookie: str, path: str) -> Any:
        status, answer = self.call(cookie, "GET", path)
        assert status == 200, answer
        return json.loads(answer)

    def deliver(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as smtp:
            smtp.sendmail("bob@there.example", [ANN], b"From: bob@there.example\r\nSubject: news\r\n\r\nHello\r\n")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    server = Office(tmp_path, workers=2)
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_a_session_holds_at_all_workers_and_ends_at_all_of_them(office: Office) -> None:
    cookie, other = office.sign_in(ANN), office.sign_in(ANN)
    assert [office.call(cookie, "GET", "/api/session")[0] for _ in range(_MANY)] == [200] * _MANY
    change = {"old": office.passwords[ANN], "new": "another password"}
    assert office.call(cookie, "POST", "/api/password", change)[0] == 204
    assert [office.call(other, "GET", "/api/session")[0] for _ in range(_MANY)] == [401] * _MANY
    assert [office.call(cookie, "GET", "/api/session")[0] for _ in range(_MANY)] == [200] * _MANY
    assert office.call(cookie, "DELETE", "/api/session")[0] == 204
    assert [office.call(cookie, "GET", "/jmap/session")[0] for _ in range(_MANY)] == [401] * _MANY


def test_mail_leaves_and_comes_back_as_a_file(office: Office) -> None:
    office.deliver()
    cookie = office.sign_in(ANN)

    def has_arrived() -> bool:
        octets = office.call(cookie, "GET", "/api/export?format=zip")[1]
        return bool(zipfile.ZipFile(io.BytesIO(octets)).namelist())

    wait_until(has_arrived, 20, "the message is in the export")
    archive = office.call(cookie, "GET", "/api/export?format=zip")[1]
    root = office.sign_in(ROOT)
    status, told = office.call(root, "POST", "/api/import?format=zip", octets=archive)
    assert (status, json.loads(told)["imported"]) == (200, 1)
    again = office.call(root, "GET", "/api/export?format=zip")[1]
    first, second = (zipfile.ZipFile(io.BytesIO(each)) for each in (archive, again))
    assert first.read(first.namelist()[0]) == second.read(second.namelist()[0])


def test_an_administrator_sees_the_whole_server_whichever_worker_is_asked(office: Office) -> None:
    office.deliver()
    cookie = office.sign_in(ROOT)
    wait_until(lambda: office.read(cookie, "/api/admin/figures")["now"]["delivered"] >= 1, 20, "it is delivered")
    figures = [office.read(cookie, "/api/admin/figures")["now"]["received"] for _ in range(_MANY)]
    assert figures == [1.0] * _MANY
    assert office.read(cookie, "/api/admin/queue") == {"items": [], "more": False, "unanswered": ""}
    steps = [record["step"] for record in office.read(cookie, f"/api/admin/trace?q={ANN}")[0]["records"]]
    assert steps == ["received", "delivered"]
    assert office.call(office.sign_in(ANN), "GET", "/api/admin/queue")[0] == 403


def test_an_administrator_ends_a_connection_of_any_worker(office: Office) -> None:
    cookie = office.sign_in(ROOT)
    with smtplib.SMTP("127.0.0.1", office.port, timeout=20) as smtp:
        smtp.ehlo("client.example")
        listed = office.read(cookie, "/api/admin/sessions")["items"]
        smtp_sessions = [each for each in listed if each["service"] == "smtp"]
        assert len(smtp_sessions) == 1
        assert office.call(cookie, "DELETE", f"/api/admin/sessions/{smtp_sessions[0]['id']}")[0] == 204
        assert smtp.getreply()[0] == 421
        smtp.close()
