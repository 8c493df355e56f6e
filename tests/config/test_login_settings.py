"""Settings of [login] that would let in more people than somebody meant to, or nobody."""

from __future__ import annotations

import pytest

from posthouse.config.settings_login import LoginSettings
from tests.config.test_config_reading import problems_of

HEAD = 'hostname = "mail.example.org"\ndata = "/var/lib/posthouse"\n[login]\n'
LDAP = 'ldap_url = "ldaps://ldap.example.org"\n'
BASE = 'ldap_base = "dc=example,dc=org"\n'


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('pam_service = "../../etc/evil"', "not a path"),
        ('pam_user = "root"', "everybody would be the same user"),
        (LDAP, "needs ldap_user or ldap_base"),
        (LDAP + 'ldap_user = "cn=admin"', "everybody would be the same user"),
        (LDAP + BASE + 'ldap_filter = "(uid=*)"', "everybody would be the same user"),
        (LDAP + BASE + 'ldap_reader = "cn=reader"', "belong together"),
        ('ldap_url = "https://ldap.example.org"\n' + BASE, "must look like"),
        ('ldap_url = "ldap://"\n' + BASE, "must look like"),
        ('ldap_url = "ldap://["\n' + BASE, "must look like"),
        ('ldap_url = "ldap://host:99999"\n' + BASE, "must look like"),
        ('oauth_keys_url = "https://id.example.org/jwks"', "needs oauth_issuer"),
        ('oauth_keys_url = "https://id.example.org/jwks"\noauth_issuer = "https://id"', "needs oauth_audience"),
    ],
)
def test_what_is_refused(lines: str, words: str) -> None:
    problems = problems_of(HEAD + lines)
    assert len(problems) == 1
    assert words in problems[0]


def test_files_that_the_supervisor_reads_for_the_workers() -> None:
    login = LoginSettings(ldap_ca_file="/a", ldap_reader_password_file="/b", password_file="/read/by/workers")
    assert dict(login.named_files()) == {"ldap_ca_file": "/a", "ldap_reader_password_file": "/b"}
