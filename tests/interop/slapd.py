"""OpenLDAP's server with a few people, its files in one directory."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import trustme

BASE = "ou=people,dc=here,dc=test"
READER, READER_PASSWORD = "cn=reader,dc=here,dc=test", "reading"

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {0}/cert.pem
TLSCertificateKeyFile {0}/key.pem
allow bind_anon_cred
database mdb
suffix dc=here,dc=test
rootdn {1}
rootpw {2}
directory {0}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.base="{1}" read by anonymous {3}
"""
_PERSON = """
dn: uid={uid},ou=people,dc=here,dc=test
objectClass: inetOrgPerson
uid: {uid}
cn: {uid}
sn: {uid}
mail: {mail}
userPassword: {password}
"""
_TREE = """dn: dc=here,dc=test
objectClass: dcObject
objectClass: organization
o: here
dc: here

dn: ou=people,dc=here,dc=test
objectClass: organizationalUnit
ou: people
"""
PEOPLE = [("alice", "alice@here.test", "ldap-pass"), ("twin1", "twin@here.test", "x"), ("twin2", "twin@here.test", "x")]


@dataclass
class Slapd:
    """`authority` is a PEM file. Nobody can search anonymously unless `is_open`."""

    directory: Path
    is_open: bool = False

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"

    def command(self, urls: str) -> list[str]:
        """Fills the directory, and tells how to run the server in the foreground."""
        (self.directory / "db").mkdir(parents=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        server = authority.issue_cert("localhost")
        server.cert_chain_pems[0].write_to_path(str(self.directory / "cert.pem"))
        server.private_key_pem.write_to_path(str(self.directory / "key.pem"))
        config, people = self.directory / "slapd.conf", self.directory / "people.ldif"
        rights = "read" if self.is_open else "none"
        config.write_text(_CONFIG.format(self.directory, READER, READER_PASSWORD, rights))
        rows = [_PERSON.format(uid=uid, mail=mail, password=password) for uid, mail, password in PEOPLE]
        people.write_text(_TREE + "".join(rows))
        subprocess.run(["slapadd", "-f", str(config), "-l", str(people)], check=True, capture_output=True)
        return ["slapd", "-f", str(config), "-h", urls, "-d", "0"]
