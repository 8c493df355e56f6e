"""Reading another IMAP server: a small scripted one on loopback, with all that servers do differently."""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from posthouse.adapters.imap_client import ImapClient, ImapServer
from posthouse.adapters.imap_source import ImapChoice, ImapSource
from posthouse.message.mailbox import Role
from posthouse.ports.transfer import Letter, TransferError

BODY = b"Subject: 1\r\n\r\nhello\r\n"


@dataclass
class Script:
    """One client at a time. `boxes`: attributes, UIDVALIDITY and UIDs; `answers` replace what is usual."""

    boxes: dict[bytes, tuple[bytes, int, list[int]]] = field(default_factory=lambda: {b"INBOX": (b"", 7, [1, 2, 5])})
    capabilities: bytes = b"IMAP4rev1 AUTH=PLAIN"
    greeting: bytes = b"* OK ready\r\n"
    delimiter: bytes = b'"/"'
    answers: dict[bytes, bytes] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    selected: bytes = b""

    def answer(self, tag: bytes, command: bytes) -> bytes:
        self.heard.append(command)
        for start, reply in self.answers.items():
            if command.startswith(start):
                return reply.replace(b"TAG", tag)
        word = command.split(b" ")[0]
        if word == b"UID":
            word = b"_".join(command.split(b" ")[:2])
        usual: Callable[[bytes], bytes] = getattr(self, word.decode().lower())
        return usual(command) + tag + b" OK done\r\n"

    def capability(self, _: bytes) -> bytes:
        return b"* CAPABILITY " + self.capabilities + b"\r\n"

    def login(self, _: bytes) -> bytes:
        return b""

    def list(self, _: bytes) -> bytes:
        return b"".join(
            b"* LIST (%s) %s {%d}\r\n%s\r\n" % (about[0], self.delimiter, len(name), name)
            for name, about in self.boxes.items()
        )

    def status(self, command: bytes) -> bytes:
        name = command.split(b'"')[1]
        return b'* STATUS "%s" (MESSAGES %d)\r\n' % (name, len(self.boxes[name][2]))

    def examine(self, command: bytes) -> bytes:
        self.selected = command.split(b'"')[1]
        _, validity, uids = self.boxes[self.selected]
        return b"* %d EXISTS\r\n* OK [UIDVALIDITY %d] yes\r\n" % (len(uids), validity)

    def uid_search(self, _: bytes) -> bytes:
        return b"* SEARCH " + b" ".join(b"%d" % uid for uid in self.boxes[self.selected][2]) + b"\r\n"

    def uid_fetch(self, command: bytes) -> bytes:
        ranges = [part.split(b":") for part in command.split(b" ")[2].split(b",")]
        wanted = {uid for part in ranges for uid in range(int(part[0]), int(part[-1]) + 1)}
        return b"".join(fetched(uid) for uid in self.boxes[self.selected][2] if uid in wanted)


def fetched(uid: int, body: bytes = BODY) -> bytes:
    return b"* %d FETCH (FLAGS (\\Seen \\Recent $Junk) UID %d INTERNALDATE" % (
        uid,
        uid,
    ) + b' "14-Nov-2023 23:13:20 +0100" BODY[] {%d}\r\n%s)\r\n' % (len(body), body)


class Server:
    def __init__(self, script: Script) -> None:
        self.script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rwb", buffering=0) as stream:
                try:
                    self._talk(stream)
                except OSError:
                    continue

    def _talk(self, stream: socket.SocketIO) -> None:
        stream.write(self.script.greeting)
        for line in iter(stream.readline, b""):
            tag, _, command = line.rstrip(b"\r\n").partition(b" ")
            if command.startswith(b"AUTHENTICATE"):
                stream.write(b"+ \r\n")
                self.script.heard.append(base64.b64decode(stream.readline()))
            if command == b"AUTHENTICATE PLAIN":
                stream.write(tag + b" OK in\r\n")
                continue
            stream.write(self.script.answer(tag, command))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[Server]:
    made = Server(script)
    yield made
    made.close()


