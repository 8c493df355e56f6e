"""The settings of logging in. Annotations are read at run time (see settings.py)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import Choice, Duration, FilePath, Flag, Key, ListOf, Text, Whole
from posthouse.ports.login import MECHANISMS


class LoginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may log in, how, and how fast somebody may guess. Passwords themselves are set by commands."""

    mechanisms: Annotated[
        tuple[str, ...],
        Key(
            ListOf(Choice(MECHANISMS)),
            "SASL mechanisms, the best first; each is offered only where it is possible and safe.",
        ),
    ] = MECHANISMS
    plaintext_on_loopback: Annotated[
        bool, Key(Flag(), "Whether programs on this machine may send a password without TLS.")
    ] = True
    free_failures: Annotated[
        int, Key(Whole(1, 1000), "Failed logins of one account before further ones are slowed down.")
    ] = 5
    free_failures_per_address: Annotated[
        int, Key(Whole(1, 100_000), "Failed logins from one address before further ones are slowed down.")
    ] = 20
    longest_wait: Annotated[
        timedelta, Key(Duration("1s", "1d"), "Longest wait between failed logins; it begins at 1s and doubles.")
    ] = timedelta(minutes=1)
    known_place: Annotated[
        timedelta,
        Key(Duration("0s", "3650d"), "How long a network (/24 or /64) counts as known to an account that was there."),
    ] = timedelta(days=90)
    remember: Annotated[
        timedelta, Key(Duration("0s", "1d"), "How long a right password is remembered, in memory, to save its hash.")
    ] = timedelta(minutes=10)
    waiting: Annotated[int, Key(Whole(2, 100_000), "Passwords that may wait to be checked in each worker.")] = 64
    password_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "File of lines user:{ARGON2ID}hash whose passwords are good for accounts too.",
            "no such file",
            '"/etc/posthouse/passwd"',
        ),
    ] = None
    pam_service: Annotated[
        str | None,
        Key(
            Text(),
            "Service of PAM (a file in /etc/pam.d) whose passwords are good for accounts too.",
            "PAM is not asked",
            '"posthouse"',
        ),
    ] = None
    pam_user: Annotated[
        str, Key(Text(), "Whom PAM is asked about; {address}, {local} and {domain} are those of the account.")
    ] = "{address}"
    ldap_url: Annotated[
        str | None,
        Key(
            Text(),
            "LDAP server whose passwords are good for accounts too; ldap:// is asked to start TLS.",
            "LDAP is not asked",
            '"ldaps://ldap.example.org"',
        ),
    ] = None
    ldap_user: Annotated[
        str | None,
        Key(
            Text(),
            "Name to bind as, without searching; {address}, {local} and {domain} are those of the account.",
            "it is searched for below ldap_base",
            '"uid={local},ou=people,dc=example,dc=org"',
        ),
    ] = None
    ldap_base: Annotated[
        str | None,
        Key(Text(), "Below which entry to search.", "nothing is searched for", '"ou=people,dc=example,dc=org"'),
    ] = None
    ldap_filter: Annotated[str, Key(Text(), "What the entry must have: exactly one may fit.")] = "(mail={address})"
    ldap_reader: Annotated[
        str | None, Key(Text(), "Name to search as.", "anonymously", '"cn=posthouse,dc=example,dc=org"')
    ] = None
    ldap_reader_password_file: Annotated[
        str | None, Key(FilePath(), "File with the password of ldap_reader.", "none", '"/etc/posthouse/ldap.secret"')
    ] = None
    ldap_ca_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "Certificates (PEM) of who may vouch for the LDAP server.",
            "those of the system",
            '"/etc/posthouse/ldap-ca.pem"',
        ),
    ] = None
    ldap_without_tls: Annotated[bool, Key(Flag(), "Whether passwords may go to an ldap:// server in the clear.")] = (
        False
    )
    source_timeout: Annotated[
        timedelta, Key(Duration("1s", "1m"), "How long PAM or LDAP may take for one password.")
    ] = timedelta(seconds=10)
    oauth_introspection_url: Annotated[
        str | None,
        Key(
            Text(), "Where an issuer tells about its access tokens.", "not asked", '"https://id.example.org/introspect"'
        ),
    ] = None
    oauth_client_id: Annotated[
        str | None, Key(Text(), "Our name at oauth_introspection_url.", "an empty name", '"posthouse"')
    ] = None
    oauth_client_secret_file: Annotated[
        str | None,
        Key(FilePath(), "File with our secret there.", "an empty secret", '"/etc/posthouse/oauth.secret"'),
    ] = None
    oauth_keys_url: Annotated[
        str | None,
        Key(
            Text(), "Where an issuer has the keys (JWKS) of its signed tokens.", "none", '"https://id.example.org/jwks"'
        ),
    ] = None
    oauth_issuer: Annotated[
        str | None, Key(Text(), "What a token must name as its issuer.", "any issuer", '"https://id.example.org"')
    ] = None
    oauth_audience: Annotated[
        str | None, Key(Text(), "What a token must be meant for.", "any audience", '"mail.example.org"')
    ] = None
    oauth_login_claim: Annotated[str, Key(Text(), "The claim of a token that holds the account's address.")] = "email"
    oauth_scope: Annotated[str | None, Key(Text(), "The scope that a token must have.", "any scope", '"mail"')] = None
    oauth_ca_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "Certificates (PEM) of who may vouch for the issuer.",
            "those of the system",
            '"/etc/posthouse/id-ca.pem"',
        ),
    ] = None
    oauth_private_addresses: Annotated[
        bool, Key(Flag(), "Whether the issuer may be in a private network, or be asked without TLS.")
    ] = False

    def named_files(self) -> Iterator[tuple[str, str]]:
        """Keys and paths of files that are read once, at the start or a reload."""
        for key in ("oauth_client_secret_file", "oauth_ca_file", "ldap_reader_password_file", "ldap_ca_file"):
            path: str | None = getattr(self, key)
            if path is not None:
                yield key, path
