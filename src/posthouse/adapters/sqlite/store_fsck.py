"""Whether a shard of the store is in one of the states of docs/internals.md: a rule is a query that finds its breaches.

Trusts nothing in the file but SQLite's own check of it. With `repair`: counters are counted anew, marks of emails and
bodies set as the rows say, placements without an email go; what is lost (a missing body) can only be told. Repair is
for a store that nobody has open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import apsw

from posthouse.adapters.sqlite.database import open_database, open_existing
from posthouse.adapters.sqlite.store_bodies import REFERENCED, body_path
from posthouse.message.mailbox import Flag

_HIDDEN = int(Flag.SEEN | Flag.DELETED)
_DELETED = int(Flag.DELETED)
_MOST_TOLD = 100  # per rule

_COUNTED = (
    f"SELECT account, mailbox, count(*) AS total, sum(NOT flags & {_HIDDEN}) AS unseen, sum(flags & {_DELETED} <> 0)"
    " AS deleted, sum(e.size) AS octets, max(uid) AS uid, max(p.modseq) AS modseq"
    " FROM placement p JOIN email e USING (account, email) GROUP BY account, mailbox"
)
_USED = "SELECT account, count(*) AS emails, sum(size) AS octets FROM email e WHERE gone IS NULL GROUP BY account"
_PLACED = (
    "EXISTS (SELECT 1 FROM placement p INDEXED BY placement_email WHERE p.account = e.account AND p.email = e.email)"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` gives one text column per breach; `repair` is what mends them, "" when nothing can."""

    says: str
    find: str
    repair: str = ""


RULES = (
    Rule(
        "a placement without an email",
        "SELECT account || '/' || mailbox || '/' || uid FROM placement p WHERE NOT EXISTS"
        " (SELECT 1 FROM email e WHERE e.account = p.account AND e.email = p.email)",
        "DELETE FROM placement WHERE NOT EXISTS"
        " (SELECT 1 FROM email e WHERE e.account = placement.account AND e.email = placement.email)",
    ),
    Rule(
        "a placement without a mailbox",
        "SELECT account || '/' || mailbox || '/' || uid FROM placement p WHERE NOT EXISTS"
        " (SELECT 1 FROM mailbox m WHERE m.account = p.account AND m.mailbox = p.mailbox)",
        "DELETE FROM placement WHERE NOT EXISTS"
        " (SELECT 1 FROM mailbox m WHERE m.account = placement.account AND m.mailbox = placement.mailbox)",
    ),
    Rule(
        "an email without a placement that is not marked gone",
        f"SELECT account || '/' || email FROM email e WHERE gone IS NULL AND NOT {_PLACED}",
        f"UPDATE email AS e SET gone = unixepoch() * 1000000, gone_flags = 0 WHERE gone IS NULL AND NOT {_PLACED}",
    ),
    Rule(
        "an email with a placement that is marked gone",
        f"SELECT account || '/' || email FROM email e WHERE gone IS NOT NULL AND {_PLACED}",
        f"UPDATE email AS e SET gone = NULL, gone_from = NULL, gone_flags = NULL WHERE gone IS NOT NULL AND {_PLACED}",
    ),
    Rule(
        "a mailbox whose counters are not those of its placements",
        f"SELECT account || '/' || mailbox FROM mailbox m LEFT JOIN ({_COUNTED}) c USING (account, mailbox)"
        " WHERE (m.total, m.unseen, m.deleted, m.octets) IS NOT"
        " (ifnull(c.total, 0), ifnull(c.unseen, 0), ifnull(c.deleted, 0), ifnull(c.octets, 0))",
        "UPDATE mailbox AS m SET (total, unseen, deleted, octets) = (SELECT count(*),"
        f" ifnull(sum(NOT flags & {_HIDDEN}), 0), ifnull(sum(flags & {_DELETED} <> 0), 0), ifnull(sum(e.size), 0)"
        " FROM placement p JOIN email e USING (account, email) WHERE p.account = m.account AND p.mailbox = m.mailbox)",
    ),
    Rule(
        "a UID or modseq that its mailbox does not count",
        f"SELECT account || '/' || mailbox FROM mailbox m JOIN ({_COUNTED}) c USING (account, mailbox)"
        " WHERE c.uid >= m.uidnext OR c.modseq > m.modseq",
        "UPDATE mailbox AS m SET uidnext = max(uidnext, 1 + ifnull((SELECT max(uid) FROM placement p WHERE"
        " p.account = m.account AND p.mailbox = m.mailbox), 0)), modseq = max(modseq, ifnull((SELECT max(modseq)"
        " FROM placement p WHERE p.account = m.account AND p.mailbox = m.mailbox), 0))",
    ),
    Rule(
        "a modseq or id that its account does not count",
        "SELECT account FROM account a WHERE modseq < (SELECT max(modseq) FROM mailbox m WHERE m.account = a.account)"
        " OR next_email <= (SELECT max(email) FROM email e WHERE e.account = a.account)"
        " OR next_mailbox <= (SELECT max(mailbox) FROM mailbox m WHERE m.account = a.account)",
        "UPDATE account AS a SET modseq = max(modseq, ifnull((SELECT max(modseq) FROM mailbox m"
        " WHERE m.account = a.account), 0)), next_email = max(next_email, 1 + ifnull((SELECT max(email) FROM email e"
        " WHERE e.account = a.account), 0)), next_mailbox = max(next_mailbox, 1 + ifnull((SELECT max(mailbox)"
        " FROM mailbox m WHERE m.account = a.account), 0))",
    ),
    Rule(
        "an account whose usage is not that of its emails",
        f"SELECT account FROM account a LEFT JOIN ({_USED}) u USING (account)"
        " WHERE (a.emails, a.octets) IS NOT (ifnull(u.emails, 0), ifnull(u.octets, 0))",
        "UPDATE account AS a SET (emails, octets) = (SELECT count(*), ifnull(sum(size), 0) FROM email e"
        " WHERE e.account = a.account AND gone IS NULL)",
    ),
    Rule(
        "a mailbox below one that is not there",
        "SELECT account || '/' || mailbox FROM mailbox m WHERE parent <> 0 AND NOT EXISTS"
        " (SELECT 1 FROM mailbox o WHERE o.account = m.account AND o.mailbox = m.parent)",
        "UPDATE mailbox AS m SET parent = 0, name = name || ' ' || mailbox WHERE parent <> 0 AND NOT EXISTS"
        " (SELECT 1 FROM mailbox o WHERE o.account = m.account AND o.mailbox = m.parent)",
    ),
    Rule(
        "an account without INBOX",
        "SELECT account FROM account a WHERE NOT EXISTS"
        " (SELECT 1 FROM mailbox m WHERE m.account = a.account AND role = 'inbox')",
    ),
    Rule(
        "an email whose body is not there",
        "SELECT account || '/' || email FROM email e WHERE NOT EXISTS (SELECT 1 FROM body b WHERE b.body = e.body)",
    ),
    Rule(
        "an email whose size is not that of its octets",
        "SELECT account || '/' || email FROM email e JOIN body b USING (body) WHERE e.size <> b.size + length(prefix)",
    ),
    Rule(
        "a body that something refers to and that is marked unreferenced",
        f"SELECT body FROM body WHERE unreferenced IS NOT NULL AND ({REFERENCED})",
        f"UPDATE body SET unreferenced = NULL WHERE unreferenced IS NOT NULL AND ({REFERENCED})",
    ),
    Rule(
        "a body that nothing refers to and that is not marked",
        f"SELECT body FROM body WHERE unreferenced IS NULL AND NOT ({REFERENCED})",
        f"UPDATE body SET unreferenced = unixepoch() * 1000000 WHERE unreferenced IS NULL AND NOT ({REFERENCED})",
    ),
    Rule(
        "a submission that is to be sent and has no octets",
        "SELECT account || '/' || submission FROM submission s WHERE state IN ('pending', 'held', 'queued')"
        " AND NOT EXISTS (SELECT 1 FROM body b WHERE b.body = s.wire)",
    ),
    Rule(
        "a submission that is over and keeps octets",
        "SELECT account || '/' || submission FROM submission WHERE state IN ('final', 'canceled') AND wire <> 0",
        "UPDATE submission SET wire = 0 WHERE state IN ('final', 'canceled')",
    ),
)


