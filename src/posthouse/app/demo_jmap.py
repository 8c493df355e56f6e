"""How the demo reads and sends by JMAP (RFC 8620, RFC 8621), with what Python brings. It blocks: run it in a thread."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

from posthouse.app.demo_fetch import parse
from posthouse.app.demo_mail import SENDER, DemoMail
from posthouse.app.demo_server import PATIENCE_S, DemoError, Mailserver

_USING = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:submission",
]
_Object = dict[str, Any]  # of JSON


class JmapClient:
    """Of one account."""

    def __init__(self, server: Mailserver, account: str) -> None:
        login = base64.b64encode(f"{account}:{server.passwords[account]}".encode()).decode("ascii")
        self._server = server
        self._headers = {"Authorization": f"Basic {login}"}
        self._account = next(iter(json.loads(self.fetch("GET", "/jmap/session"))["accounts"]))

    def fetch(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        connection = http.client.HTTPConnection(self._server.address, self._server.ports.http, timeout=PATIENCE_S)
        connection.request(method, path, body, {**self._headers, "Content-Type": kind})
        answer = connection.getresponse()
        octets = answer.read()
        connection.close()
        if answer.status >= 300:
            raise DemoError(f"JMAP: {path}: {answer.status} {octets[:200]!r}")
        return octets

    def call(self, *calls: tuple[str, _Object]) -> list[_Object]:
        """Arguments of the responses. Their account is added to those of the calls."""
        named = [[name, {"accountId": self._account, **arguments}, str(n)] for n, (name, arguments) in enumerate(calls)]
        body = json.dumps({"using": _USING, "methodCalls": named}).encode()
        told = json.loads(self.fetch("POST", "/jmap/api", body))["methodResponses"]
        for name, arguments, _ in told:
            problems = [arguments[key] for key in ("notCreated", "notUpdated") if arguments.get(key)]
            if name == "error" or problems:
                raise DemoError(f"JMAP: {problems or arguments}")
        return [arguments for _, arguments, _ in told]

    def upload(self, octets: bytes) -> str:
        told = json.loads(self.fetch("POST", f"/jmap/upload/{self._account}/", octets, "message/rfc822"))
        return str(told["blobId"])

    def download(self, blob: str) -> bytes:
        return self.fetch("GET", f"/jmap/download/{self._account}/{blob}/mail.eml?accept=message/rfc822")

    def find_mailboxes(self) -> dict[str, str]:
        """Ids by role."""
        [answer] = self.call(("Mailbox/get", {"ids": None, "properties": ["role"]}))
        return {box["role"]: box["id"] for box in answer["list"] if box["role"]}


def read_by_jmap(server: Mailserver, account: str) -> Sequence[EmailMessage]:
    client = JmapClient(server, account)
    inbox = client.find_mailboxes()["inbox"]
    query = ("Email/query", {"filter": {"inMailbox": inbox}})
    wanted = {"#ids": {"resultOf": "0", "name": "Email/query", "path": "/ids"}, "properties": ["blobId"]}
    _, found = client.call(query, ("Email/get", wanted))
    return [parse(client.download(email["blobId"])) for email in found["list"]]


def send_by_jmap(server: Mailserver, mail: DemoMail) -> None:
    """A draft is sent and becomes what lies in Sent."""
    client = JmapClient(server, SENDER)
    boxes = client.find_mailboxes()
    drafts, sent = boxes["drafts"], boxes["sent"]
    [identities] = client.call(("Identity/get", {"ids": None}))
    draft = {
        "blobId": client.upload(mail.message.as_bytes()),
        "mailboxIds": {drafts: True},
        "keywords": {"$draft": True},
    }
    submission = {"emailId": "#draft", "identityId": identities["list"][0]["id"]}
    moved = {f"mailboxIds/{drafts}": None, f"mailboxIds/{sent}": True, "keywords/$draft": None}
    client.call(
        ("Email/import", {"emails": {"draft": draft}}),
        ("EmailSubmission/set", {"create": {"sent": submission}, "onSuccessUpdateEmail": {"#sent": moved}}),
    )
