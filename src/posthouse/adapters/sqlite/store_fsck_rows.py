"""What must hold between the rows of a shard of the store, and how it is mended: one entry each, in the order of use.

`search` gives one text for each place where it does not hold. `mend` are statements of one transaction; they may use
:now (seconds). No mail is removed: what belongs nowhere is placed in a mailbox `Recovered`; what refers to nothing
goes.
Later entries put right the numbers that earlier ones have changed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCheck:
    """`what` is the word of docs/operations.md; without `mend` it can only be told."""

    what: str
    detail: str
    search: str
    mend: tuple[str, ...] = ()


_KNOWN = "account IN (SELECT account FROM account)"
_OF_NOBODY = "SELECT account FROM mailbox UNION SELECT account FROM email UNION SELECT account FROM placement"
_NO_INBOX = "account NOT IN (SELECT account FROM mailbox WHERE role = 'inbox')"
_NO_EMAIL = "NOT EXISTS (SELECT 1 FROM email e WHERE e.account = p.account AND e.email = p.email)"
_NO_BOX = "NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account = p.account AND m.mailbox = p.mailbox)"
_NO_PARENT = "parent <> 0 AND NOT EXISTS (SELECT 1 FROM mailbox a WHERE a.account = m.account AND a.mailbox = m.parent)"
_NO_PLACE = "NOT EXISTS (SELECT 1 FROM placement p WHERE p.account = e.account AND p.email = e.email)"
_WRONG_SIZE = "e.size <> length(e.prefix) + b.size"
_HIDDEN = f"gone IS NULL AND {_NO_PLACE}"
_IN_A_CIRCLE = """parent <> 0 AND (m.account, m.mailbox) NOT IN (
    WITH RECURSIVE below(account, mailbox) AS (
        SELECT account, mailbox FROM mailbox WHERE parent = 0
        UNION SELECT c.account, c.mailbox FROM below b JOIN mailbox c ON c.account = b.account AND c.parent = b.mailbox
    ) SELECT account, mailbox FROM below)"""
_REFERRED = (
    "(EXISTS (SELECT 1 FROM email WHERE email.body = body.body)"
    " OR EXISTS (SELECT 1 FROM submission WHERE submission.wire = body.body AND submission.wire <> 0))"
)
_NO_SUBMISSION = "NOT EXISTS (SELECT 1 FROM submission s WHERE s.account = t.account AND s.submission = t.submission)"
_UNREADABLE = f"NOT {_KNOWN} OR value IS NOT NULL AND NOT json_valid(CAST(value AS TEXT))"
_OF_NO_BOX = "NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account = t.account AND m.mailbox = t.mailbox)"
_OF_NO_PLACE = (
    "NOT EXISTS (SELECT 1 FROM placement p WHERE p.account = t.account AND p.mailbox = t.mailbox AND p.uid = t.uid)"
)
_COUNTED = """SELECT count(*), ifnull(sum((p.flags & 9) = 0), 0), ifnull(sum((p.flags & 8) <> 0), 0),
    ifnull(sum(e.size), 0) FROM placement p JOIN email e ON e.account = p.account AND e.email = p.email
    WHERE p.account = m.account AND p.mailbox = m.mailbox"""
_USED = f"SELECT count(*), ifnull(sum(size), 0) FROM email e WHERE e.account = a.account AND NOT {_NO_PLACE}"
_BITS = """WITH RECURSIVE bits(bit) AS (SELECT 5 UNION ALL SELECT bit + 1 FROM bits WHERE bit < 61)
    SELECT DISTINCT p.account, bit FROM placement p JOIN bits WHERE p.flags >> bit & 1
    AND NOT EXISTS (SELECT 1 FROM keyword k WHERE k.account = p.account AND k.bit = bits.bit)"""
_LAST_MODSEQ = """max(ifnull((SELECT max(modseq) FROM mailbox WHERE account = a.account), 0),
    ifnull((SELECT max(changed) FROM mailbox WHERE account = a.account), 0),
    ifnull((SELECT max(modseq) FROM placement WHERE account = a.account), 0),
    ifnull((SELECT max(modseq) FROM change WHERE account = a.account), 0),
    ifnull((SELECT max(created) FROM email WHERE account = a.account), 0),
    ifnull((SELECT max(modseq) FROM submission WHERE account = a.account), 0),
    ifnull((SELECT max(changed) FROM record WHERE account = a.account), 0))"""
_NEXT = {
    "next_email": "SELECT max(email) FROM email WHERE account = a.account",
    "next_mailbox": "SELECT max(mailbox) FROM mailbox WHERE account = a.account",
    "next_submission": "SELECT max(submission) FROM submission WHERE account = a.account",
    "next_uidvalidity": "SELECT max(uidvalidity) FROM mailbox WHERE account = a.account",
}


def _raise_modseq(accounts: str) -> str:
    return f"UPDATE account SET modseq = modseq + 1 WHERE account IN ({accounts})"


def _make_mailbox(name: str, role: str, accounts: str) -> tuple[str, ...]:
    """For accounts that have none of the name."""
    missing = f"account IN ({accounts}) AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account = a.account"
    missing += f" AND m.parent = 0 AND m.name = '{name}')"
    number = "ifnull((SELECT max(mailbox) FROM mailbox WHERE account = a.account), 0)"
    return (
        f"""UPDATE account AS a SET next_mailbox = max(next_mailbox, {number} + 1),
            next_uidvalidity = max(next_uidvalidity, :now) WHERE {missing}""",
        f"""INSERT INTO mailbox (account, mailbox, parent, name, role, uidvalidity, uidnext, modseq, created, changed)
            SELECT account, next_mailbox, 0, '{name}', {role}, next_uidvalidity, 1, modseq, modseq, modseq
            FROM account AS a WHERE {missing}""",
        f"""INSERT OR IGNORE INTO change SELECT m.account, a.modseq, 5, m.mailbox, m.mailbox, m.mailbox
            FROM mailbox m JOIN account a USING (account)
            WHERE m.parent = 0 AND m.name = '{name}' AND account IN ({accounts})""",
        """UPDATE account AS a SET next_mailbox = max(next_mailbox,
            1 + ifnull((SELECT max(mailbox) FROM mailbox WHERE account = a.account), 0))""",
    )


def _delete(what: str, table: str, where: str) -> RowCheck:
    shown = f"SELECT account FROM {table} AS t WHERE {where}"
    return RowCheck("rows", what, shown, (f"DELETE FROM {table} AS t WHERE {where}",))


ROW_CHECKS: tuple[RowCheck, ...] = (
    RowCheck(
        "rows",
        "accounts without their own row",
        f"SELECT account FROM ({_OF_NOBODY}) WHERE NOT {_KNOWN}",
        (
            f"""INSERT INTO account SELECT account, 1, 1, 1, 1, :now, 0, 0, 0, NULL
                FROM ({_OF_NOBODY}) WHERE NOT {_KNOWN}""",
        ),
    ),
    RowCheck(
        "rows",
        "placements in a mailbox that is not there: it is made again",
        f"SELECT DISTINCT account || '/' || mailbox FROM placement p WHERE {_NO_BOX}",
        (
            _raise_modseq(f"SELECT account FROM placement p WHERE {_NO_BOX}"),
            f"""INSERT INTO mailbox
                (account, mailbox, parent, name, role, uidvalidity, uidnext, modseq, created, changed)
                SELECT p.account, p.mailbox, 0, 'Recovered ' || p.mailbox, NULL,
                max(next_uidvalidity, :now) + p.mailbox, max(p.uid) + 1, a.modseq, a.modseq, a.modseq
                FROM placement p JOIN account a USING (account) WHERE {_NO_BOX} GROUP BY p.account, p.mailbox""",
        ),
    ),
    RowCheck(
        "rows",
        "accounts without INBOX",
        f"SELECT account FROM account WHERE {_NO_INBOX}",
        (
            f"UPDATE mailbox SET role = 'inbox' WHERE parent = 0 AND name = 'INBOX' AND {_NO_INBOX}",
            *_make_mailbox("INBOX", "'inbox'", f"SELECT account FROM account WHERE {_NO_INBOX}"),
        ),
    ),
    RowCheck(
        "rows",
        "mailboxes below one that is not there, or below themselves: put at the top",
        f"SELECT account || '/' || mailbox FROM mailbox m WHERE {_NO_PARENT} OR {_IN_A_CIRCLE}",
        (
            f"UPDATE mailbox AS m SET parent = 0, name = name || ' (' || mailbox || ')' WHERE {_NO_PARENT}",
            f"UPDATE mailbox AS m SET parent = 0, name = name || ' (' || mailbox || ')' WHERE {_IN_A_CIRCLE}",
        ),
    ),
    RowCheck(
        "rows",
        "keywords without a name",
        f"SELECT account || '/' || bit FROM ({_BITS})",
        (f"INSERT INTO keyword SELECT account, bit, 'Recovered-' || bit FROM ({_BITS})",),
    ),
    RowCheck(
        "lost email",
        "placements of an email that is not there",
        f"SELECT account || '/' || mailbox || '/' || uid FROM placement p WHERE {_NO_EMAIL}",
        (
            _raise_modseq(f"SELECT account FROM placement p WHERE {_NO_EMAIL}"),
            f"""INSERT OR IGNORE INTO change SELECT p.account, a.modseq, 2, p.mailbox, p.uid, p.uid
                FROM placement p JOIN account a USING (account) WHERE {_NO_EMAIL}""",
            f"""UPDATE mailbox AS m SET modseq = (SELECT modseq FROM account a WHERE a.account = m.account)
                WHERE EXISTS (SELECT 1 FROM placement p
                WHERE p.account = m.account AND p.mailbox = m.mailbox AND {_NO_EMAIL})""",
            f"DELETE FROM placement AS p WHERE {_NO_EMAIL}",
        ),
    ),
    RowCheck(
        "rows",
        "emails marked as gone that are in a mailbox",
        f"SELECT account || '/' || email FROM email e WHERE gone IS NOT NULL AND NOT {_NO_PLACE}",
        (
            f"""UPDATE email AS e SET gone = NULL, gone_from = NULL, gone_flags = NULL
                WHERE gone IS NOT NULL AND NOT {_NO_PLACE}""",
        ),
    ),
    RowCheck(
        "hidden email",
        "emails in no mailbox: placed in Recovered",
        f"SELECT account || '/' || email FROM email e WHERE {_HIDDEN}",
        (
            _raise_modseq(f"SELECT account FROM email e WHERE {_HIDDEN}"),
            *_make_mailbox("Recovered", "NULL", f"SELECT account FROM email e WHERE {_HIDDEN}"),
            f"""INSERT INTO placement SELECT e.account, m.mailbox,
                m.uidnext - 1 + row_number() OVER (PARTITION BY e.account ORDER BY e.email), e.email, 0, a.modseq,
                :now * 1000000 FROM email e JOIN account a USING (account) JOIN mailbox m
                ON m.account = e.account AND m.parent = 0 AND m.name = 'Recovered' WHERE {_HIDDEN}""",
        ),
    ),
    RowCheck(
        "lost body",
        "emails whose text is not there",
        "SELECT account || '/' || email FROM email WHERE body NOT IN (SELECT body FROM body)",
    ),
    RowCheck(
        "counters",
        "sizes of emails",
        f"SELECT account || '/' || email FROM email e JOIN body b USING (body) WHERE {_WRONG_SIZE}",
        (
            f"""UPDATE email AS e SET size = length(prefix) + b.size FROM body b
                WHERE b.body = e.body AND {_WRONG_SIZE}""",
        ),
    ),
    RowCheck(
        "lost body",
        "submissions to be sent whose text is not there",
        """SELECT account || '/' || submission FROM submission
            WHERE state IN ('pending', 'held', 'queued') AND wire NOT IN (SELECT body FROM body)""",
    ),
    RowCheck(
        "rows",
        "submissions that are over and keep their text",
        "SELECT account || '/' || submission FROM submission WHERE state IN ('final', 'canceled') AND wire <> 0",
        ("UPDATE submission SET wire = 0 WHERE state IN ('final', 'canceled') AND wire <> 0",),
    ),
    _delete("recipients of no submission", "submission_recipient", _NO_SUBMISSION),
    _delete("keys of no submission", "submission_key", _NO_SUBMISSION),
    _delete(
        "marks of readers on nothing",
        "seen",
        _OF_NO_PLACE,
    ),
    _delete(
        "references to no thread",
        "thread_ref",
        """NOT EXISTS (SELECT 1 FROM email e WHERE e.account = t.account AND e.email = t.thread) AND NOT EXISTS
            (SELECT 1 FROM email e WHERE e.account = t.account AND e.thread = t.thread AND e.thread <> e.email)""",
    ),
    _delete("changes of nobody or of nothing", "change", f"low > high OR NOT {_KNOWN}"),
    _delete("keywords of no account", "keyword", f"NOT {_KNOWN}"),
    _delete("import marks of no account", "import_mark", f"NOT {_KNOWN}"),
    _delete("subscriptions of no account", "subscribed_name", f"NOT {_KNOWN}"),
    _delete("access to no mailbox", "sharing", _OF_NO_BOX),
    _delete("annotations of nothing", "annotation", f"NOT {_KNOWN} OR mailbox <> 0 AND {_OF_NO_BOX}"),
    _delete("POP3 names of nothing", "uidl", _OF_NO_PLACE),
    _delete("records of no account, or not readable", "record", _UNREADABLE),
    _delete("answers of no account", "answered", f"NOT {_KNOWN}"),
    RowCheck(
        "rows",
        "bodies that nothing refers to and that are not marked so",
        f"SELECT body FROM body WHERE unreferenced IS NULL AND NOT {_REFERRED}",
        (f"UPDATE body SET unreferenced = :now * 1000000 WHERE unreferenced IS NULL AND NOT {_REFERRED}",),
    ),
    RowCheck(
        "rows",
        "bodies marked as unused that are used",
        f"SELECT body FROM body WHERE unreferenced IS NOT NULL AND {_REFERRED}",
        (f"UPDATE body SET unreferenced = NULL WHERE unreferenced IS NOT NULL AND {_REFERRED}",),
    ),
    RowCheck(
        "counters",
        "counters of mailboxes",
        f"SELECT account || '/' || mailbox FROM mailbox m WHERE (total, unseen, deleted, octets) <> ({_COUNTED})",
        (f"UPDATE mailbox AS m SET (total, unseen, deleted, octets) = ({_COUNTED})",),
    ),
    RowCheck(
        "counters",
        "usage of accounts",
        f"SELECT account FROM account a WHERE removed IS NULL AND (emails, octets) <> ({_USED})",
        (f"UPDATE account AS a SET (emails, octets) = ({_USED}) WHERE removed IS NULL",),
    ),
    RowCheck(
        "counters",
        "UIDs at or above the next one to be given",
        """SELECT account || '/' || mailbox FROM mailbox m WHERE uidnext <=
            (SELECT max(uid) FROM placement p WHERE p.account = m.account AND p.mailbox = m.mailbox)""",
        (
            """UPDATE mailbox AS m SET uidnext = max(uidnext, 1 + ifnull((SELECT max(uid) FROM placement p
                WHERE p.account = m.account AND p.mailbox = m.mailbox), 0))""",
        ),
    ),
    RowCheck(
        "counters",
        "placements changed later than their mailbox",
        """SELECT account || '/' || mailbox FROM mailbox m WHERE modseq <
            (SELECT max(modseq) FROM placement p WHERE p.account = m.account AND p.mailbox = m.mailbox)""",
        (
            """UPDATE mailbox AS m SET modseq = max(modseq, ifnull((SELECT max(modseq) FROM placement p
                WHERE p.account = m.account AND p.mailbox = m.mailbox), 0))""",
        ),
    ),
    RowCheck(
        "counters",
        "changes later than their account",
        f"SELECT account FROM account a WHERE modseq < {_LAST_MODSEQ}",
        (f"UPDATE account AS a SET modseq = max(modseq, {_LAST_MODSEQ})",),
    ),
    *(
        RowCheck(
            "counters",
            f"ids at or above {column}",
            f"SELECT account FROM account a WHERE {column} <= ({last})",
            (f"UPDATE account AS a SET {column} = max({column}, 1 + ifnull(({last}), 0))",),
        )
        for column, last in _NEXT.items()
    ),
)
