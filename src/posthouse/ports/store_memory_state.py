"""One account of the store's fake: its rows, and the few moves that keep counters and the record of changes true.

Every port of the fake is a view of this. Nothing here checks a request; nothing here waits.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from posthouse.message.mailbox import (
    FIRST_KEYWORD_BIT,
    MAX_KEYWORDS,
    ROLE_NAMES,
    AccountId,
    EmailId,
    Flag,
    FlagBits,
    KeywordTable,
    Mailbox,
    MailboxId,
    ModSeq,
    Placement,
    Role,
    SubmissionId,
    ThreadId,
    Uid,
    UidValidity,
)
from posthouse.message.parsed import ParsedMessage
from posthouse.ms.keywords import Held, is_visible, merge_flags
from posthouse.ms.threads import counting_ids, plan_thread, thread_subject
from posthouse.ports.store import Grant, Submission, SubmissionState, TooMany

NOWHERE = MailboxId(0)
NO_SUBMISSION = SubmissionId(0)
NEVER = ModSeq(0)
_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
Notes = dict[tuple[AccountId | None, str], bytes]  # annotations, by whose they are (None: shared) and name


class Kind(enum.Enum):
    """What a record of the change log says."""

    TOUCHED = enum.auto()  # placements came or changed
    WENT = enum.auto()  # placements went
    MAILBOX = enum.auto()  # made, or its properties changed
    UNMADE = enum.auto()  # mailbox removed
    MERGED = enum.auto()  # emails are in another thread
    SUBMISSION = enum.auto()


@dataclass(frozen=True, slots=True)
class Record:
    modseq: ModSeq
    kind: Kind
    mailbox: MailboxId = NOWHERE
    uids: tuple[Uid, ...] = ()
    emails: tuple[EmailId, ...] = ()
    threads: tuple[ThreadId, ...] = ()
    submission: SubmissionId = NO_SUBMISSION


@dataclass(slots=True)
class Email:
    """`created`: modseq; `shown`, `hidden`: when it last became visible and invisible to JMAP."""

    id: EmailId
    thread: ThreadId
    prefix: bytes
    body: bytes
    message: ParsedMessage
    received: float
    zone_minutes: int
    created: ModSeq
    shown: ModSeq = NEVER
    hidden: ModSeq = NEVER
    places: set[tuple[MailboxId, Uid]] = field(default_factory=set)

    @property
    def size(self) -> int:
        return len(self.prefix) + len(self.body)

    @property
    def octets(self) -> bytes:
        return self.prefix + self.body


@dataclass(slots=True)
class Box:
    """A mailbox; `rows` in the order of UIDs. `seen`: UIDs by reader who is not the owner."""

    mailbox: Mailbox
    rows: dict[Uid, Placement] = field(default_factory=dict)
    seen: dict[AccountId, set[Uid]] = field(default_factory=dict)
    grants: dict[tuple[AccountId | None, bool], Grant] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)
    uidls: dict[Uid, str] = field(default_factory=dict)


@dataclass(slots=True)
class StoredSubmission:
    row: Submission
    wire: bytes | None


@dataclass(slots=True)
class StoredKey:
    submission: SubmissionId
    expires: float
    uid: Uid | None
    uidvalidity: UidValidity | None
    mailbox: MailboxId | None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """Of ports/records.py. `octets` None: it was removed at `changed`."""

    octets: bytes | None
    created: ModSeq
    changed: ModSeq
    due: float


KeptRecords = dict[int, KeptRecord]


class AccountState:
    """`max_records`: older changes are forgotten, as a real store forgets them after a time."""

    def __init__(self, account: AccountId, now: float, max_records: int) -> None:
        self.account = account
        self.modseq = ModSeq(0)
        self.horizon = ModSeq(0)
        self.boxes: dict[MailboxId, Box] = {}
        self.emails: dict[EmailId, Email] = {}
        self.gone: dict[EmailId, Email] = {}
        self.unmade: dict[MailboxId, ModSeq] = {}  # created
        self.names: list[str] = []
        self.refs: dict[tuple[str, str], ThreadId] = {}
        self.records: list[Record] = []
        self.submissions: dict[SubmissionId, StoredSubmission] = {}
        self.keys: dict[bytes, StoredKey] = {}
        self.notes: Notes = {}
        self.kept: dict[str, KeptRecords] = {}  # by kind; those removed stay
        self.answered: dict[bytes, float] = {}
        self.subscribed: set[str] = set()
        self.octets = 0
        self.watchers: dict[int, Callable[[], None]] = {}
        self._told: set[int] = set()
        self._max_records = max_records
        self._next_mailbox = self._next_email = self._next_thread = self._next_submission = 1
        self._next_watcher = 1
        self._next_uidvalidity = int(now)
        self.make_mailbox(self.begin(), ROLE_NAMES[Role.INBOX], None, Role.INBOX)

    def begin(self) -> ModSeq:
        """The modseq of a new unit of work."""
        self.modseq = ModSeq(self.modseq + 1)
        for number in self.watchers.keys() - self._told:
            self._told.add(number)
            asyncio.get_running_loop().call_soon(self._tell, number)
        return self.modseq

    def _tell(self, number: int) -> None:
        self._told.discard(number)
        callback = self.watchers.get(number)
        if callback is not None:
            callback()

    def add_watcher(self, callback: Callable[[], None]) -> int:
        number = self._next_watcher
        self._next_watcher += 1
        self.watchers[number] = callback
        return number

    def note(self, record: Record) -> None:
        self.records.append(record)
        surplus = len(self.records) - self._max_records
        if surplus > 0:
            self.forget_until(self.records[surplus - 1].modseq)

    def forget_until(self, modseq: ModSeq) -> None:
        """Changes up to that one cannot be asked for any more."""
        self.horizon = max(self.horizon, modseq)
        self.records = [record for record in self.records if record.modseq > self.horizon]

    def since(self, modseq: ModSeq) -> list[Record]:
        return [record for record in self.records if record.modseq > modseq]

    # -- mailboxes

    def make_mailbox(self, modseq: ModSeq, name: str, parent: MailboxId | None, role: Role | None) -> Box:
        number = MailboxId(self._next_mailbox)
        self._next_mailbox += 1
        validity = UidValidity(self._next_uidvalidity)
        self._next_uidvalidity += 1
        box = Box(Mailbox(number, parent, name, role, validity, Uid(1), modseq, modseq, modseq))
        self.boxes[number] = box
        self.note(Record(modseq, Kind.MAILBOX, number))
        return box

    def change_mailbox(self, modseq: ModSeq, box: Box, mailbox: Mailbox) -> None:
        box.mailbox = replace(mailbox, changed=modseq)
        self.note(Record(modseq, Kind.MAILBOX, mailbox.id))

    def unmake_mailbox(self, modseq: ModSeq, box: Box) -> None:
        self.drop(modseq, box, list(box.rows))
        del self.boxes[box.mailbox.id]
        self.unmade[box.mailbox.id] = box.mailbox.created
        self.note(Record(modseq, Kind.UNMADE, box.mailbox.id))

    def find_role(self, role: Role) -> Box | None:
        return next((box for box in self.boxes.values() if box.mailbox.role is role), None)

    def find_name(self, parent: MailboxId | None, name: str) -> Box | None:
        """At the top INBOX is one name in any case (RFC 9051 §5.1)."""
        if parent is None and name.upper() == "INBOX":
            name = "INBOX"
        return next((b for b in self.boxes.values() if b.mailbox.parent == parent and b.mailbox.name == name), None)

    # -- keywords

    def table(self) -> KeywordTable:
        return KeywordTable(tuple(self.names))

    def bits_of(self, names: Iterable[str], *, makes: bool = True) -> int:
        """Flags by name, new keywords made. Raises TooMany, with nothing made."""
        table, bits = self.table(), 0
        missing: list[str] = []
        for name in sorted(names):
            bit = table.bit_of(name)
            if bit is not None:
                bits |= bit
            elif makes and name.lower() not in (known.lower() for known in missing):
                missing.append(name)
        if len(missing) > MAX_KEYWORDS - len(self.names) + self._free_keywords():
            raise TooMany("keywords")
        for name in missing:
            bits |= 1 << (FIRST_KEYWORD_BIT + self._take_keyword(name, bits))
        return bits

    def _used_bits(self) -> int:
        used = 0
        for box in self.boxes.values():
            for row in box.rows.values():
                used |= row.flags
        return used

    def _free_keywords(self) -> int:
        if len(self.names) < MAX_KEYWORDS:
            return 0
        used = self._used_bits() >> FIRST_KEYWORD_BIT
        return sum(not used >> number & 1 for number in range(len(self.names)))

    def _take_keyword(self, name: str, taken: int) -> int:
        if len(self.names) < MAX_KEYWORDS:
            self.names.append(name)
            return len(self.names) - 1
        used = (self._used_bits() | taken) >> FIRST_KEYWORD_BIT
        number = next(number for number in range(MAX_KEYWORDS) if not used >> number & 1)
        self.names[number] = name
        return number

    # -- emails and placements

    def make_email(
        self, modseq: ModSeq, prefix: bytes, body: bytes, message: ParsedMessage, received: tuple[float, int]
    ) -> Email:
        number = EmailId(self._next_email)
        self._next_email += 1
        email = Email(number, self._find_thread(modseq, message), prefix, body, message, *received, created=modseq)
        self.emails[number] = email
        self.octets += email.size
        return email

    def _find_thread(self, modseq: ModSeq, message: ParsedMessage) -> ThreadId:
        subject = thread_subject(message)
        pairs = [(text, subject) for text in counting_ids(message)]
        plan = plan_thread(self.refs[pair] for pair in pairs if pair in self.refs)
        thread = plan.thread
        if thread is None:
            thread = ThreadId(self._next_thread)
            self._next_thread += 1
        if plan.merged:
            self._merge_threads(modseq, thread, frozenset(plan.merged))
        self.refs.update(dict.fromkeys(pairs, thread))
        return thread

    def _merge_threads(self, modseq: ModSeq, thread: ThreadId, merged: frozenset[ThreadId]) -> None:
        moved = [email for email in self.emails.values() if email.thread in merged]
        for email in moved:
            email.thread = thread
        self.refs.update({pair: thread for pair, known in self.refs.items() if known in merged})
        ids = tuple(email.id for email in moved)
        self.note(Record(modseq, Kind.MERGED, emails=ids, threads=(thread, *sorted(merged))))

    def put(self, modseq: ModSeq, box: Box, email: Email, flags: int, saved: float) -> Uid:
        """A new placement."""
        uid = box.mailbox.uidnext
        box.rows[uid] = Placement(uid, email.id, FlagBits(flags), modseq, saved)
        email.places.add((box.mailbox.id, uid))
        box.mailbox = replace(_count(box.mailbox, flags, email.size, 1), uidnext=Uid(uid + 1), modseq=modseq)
        self.note(Record(modseq, Kind.TOUCHED, box.mailbox.id, (uid,), (email.id,)))
        self._see(modseq, email)
        return uid

    def edit(self, modseq: ModSeq, box: Box, changes: Mapping[Uid, int]) -> None:
        """New flags of placements."""
        for uid, flags in changes.items():
            row = box.rows[uid]
            email = self.emails[row.email]
            box.mailbox = _count(_count(box.mailbox, row.flags, email.size, -1), flags, email.size, 1)
            box.rows[uid] = replace(row, flags=FlagBits(flags), modseq=modseq)
            self._see(modseq, email)
        if changes:
            box.mailbox = replace(box.mailbox, modseq=modseq)
            emails = tuple(box.rows[uid].email for uid in changes)
            self.note(Record(modseq, Kind.TOUCHED, box.mailbox.id, tuple(changes), emails))

    def drop(self, modseq: ModSeq, box: Box, uids: Iterable[Uid]) -> None:
        """Placements go, and emails that are nowhere else."""
        went: dict[Uid, EmailId] = {}
        for uid in uids:
            row = box.rows.pop(uid)
            box.uidls.pop(uid, None)
            went[uid] = row.email
            email = self.emails[row.email]
            email.places.discard((box.mailbox.id, uid))
            box.mailbox = _count(box.mailbox, row.flags, email.size, -1)
            for reader in box.seen.values():
                reader.discard(uid)
            if not email.places:
                self.gone[email.id] = self.emails.pop(email.id)
                self.octets -= email.size
            self._see(modseq, email)
            if box.mailbox.role is Role.SCHEDULED:
                self._cancel_submissions(modseq, email.id)
        if went:
            box.mailbox = replace(box.mailbox, modseq=modseq)
            self.note(Record(modseq, Kind.WENT, box.mailbox.id, tuple(went), tuple(went.values())))

    def _see(self, modseq: ModSeq, email: Email) -> None:
        """Note when an email appears for JMAP and when it disappears."""
        is_shown = self.merged_flags(email) is not None
        if is_shown and email.shown <= email.hidden:
            email.shown = modseq
        elif not is_shown and email.shown > email.hidden:
            email.hidden = modseq

    def _cancel_submissions(self, modseq: ModSeq, email: EmailId) -> None:
        """Out of Scheduled is out of the post."""
        for stored in self.submissions.values():
            is_open = stored.row.state in (SubmissionState.PENDING, SubmissionState.HELD)
            if stored.row.email == email and is_open and stored.row.send_at:
                self.set_submission(modseq, stored, SubmissionState.CANCELED)

    def flags_for(self, box: Box, row: Placement, viewer: AccountId | None) -> int:
        if viewer is None or viewer == self.account:
            return row.flags
        is_seen = row.uid in box.seen.get(viewer, ())
        return (row.flags & ~_SEEN) | (_SEEN if is_seen else 0)

    def held(self, email: Email) -> list[Held]:
        return [Held(mailbox, uid, self.boxes[mailbox].rows[uid].flags) for mailbox, uid in sorted(email.places)]

    def merged_flags(self, email: Email) -> int | None:
        return merge_flags(self.boxes[mailbox].rows[uid].flags for mailbox, uid in email.places)

    def visible(self, email: Email) -> dict[MailboxId, Placement]:
        """One placement of each mailbox, the oldest."""
        found: dict[MailboxId, Placement] = {}
        for mailbox, uid in sorted(email.places):
            row = self.boxes[mailbox].rows[uid]
            if is_visible(row.flags):
                found.setdefault(mailbox, row)
        return found

    # -- submissions

    def reserve_submission(self) -> SubmissionId:
        number = SubmissionId(self._next_submission)
        self._next_submission += 1
        return number

    def set_submission(self, modseq: ModSeq, stored: StoredSubmission, state: SubmissionState) -> None:
        stored.row.state, stored.row.modseq = state, modseq
        if state in (SubmissionState.FINAL, SubmissionState.CANCELED):
            stored.wire = None
        self.note(Record(modseq, Kind.SUBMISSION, submission=stored.row.id))


def _count(mailbox: Mailbox, flags: int, size: int, sign: int) -> Mailbox:
    return replace(
        mailbox,
        total=mailbox.total + sign,
        unseen=mailbox.unseen + (0 if flags & (_SEEN | _DELETED) else sign),
        deleted=mailbox.deleted + (sign if flags & _DELETED else 0),
        octets=mailbox.octets + sign * size,
    )
