"""What must be true of every shard of the store at every moment, asked of its tables by plain SQL.

Knows docs/internals.md "Store" and nothing of the code that writes; `posthouse fsck` is asked as well. Looks at what is
committed; changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import cast

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import open_existing
from posthouse.adapters.sqlite.store_fsck import check_store_shard

TABLES = (
    "account",
    "keyword",
    "mailbox",
    "placement",
    "seen",
    "email",
    "thread_ref",
    "change",
    "body",
    "submission",
    "submission_recipient",
    "submission_key",
    "record",
    "answered",
)
_UNSEEN = "SELECT count(*) FROM placement p WHERE p.account = m.account AND p.mailbox = m.mailbox AND p.flags & 9 = 0"
_OF_MAILBOX = "FROM placement p WHERE p.account = m.account AND p.mailbox = m.mailbox"
_SIZES = (
    "SELECT coalesce(sum(e.size), 0) FROM placement p JOIN email e ON e.account = p.account AND e.email = p.email"
    " WHERE p.account = m.account AND p.mailbox = m.mailbox"
)
_LIVE = "JOIN account a ON a.account = m.account AND a.removed IS NULL"  # the others may be half erased
_REFERENCED = (
    "(EXISTS (SELECT 1 FROM email e WHERE e.body = b.body)"
    " OR EXISTS (SELECT 1 FROM submission s WHERE s.wire = b.body AND s.wire <> 0))"
)

# Each finds rows that must not be.
RULES = {
    "mailbox counts its placements wrongly": (
        f"SELECT m.account, m.mailbox FROM mailbox m {_LIVE} WHERE m.total <> (SELECT count(*) {_OF_MAILBOX})"
        f" OR m.unseen <> ({_UNSEEN}) OR m.deleted <> (SELECT count(*) {_OF_MAILBOX} AND p.flags & 8)"
        f" OR m.octets <> ({_SIZES})"
    ),
    "UIDNEXT is not above every UID": (
        f"SELECT m.account, m.mailbox FROM mailbox m WHERE uidnext <= (SELECT max(uid) {_OF_MAILBOX})"
    ),
    "mailbox has a placement with a higher modseq": (
        f"SELECT m.account, m.mailbox FROM mailbox m WHERE modseq < (SELECT max(modseq) {_OF_MAILBOX})"
    ),
    "account has something with a higher modseq": (
        "SELECT a.account FROM account a WHERE modseq < (SELECT max(modseq) FROM mailbox WHERE account = a.account)"
        " OR modseq < (SELECT max(modseq) FROM change WHERE account = a.account)"
    ),
    "account counts its emails wrongly": (
        "SELECT a.account FROM account a WHERE removed IS NULL AND (emails, octets) IS NOT"
        " (SELECT count(*), coalesce(sum(size), 0) FROM email WHERE account = a.account AND gone IS NULL)"
    ),
    "an id was given twice or will be": (
        "SELECT a.account FROM account a WHERE next_email <= (SELECT max(email) FROM email WHERE account = a.account)"
        " OR next_mailbox <= (SELECT max(mailbox) FROM mailbox WHERE account = a.account)"
        " OR next_uidvalidity <= (SELECT max(uidvalidity) FROM mailbox WHERE account = a.account)"
    ),
    "account without INBOX": (
        "SELECT a.account FROM account a WHERE NOT EXISTS"
        " (SELECT 1 FROM mailbox WHERE account = a.account AND role = 'inbox')"
    ),
    "placement without email": (
        "SELECT p.account, p.mailbox, p.uid FROM placement p JOIN account a ON a.account = p.account"
        " AND a.removed IS NULL LEFT JOIN email e ON e.account = p.account AND e.email = p.email"
        " WHERE e.email IS NULL OR e.gone IS NOT NULL"
    ),
    "placement without mailbox": (
        "SELECT p.account, p.mailbox, p.uid FROM placement p LEFT JOIN mailbox m"
        " ON m.account = p.account AND m.mailbox = p.mailbox WHERE m.mailbox IS NULL"
    ),
    "email is nowhere and not gone": (
        "SELECT e.account, e.email FROM email e JOIN account a ON a.account = e.account WHERE a.removed IS NULL"
        " AND gone IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM placement p WHERE p.account = e.account AND p.email = e.email)"
    ),
    "rows of no account": "SELECT account, email FROM email WHERE account NOT IN (SELECT account FROM account)",
    "email without body": "SELECT account, email FROM email WHERE body NOT IN (SELECT body FROM body)",
    "body is referred to and to be removed": (
        f"SELECT body FROM body b WHERE unreferenced IS NOT NULL AND {_REFERENCED}"
    ),
    "body is not referred to and will stay": (
        f"SELECT body FROM body b WHERE unreferenced IS NULL AND NOT {_REFERENCED}"
    ),
    "mailbox below nothing": (
        "SELECT account, mailbox FROM mailbox m WHERE parent <> 0 AND NOT EXISTS"
        " (SELECT 1 FROM mailbox WHERE account = m.account AND mailbox = m.parent)"
    ),
    "submission without recipients": (
        "SELECT account, submission FROM submission s WHERE NOT EXISTS (SELECT 1 FROM submission_recipient r"
        " WHERE r.account = s.account AND r.submission = s.submission)"
    ),
    "recipient or key without submission": (
        "SELECT account, submission FROM (SELECT account, submission FROM submission_recipient"
        " UNION SELECT account, submission FROM submission_key) AS r WHERE NOT EXISTS"
        " (SELECT 1 FROM submission s WHERE s.account = r.account AND s.submission = r.submission)"
    ),
    "a removed record is due, or one is changed before it was made": (
        "SELECT account, kind, record FROM record WHERE value IS NULL AND due IS NOT NULL OR changed < created"
    ),
    "account has a record with a higher modseq": (
        "SELECT a.account FROM account a WHERE modseq < (SELECT max(changed) FROM record WHERE account = a.account)"
    ),
    "records or answers of no account": (
        "SELECT account FROM (SELECT account FROM record UNION SELECT account FROM answered)"
        " WHERE account NOT IN (SELECT account FROM account)"
    ),
    "submission has octets exactly while it is to be sent": (
        "SELECT account, submission FROM submission WHERE (wire <> 0) <> (state IN ('pending', 'held', 'queued'))"
        " OR (wire <> 0 AND wire NOT IN (SELECT body FROM body))"
    ),
}


def check_shard(path: Path) -> list[str]:
    """`path` without suffix."""
    connection = open_existing(f"{path}.db")
    try:
        problems = [] if connection.execute("PRAGMA integrity_check").get == "ok" else ["database is damaged"]
        for rule, sql in RULES.items():
            problems += [f"{rule}: {row}" for row in connection.execute(sql).fetchall()[:3]]
        bodies = connection.execute("SELECT hash, size, octets FROM body").fetchall()
    finally:
        connection.close()
    for digest, size, octets in cast("list[tuple[bytes, int, bytes | None]]", bodies):
        name = digest.hex()
        try:
            found = octets if octets is not None else (Path(f"{path}.bodies") / name[:2] / name).read_bytes()
        except OSError as error:
            problems.append(f"body without its file: {error}")
            continue
        if len(found) != size or hashlib.sha256(found).digest() != digest:
            problems.append(f"body {name} has other octets")
    return problems + ask_fsck(path)


def ask_fsck(path: Path) -> list[str]:
    """What a kill may leave until the next start or sweep (B1, B2) is not said."""
    found = check_store_shard(str(path.parent), int(path.name), Files(), deep=True)
    return [f"fsck: {one.what}: {one.detail}" for one in found if one.what not in ("leftover", "orphan")]


def check_store(directory: Path) -> list[str]:
    """Every shard below `directory`."""
    names = [entry.name for entry in directory.iterdir() if re.fullmatch(r"\d+\.db", entry.name)]
    return [f"shard {name[:-3]}: {what}" for name in names for what in check_shard(directory / name[:-3])]


def read_state(path: Path) -> str:
    """Everything that is committed, as one word."""
    connection = open_existing(f"{path}.db")
    digest = hashlib.sha256()
    try:
        connection.execute("BEGIN")
        for table in TABLES:
            rows = sorted(repr(row) for row in connection.execute(f"SELECT * FROM {table}"))
            digest.update("\n".join([table, *rows]).encode())
    finally:
        connection.close()
    return digest.hexdigest()[:16]


def orphans(path: Path) -> list[str]:
    """Files that no row names: state B2."""
    connection = open_existing(f"{path}.db")
    try:
        known = {row[0] for row in connection.execute("SELECT lower(hex(hash)) FROM body WHERE octets IS NULL")}
    finally:
        connection.close()
    return [name for _, _, names in os.walk(f"{path}.bodies") for name in names if name not in known]
