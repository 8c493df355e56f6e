"""What is announced, and when: each capability only when it works, and in the state in which it may be used.

A listener or an account may hide some (`ImapSettings.hidden`); what is hidden is not announced. The table is what
`CAPABILITY` says, in its order. RFC 9051 §6.1.1, §7.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from posthouse.access.imap.context import Context
from posthouse.trust.login import SaslConversation

_ALWAYS = ("IMAP4rev1", "IMAP4rev2", "SASL-IR", "LITERAL+", "ID", "ENABLE")
# After login. What is built in the module of the command stands in one line with others of that module.
_LOGGED_IN = (
    *("UNSELECT", "IDLE", "UNAUTHENTICATE", "NOTIFY"),
    *("CONDSTORE", "QRESYNC", "OBJECTID", "UIDONLY", "UTF8=ACCEPT"),
    *("BINARY", "PREVIEW", "SAVEDATE"),
    *("NAMESPACE", "CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "LIST-MYRIGHTS", "LIST-METADATA", "STATUS=SIZE"),
    *("SPECIAL-USE", "CREATE-SPECIAL-USE", "ACL", "RIGHTS=texk", "METADATA"),
    *("QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"),
    *("UIDPLUS", "MOVE", "MULTIAPPEND", "CATENATE", "REPLACE", "SUBMIT"),
    *("ESEARCH", "SEARCHRES", "WITHIN", "PARTIAL", "SEARCH=FUZZY", "MULTISEARCH", "I18NLEVEL=1", "INPROGRESS"),
    *("SORT", "SORT=DISPLAY", "ESORT", "CONTEXT=SEARCH", "CONTEXT=SORT", "UIDBATCHES"),
    *("THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS"),
)

HIDDEN_ENTRY = "/shared/vendor/posthouse/hide"  # of an account, set by an administrator: names with spaces between


def read_hidden(entries: Mapping[str, bytes]) -> frozenset[str]:
    """What an account hides from its own programs."""
    return frozenset(entries.get(HIDDEN_ENTRY, b"").decode("ascii", "replace").upper().split())


def list_capabilities(context: Context) -> list[str]:
    names = [*_ALWAYS]
    if context.login is None:
        names += _before_login(context)
    else:
        names += _LOGGED_IN
        names.append(f"APPENDLIMIT={context.desk.settings.append_limit}")
        if context.has_outbox:
            names.append(f"XCOURIEROUTBOX={context.desk.settings.outbox}")
        if context.desk.settings.message_limit:
            names.append(f"MESSAGELIMIT={context.desk.settings.message_limit}")
        if not context.is_compressed:
            names.append("COMPRESS=DEFLATE")
    hidden = context.desk.settings.hidden | context.hidden
    return [name for name in names if name.upper() not in hidden] if hidden else names


def _before_login(context: Context) -> Iterator[str]:
    if context.wire.has_tls:
        yield "STARTTLS"
    conversation: SaslConversation = context.desk.converse(context.wire.peer)
    mechanisms = conversation.mechanisms()
    if "PLAIN" not in mechanisms.offered:
        yield "LOGINDISABLED"
    for name in mechanisms.offered:
        yield f"AUTH={name}"


def write_capabilities(context: Context) -> bytes:
    """As a response code, or behind `* `."""
    return f"CAPABILITY {' '.join(list_capabilities(context))}".encode("ascii")
