"""What became of the demo's messages against what must become of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from posthouse.app.demo_mail import SENDER, DemoMail, Fate

Boxes = Mapping[str, Sequence[EmailMessage]]  # what lies in ADDRESS/MAILBOX

INBOX_OF_SENDER, SENT_OF_SENDER = f"{SENDER}/INBOX", f"{SENDER}/Sent"


@dataclass(frozen=True, slots=True)
class Seen:
    """`boxes` by reading door; `ends` by Message-ID: mailboxes and replies that the journals tell of."""

    boxes: Mapping[str, Boxes]
    ends: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient. `problems` by reading door and "trace"; "" is as it must be."""

    mail: DemoMail
    fate: Fate
    problems: Mapping[str, str]

    @property
    def is_fine(self) -> bool:
        return not any(self.problems.values())

    @property
    def text(self) -> str:
        found = [f"{where}: {problem}" for where, problem in self.problems.items() if problem]
        if found:
            return "; ".join(found)
        if self.fate.reply:
            return f"{self.fate.reply}, told to {show_place(INBOX_OF_SENDER)}"
        own = f"{self.fate.recipient}/"
        places = ", ".join(show_place(place.removeprefix(own)) for place in self.fate.places)
        return f"{self.fate.first_reply}; after more quota {places}" if self.fate.first_reply else places


def show_place(place: str) -> str:
    return place.replace("/", " ", 1)


def judge_all(mails: Sequence[DemoMail], seen: Seen) -> list[Outcome]:
    return [judge(mail, fate, seen) for mail in mails for fate in mail.fates]


def judge(mail: DemoMail, fate: Fate, seen: Seen) -> Outcome:
    find = _find_bounce_problem if fate.reply else _find_delivery_problem
    problems = {door: find(mail, fate, boxes) for door, boxes in seen.boxes.items()}
    return Outcome(mail, fate, problems | {"trace": _find_trace_problem(fate, seen.ends.get(mail.message_id))})


def _find_delivery_problem(mail: DemoMail, fate: Fate, boxes: Boxes) -> str:
    for place in fate.places:
        copies = [each for each in boxes.get(place, ()) if each["Message-ID"] == mail.message_id]
        if len(copies) != 1:
            return f"{len(copies)} copies in {place}"
        if list_parts(copies[0]) != list_parts(mail.message):
            return f"changed in {place}"
    return ""


def list_parts(message: EmailMessage) -> list[bytes]:
    """The text and every attachment as octets."""
    parts = (part for part in message.walk() if not part.is_multipart())
    return [bytes(part.get_payload(decode=True) or b"").replace(b"\r\n", b"\n") for part in parts]


def _find_bounce_problem(mail: DemoMail, fate: Fate, boxes: Boxes) -> str:
    reports = [each for each in boxes.get(INBOX_OF_SENDER, ()) if each.get_content_type() == "multipart/report"]
    texts = [report.as_string() for report in reports]
    if not any(fate.recipient in text and "Action: failed" in text and fate.reply in text for text in texts):
        return "no report came"
    if any(each["Message-ID"] == mail.message_id for each in boxes.get(f"{fate.recipient}/INBOX", ())):
        return "it was delivered all the same"
    return ""


def _find_trace_problem(fate: Fate, ends: frozenset[str] | None) -> str:
    found = ends or frozenset()
    missing = [place for place in fate.traced or fate.places if place not in found]
    missing += [reply for reply in (fate.reply, fate.first_reply) if not any(end.startswith(reply) for end in found)]
    return f"says nothing of {', '.join(missing)}" if any(missing) else ""


def find_sent_problem(submitted: Sequence[DemoMail], boxes: Boxes) -> str:
    """Each submitted message is in Sent, once, and nothing else is."""
    expected = sorted(mail.message_id for mail in submitted)
    found = sorted(str(each["Message-ID"]) for each in boxes.get(SENT_OF_SENDER, ()))
    return "" if found == expected else f"{len(found)} messages in {SENT_OF_SENDER}, not {len(expected)}"
