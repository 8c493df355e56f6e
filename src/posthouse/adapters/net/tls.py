"""TLS contexts for both sides, and certificates: reading what matters in one, making a self-signed one.

Opportunistic clients take what they get (RFC 7435 §3): old versions, small keys, any certificate; each of them is
better than plaintext. Verifying clients use the system's store and OpenSSL's defaults. A key file is readable by its
owner only and either complete or not there, also after a crash. Keys may be read from `/proc/self/fd/N`.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from posthouse.ports.stream import TlsCheck

# Not in the ssl module before 3.12: servers without RFC 5746, which OpenSSL 3 turns away by default.
_OP_LEGACY_SERVER_CONNECT = 0x4
_MAX_SESSIONS = 512  # some 10 KB each
_MAX_COMMON_NAME = 64  # RFC 5280 appendix A.1, ub-common-name


class ResumingContext(ssl.SSLContext):
    """A client context that offers each host the session of the last time (RFC 8446 §2.2).

    asyncio has no way to hand one in, but both event loops ask the context for the TLS object. A session that was
    made by a verifying context is only known to that context, and only for the name it was verified for.
    """

    _sessions: dict[str, ssl.SSLSession]

    def __new__(cls, *_: object) -> ResumingContext:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._sessions = {}
        return context

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def remember(self, host: str, session: ssl.SSLSession | None) -> None:
        """Take over the session of a connection that ends (under TLS 1.3 it is not complete before)."""
        if session is None or not host:
            return
        if len(self._sessions) >= _MAX_SESSIONS and host not in self._sessions:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[host] = session

    def forget(self, host: str) -> None:
        """A handshake failed: the next one is a whole one, in case the session was the reason."""
        self._sessions.pop(host, None)


def make_opportunistic_context() -> ResumingContext:
    """For `TlsCheck.ANY`."""
    context = ResumingContext()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= _OP_LEGACY_SERVER_CONNECT
    return context


def make_verifying_context(ca_file: str | None = None) -> ResumingContext:
    """For `TlsCheck.VERIFIED`; `ca_file` instead of the system's store."""
    context = ResumingContext()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(ca_file)
    return context


class ClientContexts:
    """One context for each way to look at a certificate; making one costs milliseconds, so they are kept."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._by_check = {
            TlsCheck.ANY: make_opportunistic_context(),
            TlsCheck.VERIFIED: make_verifying_context(ca_file),
        }

    def choose(self, check: TlsCheck) -> ResumingContext:
        return self._by_check[check]


class ServerContext(ssl.SSLContext):
    """`end_point`: tls-server-end-point of its certificate (RFC 5929 §4.1), b"" where that is not defined."""

    end_point: bytes = b""


def make_server_context(
    certificate_path: str, key_path: str, *, accepts_old: bool = False, client_ca: str | None = None
) -> ServerContext:
    """`accepts_old`: for port 25, where the alternative to TLS 1.0 is plaintext. With `client_ca` (a PEM file) clients
    are asked for a certificate; they may have none, but a wrong one ends the handshake. Raises OSError, as ssl.SSLError
    is.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    if accepts_old:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 1
    context.load_cert_chain(certificate_path, key_path)
    context.end_point = read_end_point(certificate_path)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(client_ca)
    return context


def read_end_point(certificate_path: str) -> bytes:
    """RFC 5929 §4.1: the hash of the certificate by its signature's own algorithm, SHA-256 for the weak ones."""
    with open(certificate_path, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return b""
    if algorithm is None:  # Ed25519 has none
        return b""
    is_weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return certificate.fingerprint(hashes.SHA256() if is_weak else algorithm)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What `check` and the logs say about a certificate: names it is for, and until when it is good (UTC)."""

    names: tuple[str, ...]
    not_after: datetime
    is_self_signed: bool


def read_certificate(path: str) -> CertificateFacts:
    """The first certificate of a PEM file. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        certificate = x509.load_pem_x509_certificate(file.read())
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name) for name in alternative.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return CertificateFacts(
        tuple(names),
        certificate.not_valid_after_utc,
        certificate.subject == certificate.issuer,
    )


def make_self_signed(hostname: str, certificate_path: str, key_path: str, days: int = 3650) -> None:
    """Write a new P-256 key and a certificate for `hostname`, which must be ASCII. Raises OSError."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:_MAX_COMMON_NAME])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_make_general_name(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_whole(key_path, private, 0o600)  # the key first: a certificate that is there has its key
    _write_whole(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_general_name(hostname: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)


def _write_whole(path: str, data: bytes, mode: int) -> None:
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.rename(temporary, path)
