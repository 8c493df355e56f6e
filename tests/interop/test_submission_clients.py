"""Mail programs that log in to send, by every mechanism they know, with STARTTLS and with TLS from the start."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.interop.lab import SUBMISSION, Host, Lab, Posthouse, Server, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

USER, PASSWORD, TOKEN = "alice@here.test", "right, =2C and 100%", "good-token"
TEXT = "From: alice@here.test\r\nTo: bob@there.test\r\nSubject: {}\r\n\r\nHello.\r\n"
TABLES = (
    SUBMISSION
    + """
[login]
oauth_introspection_url = "http://127.0.0.1:8099/introspect"
oauth_private_addresses = true
free_failures = 100
free_failures_per_address = 1000
"""
)
PORTS = pytest.mark.parametrize("port", [587, 465])

_numbers = itertools.count(1)


class KnowsPeople(Posthouse):
    tls = 'client_ca = "people.pem"'  # beside the configuration


@dataclass
class World:
    server: Posthouse
    client: Host
    certificate: Path
    key: Path

    @property
    def address(self) -> str:
        return self.server.host.ipv4

    def arrived(self, subject: str) -> str:
        """The Received field that we put on the message with this subject."""
        for message in self.server.wait_mail("bob@there.test"):
            if message["Subject"] == subject:
                return str(message["Received"])
        return ""

    def must_arrive(self, subject: str, protocol: str = "ESMTPSA") -> None:
        received = wait_until(lambda: self.arrived(subject), f"{subject}; log: {self.server.read_log()[-3000:]}")
        assert f"with {protocol}" in received
        assert self.client.ipv4 not in received

    def path(self, subject: str) -> Path:
        path = self.client.directory / f"letter-{next(_numbers)}.eml"
        path.write_text(TEXT.format(subject), newline="")
        return path


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    host, client = lab.add_host("server"), lab.add_host("client")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(host.directory / "people.pem"))
    card = authority.issue_cert(USER)
    certificate, key = client.directory / "alice.pem", client.directory / "alice.key"
    card.cert_chain_pems[0].write_to_path(str(certificate))
    card.private_key_pem.write_to_path(str(key))
    server = KnowsPeople(lab, host, "mx.here.test", ["there.test"], tables=TABLES)
    issuer = Server(host, [sys.executable, str(Path(__file__).with_name("introspect.py")), "8099"])
    lab.stop_at_end(issuer.stop)
    host.wait_port(8099)
    host.wait_port(587)
    server.command("domain", "add", "here.test")
    server.command("account", "add", USER, "--password-stdin", data=PASSWORD + "\n")
    yield World(server, client, certificate, key)


def swaks(world: World, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    tls = ["--tls-on-connect"] if port == 465 else ["--tls"]
    command = ["swaks", "--server", world.address, "--port", str(port), *tls, "--from", USER, "--to", "bob@there.test"]
    return world.client.run(*command, *words)


@PORTS
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(world: World, port: int, mechanism: str) -> None:
    subject = f"swaks {mechanism} {port}"
    words = ["--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD, "--header", f"Subject: {subject}"]
    done = swaks(world, port, *words)
    assert not done.returncode, done.stdout
    world.must_arrive(subject)


def test_swaks_with_a_wrong_password_and_with_none_is_refused(world: World) -> None:
    done = swaks(world, 587, "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "wrong")
    assert "535 5.7.8" in done.stdout
    assert "530 5.7.0" in swaks(world, 587).stdout


def test_passwords_are_not_taken_without_tls(world: World) -> None:
    command = ["swaks", "--server", world.address, "--port", "587", "--from", USER, "--to", "bob@there.test"]
    done = world.client.run(*command, "--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD)
    assert done.returncode
    assert "PLAIN" not in done.stdout.partition("250-AUTH")[2].partition("\n")[0]


def msmtp(world: World, port: int, mechanism: str, subject: str, secret: str, *words: str) -> None:
    path = world.client.directory / f"secret-{next(_numbers)}"
    path.write_text(secret)
    command = ["msmtp", "--file=/dev/null", f"--host={world.address}", f"--port={port}", "--tls=on"]
    command += [f"--tls-starttls={'off' if port == 465 else 'on'}", "--tls-certcheck=off", f"--auth={mechanism}"]
    command += [f"--user={USER}", f"--passwordeval=cat {path}", f"--from={USER}", *words]
    world.client.must(*command, "bob@there.test", data=TEXT.format(subject))


@PORTS
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-1", "scram-sha-256"])
def test_msmtp(world: World, port: int, mechanism: str) -> None:
    subject = f"msmtp {mechanism} {port}"
    msmtp(world, port, mechanism, subject, PASSWORD)
    world.must_arrive(subject)


@PORTS
@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_msmtp_with_a_token(world: World, port: int, mechanism: str) -> None:
    subject = f"msmtp {mechanism} {port}"
    msmtp(world, port, mechanism, subject, TOKEN)
    world.must_arrive(subject)


@PORTS
def test_msmtp_with_a_certificate(world: World, port: int) -> None:
    subject = f"msmtp external {port}"
    words = [f"--tls-cert-file={world.certificate}", f"--tls-key-file={world.key}"]
    msmtp(world, port, "external", subject, "not used", *words)
    world.must_arrive(subject)


def curl(world: World, port: int, mechanism: str, subject: str, *words: str) -> None:
    scheme = "smtps" if port == 465 else "smtp"
    command = ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", f"{scheme}://{world.address}:{port}"]
    command += ["--login-options", f"AUTH={mechanism}", "--mail-from", USER, "--mail-rcpt", "bob@there.test"]
    world.client.must(*command, "--upload-file", str(world.path(subject)), *words)


@PORTS
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("initial", [[], ["--sasl-ir"]])
def test_curl(world: World, port: int, mechanism: str, initial: list[str]) -> None:
    subject = f"curl {mechanism} {port} {len(initial)}"
    curl(world, port, mechanism, subject, "--user", f"{USER}:{PASSWORD}", *initial)
    world.must_arrive(subject)


@PORTS
def test_curl_with_a_certificate(world: World, port: int) -> None:
    subject = f"curl EXTERNAL {port}"
    words = ["--user", USER + ":", "--cert", str(world.certificate), "--key", str(world.key)]
    curl(world, port, "EXTERNAL", subject, *words)
    world.must_arrive(subject)


@PORTS
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("initial", [[], ["--sasl-ir"]])
def test_curl_with_a_token(world: World, port: int, mechanism: str, initial: list[str]) -> None:
    subject = f"curl {mechanism} {port} {len(initial)}"
    curl(world, port, mechanism, subject, "--user", USER + ":", "--oauth2-bearer", TOKEN, *initial)
    world.must_arrive(subject)


@PORTS
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2"])
def test_smtplib(world: World, port: int, mechanism: str) -> None:
    subject = f"smtplib {mechanism} {port}"
    secret = TOKEN if mechanism == "XOAUTH2" else PASSWORD
    options = {"tls": port == 587, "is_implicit": port == 465, "port": port, "mechanism": mechanism}
    answers = world.client.send_mail(
        world.address, USER, ["bob@there.test"], TEXT.format(subject), user=USER, password=secret, **options
    )
    assert not answers
    world.must_arrive(subject)


def test_a_password_that_was_just_changed_is_the_only_one(world: World) -> None:
    words = ["--auth", "PLAIN", "--auth-user", "carol@here.test", "--from", "carol@here.test"]
    world.server.command("account", "add", "carol@here.test", "--password-stdin", data="first\n")
    assert not swaks(world, 587, *words, "--auth-password", "first").returncode
    world.server.command("account", "password", "carol@here.test", "--password-stdin", data="second\n")
    assert "535 5.7.8" in swaks(world, 587, *words, "--auth-password", "first").stdout
    assert not swaks(world, 587, *words, "--auth-password", "second").returncode
    world.server.command("account", "disable", "carol@here.test")
    assert "535 5.7.13" in swaks(world, 587, *words, "--auth-password", "second").stdout
