"""Contexts that differ as they should, and certificates made and read."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from posthouse.adapters.net.tls import (
    ClientContexts,
    make_opportunistic_context,
    make_self_signed,
    make_server_context,
    make_verifying_context,
    read_certificate,
)
from posthouse.ports.stream import TlsCheck


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str | None) -> ssl.SSLObject:
    """A whole handshake in memory; returns the client's side. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    theirs.write(b"x")
    ours.read(1)  # with it come the session tickets of TLS 1.3
    return ours


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make_self_signed("mail.example", certificate, key)
    return certificate, key


def make_weak(directory: Path) -> tuple[str, str]:
    """An RSA key of 1024 bits, its certificate expired long ago: what old hosts have."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old.example")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2001, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2002, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    paths = str(directory / "weak.pem"), str(directory / "weak.key")
    Path(paths[0]).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    Path(paths[1]).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return paths


def test_opportunistic_tls_takes_weak_certificates_and_small_keys(tmp_path: Path) -> None:
    server = make_server_context(*make_weak(tmp_path), accepts_old=True)
    assert shake_hands(make_opportunistic_context(), server, "mx.example").version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "name"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_1, "TLSv1.1"), (ssl.TLSVersion.TLSv1, "TLSv1")],
)
def test_old_versions_are_spoken_on_both_sides_where_the_alternative_is_plaintext(
    files: tuple[str, str], version: ssl.TLSVersion, name: str
) -> None:
    client = make_opportunistic_context()
    client.maximum_version = version
    assert shake_hands(client, make_server_context(*files, accepts_old=True), None).version() == name


def test_submission_does_not_speak_tls_1_1(files: tuple[str, str]) -> None:
    client = make_opportunistic_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(client, make_server_context(*files), None).version() == "TLSv1.2"
    assert make_server_context(*files).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_verifying_client_does_not_take_a_self_signed_certificate(files: tuple[str, str]) -> None:
    server = make_server_context(*files)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(make_verifying_context(), server, "mail.example")
    trusting = make_verifying_context(files[0])
    assert shake_hands(trusting, server, "mail.example").version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(trusting, server, "other.example")


def test_a_session_is_offered_again_to_the_same_host_only(files: tuple[str, str]) -> None:
    client, server = make_verifying_context(files[0]), make_server_context(*files)
    first = shake_hands(client, server, "mail.example")
    client.remember("mail.example", first.session)
    assert shake_hands(client, server, "mail.example").session_reused
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server, "other.example")
    client.forget("mail.example")
    assert not shake_hands(client, server, "mail.example").session_reused


def test_a_server_that_forgot_the_session_gets_a_whole_handshake(files: tuple[str, str]) -> None:
    client = make_opportunistic_context()
    client.remember("mx.example", shake_hands(client, make_server_context(*files), "mx.example").session)
    assert not shake_hands(client, make_server_context(*files), "mx.example").session_reused


def test_the_memory_of_sessions_is_bounded_and_drops_the_oldest(files: tuple[str, str]) -> None:
    client, server = make_opportunistic_context(), make_server_context(*files)
    session = shake_hands(client, server, "mx.example").session
    client.remember("", session)
    client.remember("mx.example", None)
    for number in range(600):
        client.remember(f"mx{number}.example", session)
    assert len(client._sessions) == 512
    assert "mx599.example" in client._sessions


def test_each_check_has_its_context() -> None:
    contexts = ClientContexts()
    assert contexts.choose(TlsCheck.ANY).verify_mode is ssl.CERT_NONE
    assert contexts.choose(TlsCheck.VERIFIED).verify_mode is ssl.CERT_REQUIRED
    assert contexts.choose(TlsCheck.VERIFIED).check_hostname


def test_a_key_can_be_read_from_a_descriptor(files: tuple[str, str]) -> None:
    descriptor = os.memfd_create("key")
    os.write(descriptor, Path(files[1]).read_bytes())
    server = make_server_context(files[0], f"/proc/self/fd/{descriptor}")
    os.close(descriptor)
    assert shake_hands(make_opportunistic_context(), server, None).version() == "TLSv1.3"


def test_a_key_that_does_not_fit_is_an_error(files: tuple[str, str], tmp_path: Path) -> None:
    other = make_weak(tmp_path)
    with pytest.raises(ssl.SSLError):
        make_server_context(files[0], other[1])
    with pytest.raises(FileNotFoundError):
        make_server_context(str(tmp_path / "missing"), files[1])


def test_a_self_signed_certificate_is_for_its_host_and_its_key_for_nobody_else(files: tuple[str, str]) -> None:
    facts = read_certificate(files[0])
    assert facts.names == ("mail.example",)
    assert facts.is_self_signed
    assert facts.not_after - datetime.now(UTC) > timedelta(days=3000)
    assert stat.S_IMODE(os.stat(files[1]).st_mode) == 0o600


@pytest.mark.parametrize(("name", "read"), [("192.0.2.1", "192.0.2.1"), ("a" * 60 + ".example.net", None)])
def test_addresses_and_long_names_get_a_certificate_too(tmp_path: Path, name: str, read: str | None) -> None:
    paths = str(tmp_path / "c"), str(tmp_path / "k")
    make_self_signed(name, *paths)
    assert read_certificate(paths[0]).names == (read or name,)


def test_names_of_a_certificate_without_alternative_names(tmp_path: Path) -> None:
    assert read_certificate(make_weak(tmp_path)[0]).names == ("old.example",)
