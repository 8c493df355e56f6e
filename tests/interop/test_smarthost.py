"""Postfix and Exim hand their users' mail to us, their smarthost: they log in to our submission listeners over TLS."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from tests.interop.lab import SUBMISSION, Lab
from tests.interop.neighbours import write_message
from tests.interop.office import PASSWORD, PostOffice
from tests.interop.peers import Exim, Postfix

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ACCOUNTS = (
    "domain add ph.test",
    "account add branch@ph.test --password-stdin",
    "account add ann@ph.test",
)
# A transport for each way to log in; the recipient's tag chooses it.
WAYS = {
    "plain": (587, "plain"),
    "login": (587, "login"),
    "scram1": (587, "SCRAM-SHA-1"),
    "scram256": (587, "SCRAM-SHA-256"),
    "implicit": (465, "plain"),
}
SERVICES = "".join(
    f"{name} unix - - n - - smtp\n  -o smtp_sasl_mechanism_filter={mechanism}\n"
    f"  -o smtp_tls_wrappermode={'yes' if port == 465 else 'no'}\n"
    for name, (port, mechanism) in WAYS.items()
)
TRANSPORTS = " ".join(f"{{ann+{name}@ph.test = {name}:[10.77.0.20]:{port}}}" for name, (port, _) in WAYS.items())
LOGINS = " ".join(f"{{[10.77.0.20]:{port} = branch@ph.test:{PASSWORD}}}" for port in (587, 465))
POSTFIX = f"""
relayhost=[10.77.0.20]:587
transport_maps=inline:{{ {TRANSPORTS} }}
smtp_sasl_auth_enable=yes
smtp_sasl_password_maps=inline:{{ {LOGINS} }}
smtp_sasl_security_options=noanonymous
smtp_tls_security_level=encrypt
"""
EXIM = {
    "routers": """
smarthost:
  driver = manualroute
  domains = ! +local_domains
  route_list = * 10.77.0.20
  transport = ${if eq{$local_part}{ann+implicit}{smarthost_465}{smarthost_587}}
""",
    "transports": """
smarthost_587:
  driver = smtp
  port = 587
  hosts_require_auth = *
  hosts_require_tls = *
smarthost_465:
  driver = smtp
  port = 465
  protocol = smtps
  hosts_require_auth = *
  hosts_require_tls = *
""",
    "authenticators": f"""
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^branch@ph.test^{PASSWORD}
""",
}
_tokens = (f"smarthost-{number}" for number in itertools.count(1))


@dataclass
class World:
    ours: PostOffice
    postfix: Postfix
    exim: Exim


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    ph, pf, ex = (lab.add_host(name, number=20 + place) for place, name in enumerate(("ph", "pf", "ex")))
    return World(
        PostOffice(lab, ph, "mx.ph.test", ACCOUNTS, tables=SUBMISSION),
        Postfix(lab, pf, "mx.pf.test", ["stranger@pf.test"], POSTFIX, SERVICES),
        Exim(lab, ex, "mx.ex.test", ["stranger@ex.test"], EXIM),
    )


def check_arrival(world: World, token: str) -> None:
    """It is with ann, says nothing of the client's address, and once in Sent of the account that sent it."""
    stored = world.ours.find_stored("ann@ph.test", token)
    assert "with ESMTPSA" in stored.message["Received"]
    assert b"10.77.0.2" not in stored.octets
    world.ours.find_stored("branch@ph.test", token, "Sent")
    sent = [each for each in world.ours.read_mailbox("branch@ph.test", "Sent") if each.message["Subject"] == token]
    assert len(sent) == 1
    assert sent[0].flags == {"\\Seen"}


def write_from_branch(token: str) -> bytes:
    return write_message(token).replace(b"somebody@there.test", b"branch@ph.test")


@pytest.mark.parametrize("way", WAYS)
def test_postfix_logs_in(world: World, way: str) -> None:
    token = next(_tokens)
    text = write_from_branch(token).replace(b"\r\n", b"\n")
    world.postfix.sendmail("-f", "branch@ph.test", f"ann+{way}@ph.test", data=text)
    check_arrival(world, token)
    world.postfix.wait_log(f"AUTH {WAYS[way][1].upper()}")
    assert "250" in world.postfix.wait_log(f"to=<ann+{way}@ph.test>")


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_exim_logs_in(world: World, way: str) -> None:
    token = next(_tokens)
    text = write_from_branch(token).replace(b"\r\n", b"\n")
    world.exim.sendmail("-f", "branch@ph.test", f"ann+{way}@ph.test", data=text)
    check_arrival(world, token)
    line = world.exim.wait_log(f"=> ann+{way}@ph.test")
    assert " A=plain " in line
    assert " X=TLS1.3:" in line


@pytest.mark.parametrize("name", ["pf", "ex"])
def test_a_sender_that_is_not_the_accounts_is_refused_and_told_so(world: World, name: str) -> None:
    server, token = (world.postfix if name == "pf" else world.exim), next(_tokens)
    text = write_message(token).replace(b"\r\n", b"\n")
    server.sendmail("-f", f"stranger@{name}.test", "ann@ph.test", data=text)
    report = server.wait_mail(f"stranger@{name}.test")[0].as_string()
    assert "550 5.7.1" in report or "553 5.7.1" in report
    assert not any(each.message["Subject"] == token for each in world.ours.read_mailbox("ann@ph.test"))


def test_an_empty_sender_may_be_used_by_who_wrote_the_message(world: World) -> None:
    """Receipts have one (RFC 8098 §2.1); of a stranger's message it is refused, and Postfix has nobody to tell."""
    strange, own = next(_tokens), next(_tokens)
    for message in (write_message(strange), write_from_branch(own)):
        world.postfix.sendmail("-f", "", "ann@ph.test", data=message.replace(b"\r\n", b"\n"))
    assert world.ours.find_stored("ann@ph.test", own).message["Return-Path"] == "<>"
    assert not any(each.message["Subject"] == strange for each in world.ours.read_mailbox("ann@ph.test"))
