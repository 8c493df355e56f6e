"""Postfix and Exim in front of us: they take mail and deliver it to our accounts by LMTP, over TCP and a socket."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from tests.interop.lab import Lab
from tests.interop.neighbours import open_hosts, read_report, write_message
from tests.interop.office import PostOffice
from tests.interop.peers import Exim, Postfix

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

SOCKET = "@RUN@/lmtp.sock"
TABLES = f"""
[[listener]]
service = "lmtp"
bind = "0.0.0.0:24"

[[listener]]
service = "lmtp"
bind = "unix:{SOCKET}"
"""
ACCOUNTS = (
    "domain add tcp.test",
    "domain add sock.test --alias-of tcp.test",
    "account add ann@tcp.test",
    "account add bob@tcp.test",
    "account add cat@tcp.test",
    "account add small@tcp.test --quota 100K",
    "alias add both@tcp.test bob@tcp.test cat@tcp.test",
    "alias add away-pf@tcp.test far@pf.test",
    "alias add away-ex@tcp.test far@ex.test",
)
# Towards the socket no size is announced: what does not fit is then refused behind the message, not at RCPT.
POSTFIX = """
relay_domains=tcp.test,sock.test
transport_maps=inline:{{ {{tcp.test = lmtp:inet:[10.77.0.20]:24}}, {{sock.test = lmtpsock:unix:{socket}}} }}
"""
POSTFIX_SERVICE = "lmtpsock unix - - n - - lmtp\n  -o lmtp_discard_lhlo_keywords=size\n"
EXIM = {
    "routers": """
by_tcp:
  driver = manualroute
  domains = tcp.test
  route_list = tcp.test 10.77.0.20
  transport = lmtp_tcp
by_socket:
  driver = accept
  domains = sock.test
  transport = lmtp_socket
""",
    "transports": """
lmtp_tcp:
  driver = smtp
  protocol = lmtp
  port = 24
lmtp_socket:
  driver = lmtp
  socket = {socket}
  batch_max = 100
  user = Debian-exim
  group = Debian-exim
