"""Clients that people use, sending to accounts: what lies in the store is octet for octet what they were given."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.interop.lab import Host, Lab
from tests.interop.neighbours import write_message
from tests.interop.office import PostOffice

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ACCOUNTS = (
    "domain add here.test",
    "account add ann@here.test",
    "account add bob@here.test",
    "alias add all@here.test ann@here.test bob@here.test",
)
BODIES = {
    "dots": ".\r\n..\r\n.hidden\r\n. \r\n",
    "eight-bits": "schöne Grüße, 日本語, \x7f\r\n",
    "white-space": "trailing \t \r\n\t\r\n   \r\nend\r\n\r\n\r\n\r\n",
    "long-line": "x" * 998 + "\r\n",
    "one-megabyte": "".join(f"{number:07} " + "y" * 62 + "\r\n" for number in range(14_500)),
}
_tokens = (f"store-{number}" for number in itertools.count(1))


@dataclass
class World:
    server: PostOffice
    client: Host


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    host, client = lab.add_host("server"), lab.add_host("client")

    return World(PostOffice(lab, host, "mx.here.test", ACCOUNTS), client)


def by_smtplib(world: World, recipient: str, message: bytes) -> None:
    options = {"tls": True, "mail_options": ["BODY=8BITMIME"]}
    assert not world.client.send_mail(world.server.host.ipv4, "a@there.test", [recipient], message, **options)


def by_swaks(world: World, recipient: str, message: bytes) -> None:
    path = world.client.directory / "swaks.eml"
    path.write_bytes(message.removesuffix(b"\r\n"))  # it ends the last line itself
    words = ["--server", world.server.host.ipv4, "--from", "a@there.test", "--to", recipient, "--tls", "--pipeline"]
    world.client.must("swaks", *words, "--ehlo", "client.test", "--data", f"@{path}")


def by_msmtp(world: World, recipient: str, message: bytes) -> None:
    words = ["--host", world.server.host.ipv4, "--port", "25", "--tls=on", "--tls-starttls=on", "--tls-certcheck=off"]
    text = message.replace(b"\r\n", b"\n")  # what a program of this system hands to it
    world.client.must("msmtp", "--file=/dev/null", *words, "-f", "a@there.test", recipient, data=text)


def by_curl(world: World, recipient: str, message: bytes) -> None:
    path = world.client.directory / "curl.eml"
    path.write_bytes(message)
    words = ["--mail-from", "a@there.test", "--mail-rcpt", recipient, "--upload-file", str(path), "--ssl-reqd"]
    world.client.must("curl", "-sS", "--insecure", f"smtp://{world.server.host.ipv4}/client.test", *words)


CLIENTS = pytest.mark.parametrize("send", [by_smtplib, by_swaks, by_msmtp, by_curl])


@CLIENTS
def test_what_is_stored_is_what_was_sent(world: World, send: Callable[[World, str, bytes], None]) -> None:
    messages = {next(_tokens): body for body in BODIES.values()}
    for token, body in messages.items():
        send(world, "ann@here.test", write_message(token, body))
    for token, body in messages.items():
        stored = world.server.find_stored("ann@here.test", token)
        assert stored.body == write_message(token, body)
        lines = stored.prefix.split(b"\r\n")
        assert lines[:2] == [b"Return-Path: <a@there.test>", b"Delivered-To: ann@here.test"]
        assert lines[2].startswith(b"Received: from ")
        assert b"with ESMTPS" in stored.prefix
        assert not stored.flags


@CLIENTS
def test_both_of_an_alias_have_the_same_body(world: World, send: Callable[[World, str, bytes], None]) -> None:
    token = next(_tokens)
    message = write_message(token, BODIES["one-megabyte"])
    send(world, "all@here.test", message)
    for name in ("ann@here.test", "bob@here.test"):
        stored = world.server.find_stored(name, token)
        assert stored.body == message
        assert b"\r\nX-Original-To: all@here.test\r\n" in stored.prefix


def test_what_a_command_of_this_machine_sends_is_stored_with_crlf(world: World) -> None:
    token = next(_tokens)
    message = write_message(token, BODIES["dots"] + BODIES["white-space"])
    text = message.replace(b"\r\n", b"\n")
    world.server.command("sendmail", "-i", "-f", "a@there.test", "ann@here.test", data=text)
    assert world.server.find_stored("ann@here.test", token).body == message