def connect(server: Server, limit: int = 1000) -> ImapClient:
    client = ImapClient(ImapServer("127.0.0.1", server.port, tls="off", timeout_s=5.0), limit)
    client.log_in("bob", "secret")
    return client


def source(server: Server, *only: str, limit: int = 1000, **choice: tuple[str, ...]) -> ImapSource:
    return ImapSource("bob", lambda: connect(server, limit), ImapChoice(only, **choice))


def read(made: ImapSource, marks: dict[str, str] | None = None) -> list[Letter]:
    letters = [letter for letter in made.letters(marks or {}) if not letter.is_mailbox]
    made.close()
    return letters


def test_messages_come_with_flags_and_dates(server: Server, script: Script) -> None:
    made = source(server)
    letters = read(made)
    assert [letter.position for letter in letters] == ["7 1", "7 2", "7 5"]
    first = letters[0]
    assert first.flags == {"\\Seen", "$Junk"}
    assert (first.octets, first.path) == (BODY, ("INBOX",))
    assert (first.received, first.zone_minutes) == (1_700_000_000.0, 60)
    assert (made.total, made.already) == (3, 0)
    assert b"\0bob\0secret" in script.heard
    assert not any(command.startswith((b"SELECT", b"STORE")) for command in script.heard)
    assert all(b"BODY.PEEK" in command for command in script.heard if command.startswith(b"UID FETCH"))


def test_going_on_asks_only_for_what_is_new(server: Server, script: Script) -> None:
    made = source(server)
    assert [letter.position for letter in read(made, {"INBOX": "7 2"})] == ["7 5"]
    assert (made.total, made.already) == (1, 2)
    assert b"UID FETCH 5 (UID FLAGS INTERNALDATE BODY.PEEK[])" in script.heard


def test_a_mailbox_that_was_made_anew_is_told_and_not_read_twice(server: Server) -> None:
    letters = read(source(server), {"INBOX": "6 2"})
    assert ["--again" in letter.problem for letter in letters] == [True]
    assert letters[0].position == ""


def test_many_messages_are_asked_for_in_pieces(server: Server, script: Script) -> None:
    script.boxes[b"INBOX"] = (b"", 7, [*range(1, 251), 1000])
    assert len(read(source(server))) == 251
    asked = [command.split(b" ")[2] for command in script.heard if command.startswith(b"UID FETCH")]
    assert asked == [b"1:100", b"101:200", b"201:250,1000"]


def test_mailboxes_with_hierarchy_special_use_and_other_peoples(server: Server, script: Script) -> None:
    script.capabilities = b"IMAP4rev1 AUTH=PLAIN NAMESPACE SPECIAL-USE LIST-EXTENDED"
    script.delimiter = b'"."'
    script.answers[b"NAMESPACE"] = b'* NAMESPACE (("INBOX." ".")) (("Other." ".")) NIL\r\nTAG OK\r\n'
    script.boxes = {
        b"INBOX.Gesendet": (b"\\Sent", 1, [1]),
        b"INBOX": (b"", 1, [1]),
        b"INBOX.Work.Entw&APw-rfe": (b"\\HasNoChildren", 1, [1]),
        b"INBOX.Work": (b"\\Noselect", 1, [1]),
        b"INBOX.Starred": (b"\\Flagged", 1, [1]),
        b"Other.ann": (b"", 1, [1]),
    }
    found = {(letter.path, letter.role) for letter in read(source(server))}
    assert found == {(("INBOX",), Role.INBOX), (("Gesendet",), Role.SENT), (("Work", "Entwürfe"), None)}
    assert b'LIST "" "*" RETURN (SPECIAL-USE)' in script.heard
    below = {(letter.path, letter.role) for letter in read(source(server, "Gesendet", below=("Old",)))}
    assert below == {(("Old", "Gesendet"), None)}
    assert len(read(source(server, without=("INBOX", "Gesendet")))) == 1
    with pytest.raises(TransferError, match="Nowhere"):
        read(source(server, "Nowhere"))


