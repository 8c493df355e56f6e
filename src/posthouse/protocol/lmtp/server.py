"""LMTP as a server speaks it (RFC 2033): the SMTP core with LHLO, and one reply per recipient after the message.

The differences are rules of the same dialogue, not another one, so they live in the SMTP core behind
`ServerSettings.lmtp`; this module is the name under which they are asked for.
"""

from __future__ import annotations

from dataclasses import replace

from posthouse.protocol.smtp.server import SmtpServer
from posthouse.protocol.smtp.server_settings import ServerSettings


def make_lmtp_server(settings: ServerSettings) -> SmtpServer:
    """One LMTP session. Keep what `lmtp_settings` returns instead where many are made."""
    return SmtpServer(lmtp_settings(settings))


def lmtp_settings(settings: ServerSettings) -> ServerSettings:
    return replace(settings, lmtp=True)
