"""The mail of bench/imap.py: the same octets in every run. Sizes log-normal around 3 KB, a third with an attachment,
a third answers in threads, headers as relays leave them.

One message in a thousand has RARE_WORD in its text and nowhere else.
"""

from __future__ import annotations

import base64
import random
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

FULL_SIZE = 5000
RARE_WORD = "heliotropism"
RARE_EVERY = 1000
START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
SINCE = START + timedelta(days=180)
SENDER = "matilda"
SUBJECT = "quarterly"
_MEDIAN_OCTETS = 2600
_SIGMA = 0.75
_PROSE = (
    "the a of to and in is that it for on with as at by from this be are was have not but you we they will can all "
    "one there time which about when out up into than them only over also after first two more some could these other "
    "new day people water long very just where most know get through back much good before right too same tell does "
    "set three want air well small end put home read hand port large spell add even land here must big high such "
    "follow act why ask men change went light kind off need house picture try again animal point mother world near "
    "build self earth father head stand own page should country found answer school grow study still learn plant cover"
)
_SUBJECTS = (
    "budget meeting invoice release roadmap holiday server backup contract travel offer delivery review training "
    "lunch printer office security password newsletter interview survey workshop deadline agenda minutes"
)
_WORDS, _TOPICS = _PROSE.split(), _SUBJECTS.split()
_PEOPLE = ("ann", "bert", "carla", "dmitri", "elif", "fatima", "gustav", "hiro", "ines", "jorge", "karin", "liam")


@dataclass(frozen=True, slots=True)
class Letter:
    """A message and what a search must know of it."""

    octets: bytes
    sender: str
    subject: str
    date: datetime
    root: int  # number of the letter its thread began with
    is_rare: bool


def make_letters(count: int, seed: int = 4) -> list[Letter]:
    chance = random.Random(seed)
    letters: list[Letter] = []
    ids: list[str] = []
    for number in range(count):
        ids.append(f"<{number}.{chance.getrandbits(60):015x}@mail.example.org>")
        letters.append(_make_letter(chance, number, letters, ids))
    return letters


def _make_letter(chance: random.Random, number: int, earlier: Sequence[Letter], ids: Sequence[str]) -> Letter:
    answered = chance.randrange(max(0, number - 200), number) if number and chance.random() < 0.33 else -1
    if answered >= 0:
        parent = earlier[answered]
        root, subject = parent.root, parent.subject if parent.subject.startswith("Re: ") else f"Re: {parent.subject}"
    else:
        root, subject = number, _make_subject(chance, number)
    sender = SENDER if chance.random() < 0.02 else chance.choice(_PEOPLE)
    date = START + timedelta(minutes=number * 100 + chance.randrange(90))
    is_rare = number % RARE_EVERY == RARE_EVERY // 4
    head = _make_head(chance, sender, subject, date, ids[-1])
    if answered >= 0:
        line = [ids[root]] if root == answered else [ids[root], ids[answered]]
        head += [f"In-Reply-To: {ids[answered]}", "References: " + "\r\n ".join(line)]
    octets = int(chance.lognormvariate(0, _SIGMA) * _MEDIAN_OCTETS)
    text = _make_text(chance, max(200, octets - 1200), is_rare)
    head += _add_parts(chance, text) if chance.random() < 1 / 3 else _add_text(text)
    return Letter("\r\n".join(head).encode("ascii"), sender, subject, date, root, is_rare)


def _make_subject(chance: random.Random, number: int) -> str:
    topic = SUBJECT if chance.random() < 0.02 else chance.choice(_TOPICS)
    return f"{chance.choice(_WORDS)} {topic} {chance.choice(_WORDS)} {number % 1500}"


def _make_head(chance: random.Random, sender: str, subject: str, date: datetime, message_id: str) -> list[str]:
    signature = base64.b64encode(chance.randbytes(192)).decode()
    stamp = format_datetime(date)
    host = f"mx{chance.randrange(9)}.example.net"
    return [
        f"Received: from {host} ({host} [192.0.2.{chance.randrange(1, 255)}])",
        f"\tby mail.example.com (Postfix) with ESMTPS id {chance.getrandbits(40):010X}",
        f"\tfor <user@example.com>; {stamp}",
        f"Received: from [10.0.{chance.randrange(9)}.{chance.randrange(1, 255)}] (unknown [198.51.100.7])",
        f"\tby {host} with ESMTPSA id {chance.getrandbits(40):010X}; {stamp}",
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=2025;",
        "\th=from:to:subject:date:message-id:mime-version:content-type;",
        f"\tbh={base64.b64encode(chance.randbytes(32)).decode()};",
        *textwrap.wrap(f"b={signature}", 72, initial_indent="\t", subsequent_indent="\t "),
        f"From: {sender.capitalize()} Example <{sender}@example.org>",
        "To: User Example <user@example.com>, list@example.net",
        *([f"Cc: {chance.choice(_PEOPLE)}@example.com"] if chance.random() < 0.3 else []),
        f"Subject: {subject}",
        f"Date: {stamp}",
        f"Message-ID: {message_id}",
        "User-Agent: Example Mail 115.0",
        "MIME-Version: 1.0",
    ]


def _make_text(chance: random.Random, octets: int, is_rare: bool) -> list[str]:
    words = chance.choices(_WORDS, k=octets // 5)
    if is_rare:
        words.insert(chance.randrange(len(words)), RARE_WORD)
    return textwrap.wrap(" ".join(words), 72)


def _add_text(text: list[str]) -> list[str]:
    return ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 7bit", "", *text, ""]


def _add_parts(chance: random.Random, text: list[str]) -> list[str]:
    """Text, the same as HTML, and half the time something attached."""
    mark = f"=_{chance.getrandbits(64):016x}"
    half = text[: len(text) // 2 + 1] if RARE_WORD not in " ".join(text) else text
    parts = [f"--{mark}", *_add_text(half), f"--{mark}"]
    if chance.random() < 0.5:
        parts += ["Content-Type: text/html; charset=utf-8", "", "<html><body>", *half[:20], "</body></html>", ""]
        kind = "alternative"
    else:
        blob = base64.b64encode(chance.randbytes(sum(map(len, half)) // 3)).decode()
        parts += [
            f'Content-Type: application/pdf; name="file{chance.randrange(99)}.pdf"',
            "Content-Transfer-Encoding: base64",
            'Content-Disposition: attachment; filename="file.pdf"',
            "",
            *(blob[start : start + 76] for start in range(0, len(blob), 76)),
            "",
        ]
        kind = "mixed"
    return [f'Content-Type: multipart/{kind}; boundary="{mark}"', "", *parts, f"--{mark}--", ""]


def list_matches(letters: Sequence[Letter], *, since: datetime) -> Iterator[int]:
    """Sequence numbers of what SENDER wrote and came on that day or later."""
    for number, letter in enumerate(letters, 1):
        if letter.sender == SENDER and letter.date.date() >= since.date():
            yield number
