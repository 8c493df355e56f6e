"""A mailbox as people have it, written as a Maildir: conversations, lists, pictures, an invitation, a bill."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from pathlib import Path

from PIL import Image

ANN, ANN_NAME = "ann@posthouse.test", "Ann Berger"
BOB, BOB_NAME = "bob@posthouse.test", "Bob Keller"
_ANN, _BOB = (ANN_NAME, ANN), (BOB_NAME, BOB)
_MIRA = ("Mira Okafor", "mira@studio-nord.example")
_JONAS = ("Jonas Weber", "jonas.weber@kontor.example")
_LEA = ("Léa Fournier", "lea@atelier-lune.example")
_NEWS = ("Garden Weekly", "news@gardenweekly.example")
_RAIL = ("Northern Rail", "tickets@northernrail.example")
_LIST = ("Priya Raman", "priya@openmaps.example")
_BANK = ("Harbour Bank", "service@harbourbank.example")

Address = tuple[str, str]


@dataclass(slots=True)
class Letter:
    """`age`: how long before now it came. `thread`: letters of one thread refer to each other."""

    sender: Address
    subject: str
    text: str
    age: timedelta
    to: Sequence[Address] = (_ANN,)
    folder: str = ""
    flags: str = ""
    thread: str = ""
    html: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, str, bytes]] = ()


def _hours(count: float) -> timedelta:
    return timedelta(hours=count)


def make_picture(colour: tuple[int, int, int], width: int = 640, height: int = 400) -> bytes:
    light = Image.linear_gradient("L").resize((width, height))
    paper = Image.new("RGB", (width, height), (250, 240, 225))
    picture = Image.composite(Image.new("RGB", (width, height), colour), paper, light)
    octets = io.BytesIO()
    picture.save(octets, "JPEG", quality=70)
    return octets.getvalue()


def make_pdf(text: str) -> bytes:
    stream = f"BT /F1 28 Tf 60 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(body)
    return (
        body
        + b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    )


def make_invitation(start: datetime) -> bytes:
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        "UID:planning-1@kontor.example",
        f"DTSTART:{start:%Y%m%dT%H%M00Z}",
        f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M00Z}",
        "SUMMARY:Planning for the spring fair",
        "LOCATION:Kontor\\, room 3",
        "ORGANIZER;CN=Jonas Weber:mailto:jonas.weber@kontor.example",
        f"ATTENDEE;CN={ANN_NAME}:mailto:{ANN}",
        "ATTENDEE;CN=Mira Okafor:mailto:mira@studio-nord.example",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join(lines).encode()


NEWSLETTER = """<div style="max-width:600px;margin:auto;font-family:Georgia,serif">
<img src="https://cdn.gardenweekly.example/header.jpg" width="600" height="120" alt="Garden Weekly">
<h1 style="color:#2f6b3a;font-size:26px">Five bulbs to plant before the frost</h1>
<p>It is not too late. The ground is still soft, and these five forgive almost everything.</p>
<table cellpadding="10" style="width:100%;background:#f3f8f1;border-radius:8px"><tr>
<td style="width:50%"><b>Crocus</b><br>Purple cups in February, and bees love them.</td>
<td><b>Allium</b><br>Tall globes for the back of the border.</td></tr></table>
<p><a href="https://gardenweekly.example/bulbs" style="display:inline-block;background:#2f6b3a;color:#fff;
padding:10px 18px;border-radius:6px;text-decoration:none">Read the whole story</a></p>
<img src="https://track.gardenweekly.example/open.gif?u=77" width="1" height="1" alt=""></div>"""

TICKET = """<div style="font-family:sans-serif"><h2 style="margin:0 0 8px">Your ticket is booked</h2>
<table style="border-collapse:collapse;width:100%"><tr style="background:#eef2f8"><td style="padding:10px">
<b>Hamburg</b> 08:24</td><td style="padding:10px">→</td><td style="padding:10px"><b>Copenhagen</b> 13:05</td></tr>
</table><p>Coach 6, seat 42 by the window. Show the attached ticket on your phone.</p></div>"""


def list_letters(now: datetime) -> Iterator[Letter]:
    yield from _list_fair()
    yield from _list_today(now)
    yield from _list_bills()
    yield from _list_lists()
    yield from _list_older()


def _list_fair() -> Iterator[Letter]:
    fair = "Spring fair: who takes what?"
    yield Letter(
        _JONAS,
        fair,
        "Hello both,\n\nthe fair is in seven weeks. I would take the stand and the printer.\n"
        "Who looks after the posters?\n\nJonas",
        _hours(50),
        (_ANN, _MIRA),
        flags="S",
        thread="fair",
    )
    yield Letter(
        _MIRA,
        f"Re: {fair}",
        "I'd love to do the posters. First sketch is attached, be kind :)\n\nMira",
        _hours(30),
        (_JONAS, _ANN),
        flags="S",
        thread="fair",
        files=[("poster-sketch.jpg", "image/jpeg", make_picture((40, 90, 160)))],
    )
    yield Letter(
        _ANN,
        f"Re: {fair}",
        "The sketch is lovely, Mira. The blue is exactly right.\n\n"
        "I take the catering, then we have everything.\n\nAnn",
        _hours(26),
        (_MIRA, _JONAS),
        "Sent",
        "S",
        "fair",
    )
    yield Letter(
        _MIRA,
        f"Re: {fair}",
        "Wonderful! I'll send the final version on Thursday.\n\n> I take the catering, "
        "then we have everything.\n\nCan we have the apple cake again?",
        _hours(1.2),
        (_ANN, _JONAS),
        thread="fair",
    )


def _list_today(now: datetime) -> Iterator[Letter]:
    yield Letter(
        _LEA,
        "Photos from the coast",
        "Salut Ann,\n\nfinally sorted them. Three for you to keep, the rest is in the album.\n\nBises\nLéa",
        _hours(3),
        files=[
            ("cliffs.jpg", "image/jpeg", make_picture((90, 140, 180))),
            ("harbour.jpg", "image/jpeg", make_picture((180, 120, 80))),
            ("notes.txt", "text/plain", b"Cliffs: Etretat, 7 in the morning.\nHarbour: Honfleur.\n"),
        ],
    )
    yield Letter(
        _NEWS,
        "Five bulbs to plant before the frost",
        "Five bulbs to plant before the frost.",
        _hours(5),
        html=NEWSLETTER,
        fields={
            "List-Unsubscribe": "<mailto:leave@gardenweekly.example?subject=leave>",
            "List-Id": "Garden Weekly <weekly.gardenweekly.example>",
        },
    )
    yield Letter(
        _JONAS,
        "Invitation: Planning for the spring fair",
        "Please come to the planning.",
        _hours(7),
        (_ANN, _MIRA),
        files=[("invite.ics", "text/calendar", make_invitation(now + timedelta(days=3)))],
    )


def _list_bills() -> Iterator[Letter]:
    yield Letter(
        _RAIL,
        "Your ticket Hamburg to Copenhagen",
        "Your ticket is booked.",
        _hours(22),
        flags="SF",
        html=TICKET,
        files=[("ticket.pdf", "application/pdf", make_pdf("Hamburg - Copenhagen, seat 42"))],
    )
    yield Letter(
        _BANK,
        "Your statement for October",
        "Your statement is ready.",
        _hours(75),
        flags="S",
        files=[("statement.pdf", "application/pdf", make_pdf("Statement for October"))],
    )
    yield Letter(
        _BOB,
        "Lunch on Friday?",
        "The noodle place again? My treat this time.\n\nBob",
        _hours(80),
        flags="SR",
        thread="lunch",
    )
    yield Letter(_ANN, "Re: Lunch on Friday?", "Gladly! Half past twelve.", _hours(79), (_BOB,), "Sent", "S", "lunch")


def _list_lists() -> Iterator[Letter]:
    for number, days in enumerate((4, 6, 9, 13, 20)):
        yield Letter(
            _LIST,
            f"[openmaps] Release {5 - number}.2 is out",
            "Changes since last time: faster tiles, fewer "
            "surprises at the date line.\n\nThanks to everybody who tested.",
            timedelta(days=days),
            (("openmaps", "list@openmaps.example"),),
            "Lists",
            "S" if number else "",
            fields={"List-Post": "<mailto:list@openmaps.example>", "List-Id": "<list.openmaps.example>"},
        )
    yield Letter(_JONAS, "Keys for the storage room", "They are with the porter now.", timedelta(days=5), flags="S")
    yield Letter(
        _MIRA,
        "Invoice 2026-114",
        "Dear Ann,\n\nplease find the invoice attached.\n\nMira",
        timedelta(days=8),
        flags="SF",
        files=[("invoice-2026-114.pdf", "application/pdf", make_pdf("Invoice 2026-114: 480 EUR"))],
    )


def _list_older() -> Iterator[Letter]:
    people = itertools.cycle((_JONAS, _MIRA, _LEA, _BOB, _LIST, _BANK, _RAIL))
    subjects = (
        "Minutes of Tuesday",
        "A book you would like",
        "Water will be off on Monday",
        "Re: key for the shed",
        "Recipe for the apple cake",
        "Your order has been sent",
        "Choir rehearsal moved",
        "New opening hours",
        "Bicycle repaired",
        "Draft of the leaflet",
        "Thank you for the flowers",
        "Meter reading",
        "Tickets for the concert",
        "Change of address",
    )
    for number, subject in enumerate(subjects):
        yield Letter(
            next(people), subject, f"{subject}. More when we meet.\n", timedelta(days=10 + number * 3), flags="S"
        )
    for number in range(12):
        yield Letter(
            next(people),
            f"Archived letter {number + 1}",
            "Long ago.",
            timedelta(days=60 + number),
            folder="Archive",
            flags="S",
        )
    yield Letter(("Prize Office", "win@lucky.example"), "You have won!!!", "Claim now.", _hours(9), folder="Junk")
    yield Letter(_BANK, "Old newsletter", "Not needed.", timedelta(days=3), folder="Trash", flags="S")


def write_letter(letter: Letter, number: int, now: datetime, last: dict[str, list[str]]) -> bytes:
    message = EmailMessage()
    message["From"] = formataddr(letter.sender)
    message["To"] = ", ".join(map(formataddr, letter.to))
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(now - letter.age)
    message["Message-ID"] = f"<letter-{number}@seed.example>"
    if letter.thread:
        before = last.setdefault(letter.thread, [])
        if before:
            message["In-Reply-To"] = before[-1]
            message["References"] = " ".join(before)
        before.append(str(message["Message-ID"]))
    for name, value in letter.fields.items():
        message[name] = value
    message.set_content(letter.text)
    if letter.html:
        message.add_alternative(letter.html, subtype="html")
    for name, kind, octets in letter.files:
        main, sub = kind.split("/")
        message.add_attachment(octets, maintype=main, subtype=sub, filename=name)
    return bytes(message)


def write_maildir(directory: Path, now: datetime, letters: Sequence[Letter]) -> None:
    last: dict[str, list[str]] = {}
    for number, letter in enumerate(letters):
        box = directory / f".{letter.folder}" if letter.folder else directory
        for name in ("cur", "new", "tmp"):
            (box / name).mkdir(parents=True, exist_ok=True)
        seconds = int((now - letter.age).timestamp())
        path = box / "cur" / f"{seconds}.M{number}.seed:2,{''.join(sorted(letter.flags))}"
        path.write_bytes(write_letter(letter, number, now, last))
        os.utime(path, (seconds, seconds))
