"""Web push: encrypted as RFC 8291 shows it, signed as RFC 8292 wants it, and what the answers of push services mean."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from posthouse.adapters.webpush import HttpWebPush, decode, encode, encrypt, open_server_key
from posthouse.ports.clock import FakeClock
from posthouse.ports.fetch import FakeFetch, Fetched
from posthouse.ports.observe import FakeLog
from posthouse.ports.webpush import PushOutcome, PushTarget

URL = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"
# RFC 8291 appendix A
RECEIVER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
SECRET = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
PLAIN = b"When I grow up, I want to be a watermelon"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7"
    "A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
TARGET = PushTarget(URL, RECEIVER, SECRET)
KEY = ec.derive_private_key(int.from_bytes(decode(SENDER_PRIVATE), "big"), ec.SECP256R1())


def make_push(fetch: FakeFetch, clock: FakeClock | None = None) -> HttpWebPush:
    return HttpWebPush(KEY, "mailto:admin@example.org", fetch, clock or FakeClock(), FakeLog())


def test_a_message_is_sealed_as_in_the_example_of_the_rfc() -> None:
    assert encrypt(PLAIN, TARGET, KEY, decode(SALT)) == decode(SEALED)


def test_what_does_not_fit_into_one_record_is_refused() -> None:
    assert len(encrypt(b"x" * 3993, TARGET, KEY, decode(SALT))) == 4096
    with pytest.raises(ValueError, match="too much"):
        encrypt(b"x" * 3994, TARGET, KEY, decode(SALT))


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        (RECEIVER, "short"),
        (RECEIVER, ""),
        ("", SECRET),
        (RECEIVER[:-4], SECRET),
        ("not/base64!", SECRET),
        ("B" + "A" * 86, SECRET),  # no point of the curve
    ],
)
def test_keys_that_cannot_be_used_are_named_when_a_subscription_is_made(p256dh: str, auth: str) -> None:
    assert make_push(FakeFetch({})).check(PushTarget(URL, p256dh, auth))


CLOSED = [
    "https://127.0.0.1/",
    "https://10.1.2.3:8443/push",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://[::ffff:192.168.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0/",
]


@pytest.mark.parametrize("url", CLOSED)
def test_a_url_that_names_an_address_within_some_network_is_refused_at_once(url: str) -> None:
    assert make_push(FakeFetch({})).check_url(url)
    private = HttpWebPush(KEY, "mailto:a@example.org", FakeFetch({}), FakeClock(), FakeLog(), allow_private=True)
    assert private.check_url(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example.net/",
        "https://me@push.example.net/",
        "https://me:secret@push.example.net/",
        "https://@push.example.net/",
        "https:///push",
        "https://push.example.net:99999/",
        "https://[::1/",
        "https:push.example.net",
        "https://a\uff0fb@push.example.net/",
        "https://\u2100@push.example.net/",
    ],
)
def test_a_url_that_no_push_service_has_is_refused(url: str) -> None:
    assert make_push(FakeFetch({})).check_url(url)


@pytest.mark.parametrize("url", [URL, "https://push.example.net:8443/a@b", "https://1.1.1.1/", "https://a1.example/"])
def test_urls_of_push_services_are_fine(url: str) -> None:
    assert make_push(FakeFetch({})).check_url(url) == ""


def test_good_keys_and_none_at_all_are_fine() -> None:
    push = make_push(FakeFetch({}))
    assert push.check(TARGET) == push.check(PushTarget(URL)) == ""
    assert push.check(PushTarget(URL, RECEIVER + "=", SECRET + "==")) == ""


async def test_a_push_carries_our_signature_for_that_service() -> None:
    clock = FakeClock(1_700_000_000.0)
    fetch = FakeFetch({URL: Fetched(201, b"")})
    assert await make_push(fetch, clock).send(TARGET, b"{}", 60) is PushOutcome.SENT
    [(_, octets, headers)] = fetch.posted
    assert headers["TTL"] == "60"
    assert headers["Content-Encoding"] == "aes128gcm"
    assert b"{}" not in octets
    scheme, _, parameters = headers["Authorization"].partition(" ")
    assert scheme == "vapid"
    token, key = (part.strip().partition("=")[2] for part in parameters.split(","))
    head, claims, signature = token.split(".")
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "ES256"}
    told = json.loads(decode(claims))
    assert told == {"aud": "https://push.example.net", "exp": 1_700_043_200, "sub": "mailto:admin@example.org"}
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(key))
    raw = decode(signature)
    signed = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(signed, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(signed, b"other", ec.ECDSA(hashes.SHA256()))


async def test_a_token_is_used_again_until_it_is_nearly_over() -> None:
    clock = FakeClock()
    fetch = FakeFetch({URL: Fetched(201, b"")})
    push = make_push(fetch, clock)
    for wait_s in (0, 3600, 11 * 3600):
        clock.advance(wait_s)
        await push.send(TARGET, b"{}", 60)
    first, second, third = (headers["Authorization"] for _, _, headers in fetch.posted)
    assert first == second != third


async def test_without_keys_plain_json_is_sent() -> None:
    fetch = FakeFetch({URL: Fetched(201, b"")})
    await make_push(fetch).send(PushTarget(URL), b'{"a":1}', 60)
    [(_, octets, headers)] = fetch.posted
    assert octets == b'{"a":1}'
    assert headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in headers


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, PushOutcome.SENT),
        (202, PushOutcome.SENT),
        (404, PushOutcome.GONE),
        (410, PushOutcome.GONE),
        (429, PushOutcome.LATER),
        (503, PushOutcome.LATER),
        (403, PushOutcome.REFUSED),
        (302, PushOutcome.REFUSED),
    ],
)
async def test_what_an_answer_means(status: int, outcome: PushOutcome) -> None:
    assert await make_push(FakeFetch({URL: Fetched(status, b"")})).send(TARGET, b"{}", 60) is outcome


async def test_a_service_that_is_not_reached_is_tried_later() -> None:
    assert await make_push(FakeFetch({})).send(TARGET, b"{}", 60) is PushOutcome.LATER


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    first, second = open_server_key(path), open_server_key(path)
    assert first.private_numbers() == second.private_numbers()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["vapid.pem"]


def test_a_file_that_holds_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vapid.pem"
    path.write_text("no key\n")
    with pytest.raises(ValueError):
        open_server_key(path)


def test_keys_are_written_without_padding() -> None:
    assert encode(b"a") == "YQ"
    assert decode("YQ") == decode("YQ==") == b"a"
