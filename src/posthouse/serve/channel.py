"""The facts about a TLS connection that roles and login mechanisms need, put on the peer.

Channel bindings: tls-server-end-point (RFC 5929 §4), and tls-exporter (RFC 9266) where the ssl module can export.
tls-unique is never offered: it is wrong under TLS 1.3. A client certificate counts when the context verified it; its
names are the mail addresses in it (RFC 8550 §3), for EXTERNAL.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from posthouse.message.peer import Peer
from posthouse.protocol.sasl.server_scram import END_POINT, EXPORTER


@runtime_checkable
class BoundContext(Protocol):
    """A TLS context that knows the tls-server-end-point of its certificate (adapters/net/tls.py)."""

    end_point: bytes


def note_cipher(peer: Peer, transport: asyncio.BaseTransport) -> None:
    cipher: tuple[str, str, int] | None = transport.get_extra_info("cipher")
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if cipher is not None:
        peer.tls_cipher, peer.tls_bits = cipher[0], cipher[2]
        peer.tls_version = (secured.version() if secured is not None else None) or cipher[1]


def note_channel(peer: Peer, secured: ssl.SSLObject | None, context: object) -> None:
    """Put on the peer what this TLS connection can be bound by, and who its certificate says it is."""
    bindings: dict[str, bytes] = {}
    if isinstance(context, BoundContext) and context.end_point:
        bindings[END_POINT] = context.end_point
    if secured is not None and EXPORTER in ssl.CHANNEL_BINDING_TYPES:
        exported = secured.get_channel_binding(EXPORTER)
        if exported:
            bindings[EXPORTER] = exported
    peer.channel_bindings = bindings
    peer.certificate_names = tuple(_list_names(secured)) if secured is not None else ()


def _list_names(secured: ssl.SSLObject) -> Iterator[str]:
    """Empty without a verified certificate. Names of the subject count only where there are no alternative ones."""
    certificate = secured.getpeercert() or {}
    names = [name for kind, name in _pairs(certificate.get("subjectAltName")) if kind == "email"]
    if not names:
        subject = certificate.get("subject")
        parts = [pair for part in subject for pair in _pairs(part)] if isinstance(subject, tuple) else []
        names = [name for kind, name in parts if kind == "emailAddress" or (kind == "commonName" and "@" in name)]
    yield from names


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, tuple):
        return
    for pair in value:
        match pair:
            case (str(kind), str(name)):
                yield kind, name
            case _:
                continue
