"""Passwords that PAM and LDAP know: the real libpam with its modules, the real slapd, and a server that asks both."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trustme

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.ldap import LdapPlace, LdapRules, LdapSource, connect
from posthouse.adapters.pam import LibPam, PamSource
from posthouse.ports.credentials import SourceAnswer
from posthouse.ports.observe import FakeLog
from tests.interop.lab import Lab, Posthouse, Server, wait_until
from tests.interop.slapd import BASE, READER, READER_PASSWORD, Slapd

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

YES, NO, UNAVAILABLE = SourceAnswer.YES, SourceAnswer.NO, SourceAnswer.UNAVAILABLE
ALICE = "alice@here.test"

# A script's refusal is "system error" for pam_exec, hence pam_deny behind it.
SCRIPT = """#!/bin/sh
given=$(tr -d '\\0')
[ "$PAM_USER:$given" = "alice:pam-pass" ]
"""
SERVICE = """auth [success=done default=ignore] pam_exec.so expose_authtok quiet {script}
auth requisite pam_deny.so
account required pam_permit.so
"""
SLOW = """auth required pam_exec.so quiet /bin/sleep 5
account required pam_permit.so
"""
WAITING = """auth optional pam_faildelay.so delay=3000000
auth requisite pam_deny.so
"""
EXPIRED = """auth required pam_permit.so
account required pam_debug.so acct=acct_expired
"""


@pytest.fixture
def services(tmp_path: Path) -> Path:
    directory = tmp_path / "pam.d"
    directory.mkdir()
    script = tmp_path / "check.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    texts = {"good": SERVICE.format(script=script), "slow": SLOW, "waiting": WAITING, "expired": EXPIRED}
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


def ask_pam(services: Path, service: str, log: FakeLog, deadline_s: float = 10.0) -> Callable[[str, str], SourceAnswer]:
    source = PamSource(service, "{local}", LibPam(directory=str(services)), ThreadCompute(4), deadline_s, log)
    return lambda login, password: asyncio.run(source.check(login, password))


def test_pam_knows_a_password(services: Path) -> None:
    log = FakeLog()
    check = ask_pam(services, "good", log)
    assert check(ALICE, "pam-pass") is YES
    assert check(ALICE, "wrong") is NO
    assert check("bob@here.test", "pam-pass") is NO
    assert check(ALICE, "p" * 1000) is NO
    assert log.events == []


def test_pam_tells_of_expired_accounts_and_lets_no_module_hold_a_thread(services: Path) -> None:
    assert ask_pam(services, "expired", FakeLog())(ALICE, "whatever") is NO
    began = time.monotonic()
    assert ask_pam(services, "waiting", FakeLog())(ALICE, "wrong") is NO
    assert time.monotonic() - began < 1


def test_a_module_that_hangs_is_not_waited_for(services: Path) -> None:
    log = FakeLog()
    source = PamSource("slow", "{local}", LibPam(directory=str(services)), ThreadCompute(4), 0.3, log)

    async def check() -> SourceAnswer:
        began = time.monotonic()
        answer = await source.check(ALICE, "x")
        assert time.monotonic() - began < 3
        return answer

    assert asyncio.run(check()) is UNAVAILABLE


async def test_pam_is_asked_by_many_threads_at_once(services: Path) -> None:
    source = PamSource("good", "{local}", LibPam(directory=str(services)), ThreadCompute(8), 30.0, FakeLog())
    words = ["pam-pass" if number % 3 else "wrong" for number in range(40)]
    answers = await asyncio.gather(*[source.check(ALICE, word) for word in words])
    assert answers == [YES if word == "pam-pass" else NO for word in words]


# -- LDAP


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def ldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Slapd, int, int]]:
    slapd, plain, tls = Slapd(tmp_path_factory.mktemp("slapd"), is_open=True), free_port(), free_port()
    command = slapd.command(f"ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls}")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(plain) and _answers(tls), "slapd")
        yield slapd, plain, tls
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


RULES = {
    "template": LdapRules(user_dn=f"uid={{local}},{BASE}"),
    "anonymous": LdapRules(base=BASE),
    "reader": LdapRules(base=BASE, reader_dn=READER, reader_password=READER_PASSWORD),
}


def ask_ldap(place: LdapPlace, rules: LdapRules, log: FakeLog | None = None) -> Callable[[str, str], SourceAnswer]:
    source = LdapSource(rules, partial(connect, place), ThreadCompute(2), 10.0, log or FakeLog())
    return lambda login, password: asyncio.run(source.check(login, password))


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("way", ["ldaps", "starttls", "plain"])
def test_ldap_knows_a_password(ldap: tuple[Slapd, int, int], way: str, rules: LdapRules) -> None:
    slapd, plain, tls = ldap
    url = f"ldaps://localhost:{tls}" if way == "ldaps" else f"ldap://localhost:{plain}"
    log = FakeLog()
    check = ask_ldap(LdapPlace(url, 5.0, slapd.authority.read_text(), way != "plain"), rules, log)
    assert check(ALICE, "ldap-pass") is YES
    for login, password in (
        (ALICE, "wrong"),
        (ALICE, ""),
        ("nobody@here.test", "ldap-pass"),
        ("*@here.test", "ldap-pass"),
        (f"alice,{BASE}", "ldap-pass"),
        ("x)(uid=alice@here.test", "ldap-pass"),
        ("alice\x00@here.test", "ldap-pass"),
        ("twin@here.test", "x"),
    ):
        assert check(login, password) is NO
    assert [event[1] for event in log.events if "several" not in event[1]] == []


def test_an_ldap_server_that_is_not_who_it_should_be_gets_no_password(ldap: tuple[Slapd, int, int]) -> None:
    slapd, plain, tls = ldap
    stranger = trustme.CA().cert_pem.bytes().decode()
    authority = slapd.authority.read_text()
    for url, trusted in (
        (f"ldaps://localhost:{tls}", stranger),
        (f"ldap://localhost:{plain}", stranger),
        (f"ldaps://localhost:{tls}", ""),
        (f"ldaps://127.0.0.1:{tls}", authority),  # another name than the certificate's
        (f"ldap://localhost:{free_port()}", authority),
    ):
        log = FakeLog()
        assert ask_ldap(LdapPlace(url, 5.0, trusted), RULES["template"], log)(ALICE, "ldap-pass") is UNAVAILABLE
        assert "ldap-pass" not in repr(log.events)


def test_an_ldap_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = LdapPlace(f"ldap://127.0.0.1:{silent.getsockname()[1]}", 1.0, uses_tls=False)
        began = time.monotonic()
        assert ask_ldap(place, RULES["template"])(ALICE, "ldap-pass") is UNAVAILABLE
        assert time.monotonic() - began < 5


# -- both behind a server

TABLES = """
[[listener]]
service = "submission"
bind = "127.0.0.1:587"
tls = "starttls"

