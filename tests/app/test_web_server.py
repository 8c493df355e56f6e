"""The HTTP side of a real server of two workers: https, event streams across workers, a reload, web push."""

from __future__ import annotations

import base64
import http.client
import json
import smtplib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.ports.directory_admin import AccountChange
from tests.crash.server_under_load import Server, free_port, wait_until

ANN = "ann@ours.example"
CORE = "urn:ietf:params:jmap:core"
STREAM = "/jmap/eventsource?types=EmailDelivery&closeafter=no&ping=0"


class Office(Server):
    """ann; HTTP with and without TLS, two workers."""

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.http, self.https = free_port(), free_port()
        self.authority = trustme.CA()  # of push services
        authority = self.base / "authority.pem"
        self.authority.cert_pem.write_to_path(str(authority))
        self.config.write_text(
            f'postmaster = "{ANN}"\ndrain = "1h"\n{self.config.read_text()}'
            f'[[listener]]\nservice = "http"\nbind = "127.0.0.1:{self.http}"\n'
            f'[[listener]]\nservice = "http"\nbind = "127.0.0.1:{self.https}"\ntls = "implicit"\n'
            f'[web]\npush_private_addresses = true\npush_ca_file = "{authority}"\n'
        )
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("ours.example")
            self.password = tools.add_account(ANN, AccountChange())

    @property
    def headers(self) -> dict[str, str]:
        login = base64.b64encode(f"{ANN}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {login}", "Content-Type": "application/json"}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = self.connect()
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        told = response.status, response.read()
        connection.close()
        return told

    def ask(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        connection = self.connect()
        body = {"using": [CORE], "methodCalls": [[name, arguments, "0"]]}
        connection.request("POST", "/jmap/api", json.dumps(body), self.headers)
        [(told, answer, _)] = json.load(connection.getresponse())["methodResponses"]
        connection.close()
        assert told == name, answer
        found: dict[str, Any] = answer
        return found

    def listen(self, last: str = "") -> http.client.HTTPResponse:
        connection = self.connect()
        connection.request("GET", STREAM, headers={**self.headers, **({"Last-Event-ID": last} if last else {})})
        response = connection.getresponse()
        assert response.status == 200
        assert read_event(response) == {"retry": "1000"}
        return response

    def deliver(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as smtp:
            smtp.sendmail("bob@there.example", [ANN], b"From: bob@there.example\r\nSubject: news\r\n\r\nHello\r\n")


def read_event(response: http.client.HTTPResponse) -> dict[str, str]:
    """{} at the end."""
    lines = []
    while (line := response.readline()) not in (b"\n", b""):
        lines.append(line.decode().strip().partition(": "))
    return {name: value for name, _, value in lines}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    server = Office(tmp_path, workers=2)
    try:
        server.start()
        yield server
    finally:
        server.close()


def test_streams_of_all_workers_are_told_and_go_on_after_a_reload(office: Office) -> None:
    assert office.get("/readyz") == (200, b"ready\n")
    assert b"posthouse_messages_received_total" in office.get("/metrics")[1]
    assert office.get("/jmap/session")[0] == 401
    streams = [office.listen() for _ in range(8)]  # whichever worker takes them
    office.deliver()
    events = [read_event(stream) for stream in streams]
    assert {event["event"] for event in events} == {"state"}
    assert len({event["id"] for event in events}) == 1

    before = set(office.children("worker_process"))
    office.reload()
    assert {tuple(read_event(stream)) for stream in streams} == {()}  # ended: a browser comes back by itself
    wait_until(lambda: len(set(office.children("worker_process")) - before) == 2, 30, "there are new workers")
    office.deliver()
    assert read_event(office.listen(events[0]["id"]))["event"] == "state"
    assert office.stop() == 0


def test_by_https_and_until_the_password_is_changed(office: Office) -> None:
    context = ssl.create_default_context(cafile=str(office.base / "data" / "self-signed.pem"))
    context.check_hostname = False
    secure = http.client.HTTPSConnection("127.0.0.1", office.https, timeout=20, context=context)
    secure.request("GET", "/.well-known/jmap", headers=office.headers)
    session = json.load(secure.getresponse())
    secure.close()
    assert session["username"] == ANN
    assert session["apiUrl"] == f"https://127.0.0.1:{office.https}/jmap/api"
    assert session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"].startswith("wss://")

    streams = [office.listen() for _ in range(4)]
    office.command("account", "password", ANN)
    assert [read_event(stream) for stream in streams] == [{}] * 4
    assert office.get("/jmap/session", office.headers)[0] == 401


class PushService(BaseHTTPRequestHandler):
    server: Pushes

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.headers["Authorization"], json.loads(octets)))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


class Pushes(ThreadingHTTPServer):
    taken: list[tuple[str, dict[str, Any]]]


@pytest.fixture
def pushes(office: Office) -> Iterator[Pushes]:
    service = Pushes(("127.0.0.1", 0), PushService)
    service.taken = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    office.authority.issue_cert("127.0.0.1").configure_cert(context)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield service
    service.shutdown()
    service.server_close()


def test_a_device_that_is_away_hears_of_new_mail_by_its_push_service(office: Office, pushes: Pushes) -> None:
    url = f"https://127.0.0.1:{pushes.server_address[1]}/device"
    made = office.ask("PushSubscription/set", {"create": {"a": {"deviceClientId": "phone", "url": url}}})
    name = made["created"]["a"]["id"]
    wait_until(lambda: bool(pushes.taken), 20, "the code is sent")
    authorization, told = pushes.taken.pop()
    assert authorization.startswith("vapid t=")
    assert told["pushSubscriptionId"] == name
    code = told["verificationCode"]
    assert office.ask("PushSubscription/set", {"update": {name: {"verificationCode": code}}})["updated"] == {name: None}
    office.deliver()
    wait_until(lambda: bool(pushes.taken), 20, "the device is told")
    assert pushes.taken[0][1]["@type"] == "StateChange"
