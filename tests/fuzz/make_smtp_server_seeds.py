"""Writes seeds: the client's side of the dialogue scripts, and logins by every mechanism.

python -m tests.fuzz.make_smtp_server_seeds
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

from posthouse.protocol.sasl.server_scram import END_POINT
from tests.dialogues.dialogue_script import Script, list_scripts, read_script
from tests.fuzz.auth_player import BINDINGS, ITERATIONS, NONCE, SALT
from tests.fuzz.smtp_server_target import PLAIN, SMALL, WITH_AUTH, WITH_LMTP, WITH_TLS

SEEDS = Path(__file__).parent / "seeds" / "smtp_server"
MAX_SEED = 4096
LETTER = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\na: b\r\n\r\nc\r\n.\r\nQUIT\r\n"


def choose_kind(script: Script) -> int:
    if script.settings.get("lmtp"):
        return WITH_LMTP
    if "tls" in script.abilities:
        return WITH_TLS
    return SMALL if "max_size" in script.settings else PLAIN


def line(data: bytes) -> bytes:
    return base64.b64encode(data) + b"\r\n"


def list_logins() -> Iterator[tuple[str, bytes]]:
    """Right and wrong ones, each with a message behind it."""
    for word in ("right", "wrong"):
        password, token = word.encode(), b"auth=Bearer " + word.encode() + b"\1\1"
        yield f"auth_plain_{word}", b"AUTH PLAIN " + line(b"\0alice\0" + password)
        yield f"auth_plain_{word}_asked", b"AUTH PLAIN\r\n" + line(b"alice\0alice\0" + password)
        yield f"auth_login_{word}", b"AUTH LOGIN\r\n" + line(b"alice") + line(password)
        yield f"auth_oauthbearer_{word}", b"AUTH OAUTHBEARER " + line(b"n,a=alice,\1" + token) + line(b"\1")
        yield f"auth_xoauth2_{word}", b"AUTH XOAUTH2 " + line(b"user=alice\1" + token) + b"\r\n"
        yield f"auth_scram_{word}", b"AUTH SCRAM-SHA-256\r\n" + b"".join(map(line, prove("sha256", word, b"n,,")))
        plus = b"p=tls-server-end-point,,"
        yield f"auth_scram_plus_{word}", b"AUTH SCRAM-SHA-1-PLUS\r\n" + b"".join(map(line, prove("sha1", word, plus)))
    yield "auth_external", b"AUTH EXTERNAL =\r\nAUTH EXTERNAL " + line(b"alice")
    yield "auth_given_up", b"AUTH LOGIN\r\n*\r\nAUTH LOGIN " + line(b"alice") + b"*\r\nAUTH NTLM\r\nAUTH CRAM-MD5\r\n"
    yield "auth_commands_within", b"AUTH LOGIN\r\nMAIL FROM:<a@b.example>\r\nAUTH PLAIN =\r\nRSET\r\nAUTH PLAIN\r\n\r\n"


def prove(algorithm: str, password: str, header: bytes) -> tuple[bytes, bytes]:
    """The client's two messages of SCRAM (RFC 5802 §3)."""
    bare, nonce = b"n=alice,r=client", b"client" + NONCE.encode()
    first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(SALT), ITERATIONS)
    channel = header + (BINDINGS[END_POINT] if header.startswith(b"p") else b"")
    final = b"c=%s,r=%s" % (base64.b64encode(channel), nonce)
    key = hmac.digest(hashlib.pbkdf2_hmac(algorithm, password.encode(), SALT, ITERATIONS), b"Client Key", algorithm)
    signature = hmac.digest(hashlib.new(algorithm, key).digest(), b",".join([bare, first, final]), algorithm)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return header + bare, final + b",p=" + base64.b64encode(proof)


def main() -> None:
    SEEDS.mkdir(parents=True, exist_ok=True)
    for path in list_scripts():
        script = read_script(path)
        octets = b"".join(step.octets for step in script.steps if step.kind == "C")
        (SEEDS / path.stem).write_bytes(bytes([choose_kind(script)]) + octets[:MAX_SEED])
    for name, octets in list_logins():
        (SEEDS / name).write_bytes(bytes([WITH_AUTH]) + b"EHLO c.example\r\n" + octets + LETTER)


if __name__ == "__main__":
    main()
