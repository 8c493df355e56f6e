"""By a real server of two workers: who is away is answered for, who forwards gets a copy or none, what was snoozed is
back at its time. Set as a program does it: by JMAP over HTTP, by the command line.
"""

from __future__ import annotations

import base64
import http.client
import json
import smtplib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from posthouse.app.account_tools import open_account_tools
from posthouse.config import load
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.ports.directory_admin import AccountChange
from tests.app.test_local_delivery import PostOffice
from tests.crash.server_under_load import free_port, wait_until

USING = [f"urn:ietf:params:jmap:{name}" for name in ("core", "mail", "submission", "vacationresponse")]


class Bureau(PostOffice):
    """ann and bob, read and changed by JMAP."""

    def configure(self, workers: int) -> None:
        super().configure(workers)
        self.http_port = free_port()
        listener = f'[[listener]]\nservice = "http"\nbind = "127.0.0.1:{self.http_port}"\n'
        self.config.write_text(self.config.read_text() + listener)

    def fill(self) -> None:
        with open_account_tools(load(str(self.config))) as tools:
            tools.domains.add("ours.example")
            for name in ("ann", "bob"):
                tools.add_account(f"{name}@ours.example", AccountChange(), "secret words")

    def ask(self, name: str, method: str, **arguments: Any) -> Any:
        """The response of a JMAP method to that account."""
        secret = base64.b64encode(f"{name}@ours.example:secret words".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        connection.request("GET", "/jmap/session", headers=headers)
        account = next(iter(json.load(connection.getresponse())["accounts"]))
        call = [method, {"accountId": account, **arguments}, "c"]
        request = {"using": [*USING, "urn:posthouse:web"], "methodCalls": [call]}
        connection.request("POST", "/jmap/api", json.dumps(request), headers)
        [(told, answer, _)] = json.load(connection.getresponse())["methodResponses"]
        connection.close()
        assert told == method, answer
        return answer

    def write(self, token: str, sender: str, to: str) -> None:
        text = f"From: {sender}\r\nTo: {to}\r\nSubject: {token}\r\nMessage-ID: <{token}@far>\r\n\r\nHello\r\n"
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.sendmail(sender, [to], text)

    def find(self, name: str, subject: str, *properties: str) -> list[Any]:
        """Emails in that account's INBOX."""
        boxes = self.ask(name, "Mailbox/query", filter={"role": "inbox"})["ids"]
        ids = self.ask(name, "Email/query", filter={"subject": subject, "inMailbox": boxes[0]})["ids"]
        found: list[Any] = self.ask(name, "Email/get", ids=ids, properties=["id", *properties])["list"]
        return found

    def wait(self, name: str, subject: str, *properties: str) -> Any:
        wait_until(lambda: bool(self.find(name, subject)), 30, f"{name} has {subject}")
        return self.find(name, subject, *properties)[0]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bureau]:
    server = Bureau(tmp_path_factory.mktemp("away"), workers=2)
    try:
        server.fill()
        server.start()
        yield server
    finally:
        server.close()


def test_who_is_away_is_answered_for_once(office: Bureau) -> None:
    response = {"isEnabled": True, "subject": "Holiday", "textBody": "I am away."}
    told = office.ask("ann", "VacationResponse/set", update={"singleton": response})
    assert told["updated"] == {"singleton": None}
    tries = 0

    def is_answered() -> bool:
        nonlocal tries
        tries += 1
        office.write(f"away{tries}", "bob@ours.example", "ann@ours.example")
        return bool(office.find("bob", "Holiday"))

    wait_until(is_answered, 30, "bob has an answer")
    office.write("away-last", "bob@ours.example", "ann@ours.example")
    office.wait("ann", "away-last")
    fields = ("header:Return-Path", "header:Auto-Submitted:asText", "from", "preview")
    [answer] = office.find("bob", "Holiday", *fields)
    assert [answer[name].strip() for name in fields[:2]] == ["<>", "auto-replied"]
    assert [one["email"] for one in answer["from"]] == ["ann@ours.example"]
    assert answer["preview"] == "I am away."


def test_a_running_server_sees_that_an_account_forwards(office: Bureau) -> None:
    office.must("account forward ann@ours.example bob@ours.example --copy")
    office.write("forwarded", "x@far.example", "ann@ours.example")
    original = "header:X-Original-To:asText"
    assert office.wait("bob", "forwarded", original)[original] == "ann@ours.example"
    office.wait("ann", "forwarded")
    office.must("account forward ann@ours.example --off")
    office.write("stays", "x@far.example", "ann@ours.example")
    office.wait("ann", "stays")
    assert office.find("bob", "stays") == []


def test_what_was_snoozed_comes_back_at_its_time(office: Bureau) -> None:
    office.write("snoozed", "x@far.example", "bob@ours.example")
    email = office.wait("bob", "snoozed")["id"]
    until = format_rfc3339(Instant(int(time.time()) + 4)).replace(".000", "")
    told = office.ask("bob", "Snooze/set", create={"a": {"emailId": email, "until": until}})
    assert list(told["created"]) == ["a"], told
    assert office.find("bob", "snoozed") == []
    assert office.wait("bob", "snoozed", "keywords")["keywords"] == {"$snoozed": True}
    assert office.ask("bob", "Snooze/get", ids=None)["list"] == []


def test_an_account_has_an_identity_for_its_address(office: Bureau) -> None:
    [identity] = office.ask("ann", "Identity/get", ids=None)["list"]
    assert (identity["email"], identity["mayDelete"], identity["isDefault"]) == ("ann@ours.example", False, True)