""",
}
MAILBOXES = {name: [f"{local}@{name}.test" for local in ("far", "sender", "other")] for name in ("pf", "ex")}
_tokens = (f"token-{number}" for number in itertools.count(1))


@dataclass
class World:
    ours: PostOffice
    postfix: Postfix
    exim: Exim

    def front(self, name: str) -> Postfix | Exim:
        return self.postfix if name == "pf" else self.exim


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, pf, ex = open_hosts(lab, ("ph", "pf", "ex"))
    run = ph.directory / "sockets"
    run.mkdir()
    run.chmod(0o755)
    socket = str(run / "lmtp.sock")
    exim = {name: text.replace("{socket}", socket) for name, text in EXIM.items()}
    return World(
        PostOffice(lab, ph, "mx.ph.test", ACCOUNTS, tables=TABLES.replace(SOCKET, socket)),
        Postfix(lab, pf, "mx.pf.test", MAILBOXES["pf"], POSTFIX.format(socket=socket), POSTFIX_SERVICE),
        Exim(lab, ex, "mx.ex.test", MAILBOXES["ex"], exim),
    )


FRONTS = pytest.mark.parametrize("front", ["pf", "ex"])
WAYS = pytest.mark.parametrize("way", ["tcp.test", "sock.test"])


def send(front: Postfix | Exim, sender: str, recipients: list[str], message: bytes) -> None:
    refused = front.host.send_mail("127.0.0.1", sender, recipients, message, mail_options=["BODY=8BITMIME"])
    assert not refused


@WAYS
@FRONTS
def test_each_recipient_has_its_own_fate(world: World, front: str, way: str) -> None:
    """Delivered, an alias of two, a forward, and unknown. Mailboxes that are full: see below."""
    server, token, sender = world.front(front), next(_tokens), f"sender@{front}.test"
    before, gone = len(server.list_mail(sender)), len(server.list_mail(f"far@{front}.test"))
    names = ["ann", "both", f"away-{front}", "nobody"]
    send(server, sender, [f"{name}@{way}" for name in names], write_message(token))
    for name, address in (("ann", f"ann@{way}"), ("bob", "bob@tcp.test"), ("cat", "cat@tcp.test")):
        stored = world.ours.find_stored(f"{name}@tcp.test", token)
        assert stored.prefix.startswith(f"Return-Path: <{sender}>\r\nDelivered-To: {address}\r\n".encode())
        assert stored.body.endswith(write_message(token))
    message = server.wait_mail(sender, before + 1)[before]
    report = read_report(message)
    assert list(report) == [f"nobody@{way}"]
    assert report[f"nobody@{way}"]["Action"] == "failed"
    assert "550 5.1.1 There is no such mailbox here" in message.as_string()
    forwarded = server.wait_mail(f"far@{front}.test", gone + 1)[gone]
    assert forwarded["Subject"] == token
    assert len(server.list_mail(sender)) == before + 1


@FRONTS
def test_what_does_not_fit_is_tried_again_when_that_is_known_at_rcpt(world: World, front: str) -> None:
    server, token, sender = world.front(front), next(_tokens), f"sender@{front}.test"
    before = len(server.list_mail(sender))
    message = write_message(token, "x" * 70 + "\r\n" + "y" * 70 + "\r\n" * 60_000)
    send(server, sender, ["small@tcp.test", "bob@tcp.test"], message)
    world.ours.find_stored("bob@tcp.test", token)
    server.wait_log("452 4.2.2")
    assert not world.ours.read_mailbox("small@tcp.test")
    assert len(server.list_mail(sender)) == before


def test_what_does_not_fit_comes_back_when_it_is_known_behind_the_message(world: World) -> None:
    """With Postfix, which can be told to announce no size; the reply of the other recipient is another."""
    server, token = world.postfix, next(_tokens)
    before = len(server.list_mail("other@pf.test"))
    message = write_message(token, "x" * 70 + "\r\n" * 60_000)
    send(server, "other@pf.test", ["small@sock.test", "bob@sock.test", "nobody@sock.test"], message)
    world.ours.find_stored("bob@tcp.test", token)
    report = read_report(server.wait_mail("other@pf.test", before + 1)[before])
    assert sorted(report) == ["nobody@sock.test", "small@sock.test"]
    assert report["small@sock.test"]["Status"] == "5.2.2"
    assert "552 5.2.2" in report["small@sock.test"]["Diagnostic-Code"]
    assert report["nobody@sock.test"]["Status"] == "5.1.1"
    assert not world.ours.read_mailbox("small@tcp.test")


@WAYS
@FRONTS
def test_a_large_message_of_eight_bits_arrives_octet_for_octet(world: World, front: str, way: str) -> None:
    server, token = world.front(front), next(_tokens)
    lines = (f"Zeile {number}: schöne Grüße\r\n.\r\n..\r\n" for number in range(60_000))
    message = write_message(token, "".join(lines))
    send(server, f"sender@{front}.test", [f"ann@{way}"], message)
    assert world.ours.find_stored("ann@tcp.test", token).body.endswith(message)


def test_postfix_pipelines(world: World) -> None:
    token = next(_tokens)
    send(world.postfix, "sender@pf.test", ["ann@tcp.test", "bob@tcp.test"], write_message(token))
    world.ours.find_stored("bob@tcp.test", token)
    said = [line for line in world.postfix.read_log().splitlines() if "[10.77.0.20]:24: " in line]
    kinds = "".join(">" if ": > " in line else "<" for line in said if ": > " in line or ": < " in line)
    assert ">>>>" in kinds, "MAIL, two RCPT and DATA in one go"


def test_exim_pipelines(world: World) -> None:
    token = next(_tokens)
    send(world.exim, "sender@ex.test", ["ann@tcp.test", "bob@tcp.test"], write_message(token))
    world.ours.find_stored("bob@tcp.test", token)
    line = world.exim.wait_log("-> bob@tcp.test")  # the second of one transaction
    assert " L " in line, "Exim writes L where it used PIPELINING"


@FRONTS
def test_many_messages_at_once_arrive_each_once(world: World, front: str) -> None:
    server, tokens = world.front(front), [next(_tokens) for _ in range(8)]
    before = len(world.ours.read_mailbox("bob@tcp.test"))
    for token in tokens:
        send(server, f"sender@{front}.test", ["bob@tcp.test"], write_message(token))
    stored = world.ours.wait_stored("bob@tcp.test", before + len(tokens))[before:]
    assert sorted(each.message["Subject"] for each in stored) == sorted(tokens)