def list_store_shards(directory: str) -> list[int]:
    if not os.path.isdir(directory):
        return []
    return sorted(int(name[:-3]) for name in os.listdir(directory) if name.endswith(".db") and name[:-3].isdigit())


def check_store(directory: str, *, repair: bool = False) -> Iterator[str]:
    """What is wrong, one line each; with `repair` what was mended. Shards that cannot be read are told and left."""
    for number in list_store_shards(directory):
        path = f"{directory}/{number}"
        try:
            yield from (f"store shard {number}: {text}" for text in check_shard(path, repair=repair))
        except apsw.Error as error:
            yield f"store shard {number}: cannot be read: {error}"


def check_shard(path: str, *, repair: bool = False) -> list[str]:
    """`path` without ".db"."""
    connection = open_database(f"{path}.db", "store") if repair else open_existing(f"{path}.db")
    try:
        said = connection.execute("PRAGMA quick_check(1)").get
        if said != "ok":
            return [f"damaged: {said}"]
        found = [text for rule in RULES for text in _apply(connection, rule, repair=repair)]
        return found + _find_missing_files(connection, f"{path}.bodies")
    finally:
        connection.close()


def _apply(connection: apsw.Connection, rule: Rule, *, repair: bool) -> list[str]:
    found = [str(row[0]) for row in connection.execute(f"{rule.find} LIMIT {_MOST_TOLD}").fetchall()]
    is_mended = bool(found and repair and rule.repair)
    if is_mended:
        connection.execute(rule.repair)
    return [f"{rule.says}: {which}{' (mended)' if is_mended else ''}" for which in found]


def _find_missing_files(connection: apsw.Connection, folder: str) -> list[str]:
    found = []
    for digest, size in connection.execute("SELECT hash, size FROM body WHERE octets IS NULL"):
        assert isinstance(digest, bytes)
        path = body_path(folder, digest)
        if not os.path.exists(path):
            found.append(f"a body whose file is not there: {path}")
        elif os.stat(path).st_size != size:
            found.append(f"a body whose file has another size: {path}")
    return found