def test_gmail_is_read_once_with_its_labels(server: Server, script: Script) -> None:
    script.capabilities = b"IMAP4rev1 AUTH=PLAIN X-GM-EXT-1"
    script.boxes = {
        b"INBOX": (b"", 1, [1]),
        b"Work": (b"", 1, [1]),
        b"[Gmail]/All Mail": (b"\\All", 1, [1, 2]),
        b"[Gmail]/Spam": (b"\\Junk", 1, [1]),
    }
    labels = (b'(\\Inbox "\\\\Starred" "Entw&APw-rfe/a b")', b"()")
    script.answers[b"UID FETCH 1:2 (X-GM-LABELS "] = (
        b"".join(
            fetched(uid).replace(b"(FLAGS", b"(X-GM-LABELS " + some + b" FLAGS") for uid, some in enumerate(labels, 1)
        )
        + b"TAG OK\r\n"
    )
    letters = read(source(server))
    assert [letter.labels for letter in letters] == [["Inbox", "Starred", "Entwürfe/a b"], [], None]
    assert letters[2].role is Role.JUNK


def test_a_message_that_the_server_cannot_give_costs_only_itself(server: Server, script: Script) -> None:
    script.answers[b"UID FETCH 1:2,5 "] = fetched(1) + b"TAG NO [SERVERBUG] oops\r\n"
    script.answers[b"UID FETCH 2 "] = b"TAG NO [SERVERBUG] oops\r\n"
    letters = read(source(server))
    assert [(letter.position, bool(letter.problem)) for letter in letters] == [
        ("7 1", False),
        ("7 2", True),
        ("7 5", False),
    ]
    assert "oops" in letters[1].problem


def test_a_message_that_is_gone_or_too_long(server: Server, script: Script) -> None:
    script.answers[b"UID FETCH"] = (
        b"* 9 FETCH (FLAGS (\\Seen))\r\n* 1 EXPUNGE\r\n" + fetched(2, b"x" * 2000) + fetched(5) + b"TAG OK\r\n"
    )
    letters = read(source(server))
    assert [(letter.position, letter.octets, bool(letter.problem)) for letter in letters] == [
        ("7 2", b"", True),
        ("7 5", BODY, False),
    ]


def test_without_plain_login_is_used(server: Server, script: Script) -> None:
    script.capabilities = b"IMAP4rev1"
    read(source(server))
    assert b'LOGIN "bob" "secret"' in script.heard


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"greeting": b"* BYE full\r\n"}, "full"),
        ({"greeting": b"220 smtp ready\r\n"}, "want us"),
        ({"greeting": b"\r\n"}, "IMAP"),
        ({"capabilities": b"IMAP4rev1 LOGINDISABLED"}, "no password"),
        ({"answers": {b"LIST": b"* LIST nonsense\r\nTAG OK\r\n"}}, "no way we know"),
        ({"answers": {b"EXAMINE": b"TAG OK\r\n"}}, "UIDVALIDITY"),
        ({"answers": {b"EXAMINE": b"* BYE going down\r\n"}}, "going down"),
        ({"answers": {b"UID SEARCH": b"TAG BAD what\r\n"}}, "what"),
        ({"answers": {b"UID FETCH": b"* 1 FETCH ((((\r\n"}}, "parenthesis"),
    ],
)
def test_what_goes_wrong_is_told_in_words(server: Server, script: Script, change: dict[str, object], said: str) -> None:
    for name, value in change.items():
        setattr(script, name, value)
    with pytest.raises(TransferError, match=said):
        read(source(server))


def test_a_server_that_is_not_there_or_goes_away(server: Server, script: Script) -> None:
    client = connect(server)
    client.close()
    with pytest.raises(TransferError):
        client.run(b"NOOP")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TransferError, match=re.escape("127.0.0.1")):
        ImapClient(ImapServer("127.0.0.1", port, tls="off"), 1000)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TransferError, match="does not answer"):
        ImapClient(ImapServer("127.0.0.1", silent.getsockname()[1], tls="off", timeout_s=0.05), 1000)
