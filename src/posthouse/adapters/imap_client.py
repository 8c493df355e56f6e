"""A small IMAP client for imports: one connection, commands one after the other, answers as they come. Blocks.

Written here and not taken from a library because what is at hand reads literals of any length into memory, parses FETCH
by itself only in part, or cannot go on receiving while the caller works. Trusts nothing but the certificate.
Standards: RFC 9051 and RFC 3501 as far as reading mailboxes goes, RFC 2342 (NAMESPACE), RFC 6154 (SPECIAL-USE),
RFC 8314 §3.2 (implicit TLS).
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from posthouse.ports.transfer import TransferError
from posthouse.protocol.imap.responses import Item, Response, ResponseError, ResponseReader, quote_string

_READ = 1 << 18
_CONNECT_S = 20.0


@dataclass(frozen=True, slots=True)
class ImapServer:
    """`tls`: implicit, starttls, off. `ca`: a file of certificates to trust instead of the system's."""

    host: str
    port: int
    tls: str = "implicit"
    ca: str | None = None
    verifies: bool = True
    timeout_s: float = 120.0


class ImapRefusal(TransferError):
    """The server said NO or BAD."""


class ImapClient:
    """Errors are TransferError with words for people."""

    def __init__(self, server: ImapServer, max_literal: int) -> None:
        self._server = server
        self._tags = (b"a%d" % number for number in itertools.count(1))
        self.capabilities: frozenset[bytes] = frozenset()
        self._reader = ResponseReader(max_literal)
        with self._telling():
            timeout = min(server.timeout_s, _CONNECT_S)
            self._socket: socket.socket = socket.create_connection((server.host, server.port), timeout)
            self._socket.settimeout(server.timeout_s)
        try:
            self._greet(max_literal)
        except BaseException:
            self.close()
            raise

    def _greet(self, max_literal: int) -> None:
        if self._server.tls == "implicit":
            self._start_tls()
        greeting = self.read()
        if greeting.kind not in (b"OK", b"PREAUTH"):
            raise TransferError(f"{self._server.host} does not want us: {_show(greeting.text)}")
        if self._server.tls == "starttls":
            self.run(b"STARTTLS")
            self._reader = ResponseReader(max_literal)  # what came before the handshake does not count
            self._start_tls()
        self._ask_capabilities()

    def _start_tls(self) -> None:
        with self._telling():
            context = ssl.create_default_context(cafile=self._server.ca)
        if not self._server.verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        with self._telling():
            self._socket = context.wrap_socket(self._socket, server_hostname=self._server.host)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        host = self._server.host
        try:
            yield
        except TimeoutError as error:
            raise TransferError(f"{host} does not answer") from error
        except ssl.SSLCertVerificationError as error:
            raise TransferError(f"certificate of {host}: {error.verify_message}") from error
        except (OSError, ResponseError) as error:
            raise TransferError(f"{host}: {getattr(error, 'strerror', None) or error}") from error

    # Commands.

    def send(self, command: bytes) -> bytes:
        """The tag. Several may be on their way."""
        tag = next(self._tags)
        with self._telling():
            self._socket.sendall(tag + b" " + command + b"\r\n")
        return tag

    def run(self, command: bytes) -> list[Response]:
        """What the server said to it. Raises ImapRefusal."""
        return list(self.responses(self.send(command)))

    def responses(self, tag: bytes) -> Iterator[Response]:
        """Until the command is done; the last one is its OK."""
        while True:
            response = self.read()
            if response.tag == tag and response.kind in (b"NO", b"BAD"):
                raise ImapRefusal(f"{self._server.host}: {_show(response.text)}")
            yield response
            if response.tag == tag:
                return

    def read(self) -> Response:
        with self._telling():
            while (response := self._reader.next_response()) is None:
                data = self._socket.recv(_READ)
                if not data:
                    raise TransferError(f"{self._server.host} closed the connection")
                self._reader.receive(data)
        if response.tag == b"*" and response.kind == b"BYE":
            raise TransferError(f"{self._server.host} hangs up: {_show(response.text)}")
        return response

    def _ask_capabilities(self) -> None:
        found: set[bytes] = set()
        for response in self.run(b"CAPABILITY"):
            if response.kind == b"CAPABILITY":
                found.update(item.upper() for item in response.items or () if isinstance(item, bytes))
        self.capabilities = frozenset(found)

    def log_in(self, user: str, password: str) -> None:
        """AUTHENTICATE PLAIN (RFC 4616 §2), else LOGIN."""
        if b"AUTH=PLAIN" in self.capabilities:
            self._authenticate(b"\0" + user.encode() + b"\0" + password.encode())
        elif b"LOGINDISABLED" in self.capabilities:
            raise TransferError(f"{self._server.host} takes no password on this connection")
        else:
            name, secret = quote_string(user.encode()), quote_string(password.encode())
            if name is None or secret is None:
                raise TransferError(f"{self._server.host} only takes user names and passwords in ASCII")
            self.run(b"LOGIN " + name + b" " + secret)
        self._ask_capabilities()

    def _authenticate(self, token: bytes) -> None:
        tag = self.send(b"AUTHENTICATE PLAIN")
        for response in self.responses(tag):
            if response.tag == b"+":
                with self._telling():
                    self._socket.sendall(base64.b64encode(token) + b"\r\n")

    def close(self) -> None:
        """From any thread: a read that waits ends."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, AttributeError):
            self._socket.close()


def _show(text: bytes) -> str:
    return text.decode("utf-8", "replace")[:300]


def as_pairs(items: Item) -> dict[bytes, Item]:
    """Names in upper case and their values, as in FETCH and STATUS."""
    if not isinstance(items, list):
        return {}
    return {
        name.upper(): value for name, value in zip(items[::2], items[1::2], strict=False) if isinstance(name, bytes)
    }