[login]
pam_service = "posthouse"
pam_user = "{local}"
ldap_url = "ldaps://localhost"
ldap_base = "ou=people,dc=here,dc=test"
ldap_reader = "cn=reader,dc=here,dc=test"
ldap_reader_password_file = "@BASE@/reader.secret"
ldap_ca_file = "@BASE@/ldap/ca.pem"
"""


def test_a_server_asks_the_directory_then_ldap_then_pam(lab: Lab) -> None:
    host = lab.add_host("server")
    etc = Path("/etc/netns") / host.namespace / "pam.d"  # `ip netns exec` puts it over /etc/pam.d
    etc.mkdir()
    script = host.directory / "check.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    (etc / "posthouse").write_text(SERVICE.format(script=script))
    (etc / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
    (host.directory / "reader.secret").write_text(READER_PASSWORD + "\n")
    slapd = Slapd(host.directory / "ldap")
    running = Server(host, slapd.command("ldaps://127.0.0.1"))
    lab.stop_at_end(running.stop)
    host.wait_port(636)
    server = Posthouse(lab, host, "mx.here.test", ["there.test"], tables=TABLES.replace("@BASE@", str(host.directory)))
    server.command("domain", "add", "here.test")
    server.command("account", "add", ALICE, "--password-stdin", data="own-pass\n")
    host.wait_port(587)

    def log_in(password: str, user: str = ALICE) -> str:
        words = ["--tls", "--auth", "PLAIN", "--auth-user", user, "--auth-password", password, "--quit-after", "AUTH"]
        said = host.run("swaks", "--server", "127.0.0.1", "--port", "587", *words).stdout
        codes = [line[4:7] for line in said.splitlines()]
        return next(code for code in codes if code in {"235", "535", "454"})

    for password in ("own-pass", "ldap-pass", "pam-pass"):
        assert log_in(password) == "235", server.read_log()
    assert log_in("wrong") == "535"
    assert log_in("ldap-pass", "nobody@here.test") == "535"
    running.stop()
    assert log_in("pam-pass") == "235"
    assert log_in("wrong again") == "454"
    assert "ldap-pass" not in server.read_log()
