"""`WebPush` by HTTPS: messages encrypted for their device (RFC 8291, RFC 8188), sent in our name (RFC 8292, RFC 9749).

The push service sees who sends, not what; a subscription without keys gets plain JSON, which its program has chosen.
Where it may lead is the care of `Fetch`. The server's key is `vapid.pem` in the data directory, made at first need:
subscriptions are bound to it, so it must not change. It is complete or not there after a crash, and readable by its
owner only; of workers that make it at once, one wins.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import struct
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from posthouse.adapters.fetch import is_public
from posthouse.ports.clock import Clock
from posthouse.ports.fetch import Fetch, FetchError
from posthouse.ports.observe import Log
from posthouse.ports.webpush import PushOutcome, PushTarget

_RECORD = 4096  # RFC 8291 §4: one record
_OVERHEAD = 86 + 1 + 16  # the header (RFC 8188 §2.1), the delimiter, the tag
_SALT, _AUTH, _POINT = 16, 16, 65
_TOKEN_S = 12 * 3600  # RFC 8292 §2: at most a day
_RENEWED_S = 3600
_MAX_TOKENS = 1000
_GONE = (404, 410)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_PATIENCE = (408, 429)


class HttpWebPush:
    """`contact`: a URL, mailto: or https:, that push services may turn to. `allow_private`: as of `fetch`."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        contact: str,
        fetch: Fetch,
        clock: Clock,
        log: Log,
        *,
        allow_private: bool = False,
    ) -> None:
        self._allow_private = allow_private
        self._key, self._contact, self._fetch = key, contact, fetch
        self._clock, self._log = clock, log
        self._tokens: dict[str, tuple[float, str]] = {}

    @property
    def server_key(self) -> str:
        return encode(_point_of(self._key.public_key()))

    def check_url(self, url: str) -> str:
        """What shows already in the URL. Names are looked up, and judged by their addresses, whenever it is asked."""
        try:
            parsed, place = httpx2.URL(url), urlsplit(url).netloc
        except (httpx2.InvalidURL, ValueError):
            return "It is no URL"
        if parsed.scheme != "https" or not parsed.host:
            return "It must be an https URL"
        if parsed.port is not None and not 0 < parsed.port < 65536:
            return "There is no such port"
        if "@" in place:
            return "It has a user name"
        return "" if self._allow_private or not _is_closed(parsed.host) else "Its address is not one of the internet"

    def check(self, target: PushTarget) -> str:
        if not target.p256dh and not target.auth:
            return ""
        try:
            _read_keys(target)
        except ValueError as error:
            return str(error)
        return ""

    async def send(self, target: PushTarget, octets: bytes, ttl_s: int) -> PushOutcome:
        headers = {"TTL": str(ttl_s), "Authorization": self._authorize(target.url), "Content-Type": "application/json"}
        if target.p256dh:
            octets = encrypt(octets, target, ec.generate_private_key(ec.SECP256R1()), os.urandom(_SALT))
            headers |= {"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream"}
        try:
            answer = await self._fetch.post(target.url, octets, headers)
        except FetchError as error:
            self._log.info("push not sent", reason=str(error))
            return PushOutcome.LATER
        return self._judge(answer.status, target)

    def _judge(self, status: int, target: PushTarget) -> PushOutcome:
        """RFC 8030 §5, §7.3."""
        if 200 <= status < 300:
            return PushOutcome.SENT
        if status in _GONE:
            return PushOutcome.GONE
        self._log.info("push not taken", service=urlsplit(target.url).hostname or "", status=status)
        return PushOutcome.LATER if status in _PATIENCE or status >= 500 else PushOutcome.REFUSED

    def _authorize(self, url: str) -> str:
        """RFC 8292 §3. One token for each service, for half a day."""
        parts = urlsplit(url)
        audience, now = f"{parts.scheme}://{parts.netloc}", self._clock.now()
        expires, token = self._tokens.get(audience, (0.0, ""))
        if expires < now + _RENEWED_S:
            expires = float(int(now) + _TOKEN_S)
            token = sign_token({"aud": audience, "exp": int(expires), "sub": self._contact}, self._key)
            if len(self._tokens) >= _MAX_TOKENS:
                self._tokens.clear()
            self._tokens[audience] = (expires, token)
        return f"vapid t={token}, k={self.server_key}"


def _is_closed(host: str) -> bool:
    """An address that is not asked; also one that only some programs read as such (127.1, 0x7f000001, 2130706433)."""
    try:
        return not is_public(host)
    except ValueError:
        return _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def sign_token(claims: dict[str, object], key: ec.EllipticCurvePrivateKey) -> str:
    """A JSON Web Token by ES256 (RFC 7515 §3.1, RFC 7518 §3.4)."""
    head = encode(msgspec.json.encode({"typ": "JWT", "alg": "ES256"}))
    signed = f"{head}.{encode(msgspec.json.encode(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode("ascii"), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def encrypt(octets: bytes, target: PushTarget, ephemeral: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """RFC 8291 §3.4, as one record of RFC 8188 §2. Raises ValueError when it is too much or the keys are wrong."""
    if len(octets) > _RECORD - _OVERHEAD:
        raise ValueError("too much for one push")
    theirs, secret = _read_keys(target)
    ours = _point_of(ephemeral.public_key())
    shared = ephemeral.exchange(ec.ECDH(), theirs)
    info = b"WebPush: info\0" + _point_of(theirs) + ours
    input_key = HKDF(hashes.SHA256(), 32, secret, info).derive(shared)
    key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(input_key)
    nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(input_key)
    sealed = AESGCM(key).encrypt(nonce, octets + b"\x02", None)
    return salt + struct.pack("!IB", _RECORD, len(ours)) + ours + sealed


def _read_keys(target: PushTarget) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """Raises ValueError."""
    point, secret = decode(target.p256dh), decode(target.auth)
    if len(point) != _POINT:
        raise ValueError("p256dh is no uncompressed point of P-256")
    if len(secret) != _AUTH:
        raise ValueError(f"auth has {_AUTH} octets")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point), secret
    except ValueError:
        raise ValueError("p256dh is no point of P-256") from None


def _point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Padding may be there. Raises ValueError."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a key is not base64url") from None


def open_server_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Made at first need. Raises OSError, ValueError."""
    if not path.exists():
        _make_key(path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"{path} holds no key of P-256")
    return key


def _make_key(path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    try:
        with contextlib.suppress(FileExistsError):  # another worker was quicker
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
