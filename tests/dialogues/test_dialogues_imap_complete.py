"""The IMAP dialogue scripts leave nothing out: each command, each capability, each response code is in one of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from posthouse.access import imap as sessions
from posthouse.protocol import imap as protocol
from posthouse.protocol.imap.grammar import _BOTH, _COMMANDS
from posthouse.protocol.imap.server_events import State
from tests.access.imap_kit import open_office
from tests.dialogues.imap_script import FOLDER, SCRIPTS, read_script

# The registry of response codes (RFC 5530 §6 and all since), those of UID SUBMIT, and none beyond.
_REGISTRY = """
ALERT ALREADYEXISTS APPENDUID AUTHENTICATIONFAILED AUTHORIZATIONFAILED BADCHARSET BADCOMPARATOR BADEVENT BADURL
CANNOT CAPABILITY CLIENTBUG CLOSED COMPRESSIONACTIVE CONTACTADMIN COPYUID CORRUPTION EXPIRED EXPUNGEISSUED
HASCHILDREN HIGHESTMODSEQ INPROGRESS INUSE LIMIT MAILBOXID MAXCONVERTMESSAGES MESSAGELIMIT METADATA MODIFIED
NOMODSEQ NONEXISTENT NOPERM NOPRIVATE NOTIFICATIONOVERFLOW NOTSAVED NOUPDATE OVERQUOTA PARSE PERMANENTFLAGS
POLICYDENIED PRIVACYREQUIRED READ-ONLY READ-WRITE REFERRAL SERVERBUG SUBMISSIONRACE TOOBIG TOOFEW TOOMANY
TRYCREATE UIDNEXT UIDNOTSTICKY UIDREQUIRED UIDVALIDITY UNAVAILABLE UNKNOWN-CTE UNSEEN USEATTR
"""
REGISTERED = frozenset(_REGISTRY.split())
# Announced, and what of it a client says or hears in which script.
USES: Mapping[str, tuple[str, str]] = {
    "IMAP4rev1": ("select", "* 0 RECENT"),
    "IMAP4rev2": ("rev2", "ENABLE IMAP4rev2"),
    "SASL-IR": ("login_and_authenticate", "AUTHENTICATE PLAIN AGFs"),
    "LITERAL+": ("login_and_authenticate", "LOGIN {17+}"),
    "ID": ("greeting_and_capabilities", 'ID ("name"'),
    "ENABLE": ("enable", "ENABLE CONDSTORE"),
    "STARTTLS": ("starttls", "STARTTLS"),
    "LOGINDISABLED": ("no_tls_here", "LOGIN alice"),
    "AUTH=PLAIN": ("login_and_authenticate", "AUTHENTICATE PLAIN"),
    "AUTH=LOGIN": ("mechanisms", "AUTHENTICATE LOGIN"),
    "AUTH=SCRAM-SHA-1": ("mechanisms", "AUTHENTICATE SCRAM-SHA-1"),
    "AUTH=SCRAM-SHA-256": ("mechanisms", "AUTHENTICATE SCRAM-SHA-256"),
    "UNSELECT": ("select", "UNSELECT"),
    "IDLE": ("idle", "IDLE"),
    "UNAUTHENTICATE": ("enable", "UNAUTHENTICATE"),
    "NOTIFY": ("notify", "NOTIFY SET"),
    "CONDSTORE": ("condstore", "UNCHANGEDSINCE"),
    "QRESYNC": ("qresync", "VANISHED (EARLIER)"),
    "OBJECTID": ("fetch", "THREADID"),
    "UIDONLY": ("uidonly", "UIDFETCH"),
    "UTF8=ACCEPT": ("utf8", "UTF8 (~{13+}"),
    "BINARY": ("fetch", "BINARY.PEEK[2]"),
    "PREVIEW": ("fetch", "PREVIEW (LAZY)"),
    "SAVEDATE": ("fetch", "SAVEDATE"),
    "NAMESPACE": ("mailboxes", "NAMESPACE"),
    "CHILDREN": ("mailboxes", "\\HasChildren"),
    "LIST-EXTENDED": ("list_extended", "RECURSIVEMATCH"),
    "LIST-STATUS": ("list_extended", "RETURN (STATUS"),
    "LIST-MYRIGHTS": ("list_extended", "RETURN (MYRIGHTS)"),
    "LIST-METADATA": ("list_extended", "RETURN (METADATA"),
    "STATUS=SIZE": ("list_extended", "STATUS INBOX (SIZE"),
    "SPECIAL-USE": ("list_extended", "LIST (SPECIAL-USE)"),
    "CREATE-SPECIAL-USE": ("list_extended", "(USE (\\Drafts))"),
    "ACL": ("acl", "SETACL"),
    "RIGHTS=texk": ("acl", "lrswipkxtea"),
    "METADATA": ("metadata", "SETMETADATA"),
    "QUOTA": ("quota", "GETQUOTAROOT"),
    "QUOTA=RES-STORAGE": ("quota", "STORAGE 1 2"),
    "QUOTA=RES-MESSAGE": ("quota", "MESSAGE 1 3"),
    "UIDPLUS": ("uidplus", "COPYUID"),
    "MOVE": ("uidplus", "UID MOVE"),
    "MULTIAPPEND": ("uidplus", "4:5] ..."),
    "CATENATE": ("catenate", "CATENATE (URL"),
    "REPLACE": ("uidplus", "UID REPLACE"),
    "SUBMIT": ("uid_submit", "UID SUBMIT 1 (FROM"),
    "ESEARCH": ("esearch", "RETURN (MIN COUNT)"),
    "SEARCHRES": ("esearch", "FETCH $"),
    "WITHIN": ("search", "OLDER"),
    "PARTIAL": ("esearch", "PARTIAL -1:-2"),
    "SEARCH=FUZZY": ("esearch", "FUZZY SUBJECT"),
    "MULTISEARCH": ("multisearch", "ESEARCH IN"),
    "I18NLEVEL=1": ("search", "K\\xc3\\x84SE"),
    "INPROGRESS": ("long_commands", "INPROGRESS"),
    "SORT": ("sort_and_thread", "SORT (SUBJECT)"),
    "SORT=DISPLAY": ("sort_and_thread", "SORT (DISPLAYFROM)"),
    "ESORT": ("sort_and_thread", "SORT RETURN (MIN"),
    "CONTEXT=SEARCH": ("context", "SEARCH RETURN (UPDATE"),
    "CONTEXT=SORT": ("context", "SORT RETURN (UPDATE CONTEXT)"),
    "UIDBATCHES": ("uidbatches", "UIDBATCHES 2000"),
    "THREAD=ORDEREDSUBJECT": ("sort_and_thread", "THREAD ORDEREDSUBJECT"),
    "THREAD=REFERENCES": ("sort_and_thread", "THREAD REFERENCES"),
    "THREAD=REFS": ("sort_and_thread", "THREAD REFS"),
    "APPENDLIMIT": ("list_extended", "APPENDLIMIT <<limit>>"),
    "XCOURIEROUTBOX": ("outbox", "APPEND Outbox"),
    "MESSAGELIMIT": ("messagelimit", "[MESSAGELIMIT 2 2]"),
    "COMPRESS=DEFLATE": ("compress", "COMPRESS DEFLATE"),
}
NEVER = frozenset({"SETQUOTA"})  # quotas are the administrator's
UNHEARD = frozenset({"INUSE"})  # of a store that is to remove a mailbox only when it is empty: IMAP never says so
_WITH_VALUE = frozenset({"APPENDLIMIT", "XCOURIEROUTBOX", "MESSAGELIMIT"})
_CODE = re.compile(r"[A-Z][A-Z-]+")
_SAID = re.compile(r"\S+ (?:OK|NO|BAD|BYE) \[([A-Z-]+(?: [A-Z]+)?)")
_COMMAND = re.compile(r"(\S+) ((?:UID )?[A-Z]+)(?: |\r|\Z)", re.IGNORECASE)


# -- commands


def all_commands() -> list[str]:
    return [*_COMMANDS, *_BOTH, *(f"UID {name}" for name in _BOTH)]


def answers() -> Iterator[tuple[str, str, str]]:
    """Each script, command and status that stand together in it."""
    for path in SCRIPTS:
        asked: dict[tuple[int, str], str] = {}
        for step in read_script(path).steps:
            tag = step.text.split(" ")[0]
            if step.kind == "C":
                found = _COMMAND.match(step.text)
                if found is not None:
                    asked[step.client, found[1]] = found[2].upper()
            elif step.kind == "S" and (step.client, tag) in asked:
                yield path.stem, asked[step.client, tag], step.text.split(" ")[1]


ANSWERS = frozenset(answers())


@pytest.mark.parametrize("command", all_commands())
def test_a_script_shows_each_command_well_and_as_nonsense(command: str) -> None:
    told = {status for _, said, status in ANSWERS if said == command}
    assert told >= {"NO" if command in NEVER else "OK", "BAD"}


def test_each_command_is_tried_in_each_state_in_which_it_must_not_be() -> None:
    tried = {(script, command) for script, command, status in ANSWERS if status == "BAD"}
    states = {name: states for name, (states, _) in _COMMANDS.items()}
    states |= dict.fromkeys([*_BOTH, *(f"UID {name}" for name in _BOTH)], frozenset({State.SELECTED}))
    for command, allowed in states.items():
        if State.NOT_AUTHENTICATED not in allowed:
            assert ("before_login", command) in tried, command
        if State.AUTHENTICATED not in allowed:
            assert ("after_login", command) in tried, command


# -- capabilities


async def announced() -> set[str]:
    office = await open_office(message_limit=1_000)
    told = b""
    for tls, can_tls in (("TLSv1.3", False), ("", True), ("", False)):
        client = office.open(tls, can_tls=can_tls)
        told += await client.begin()
        told += await client.talk(b"a LOGIN alice@example.org right", b"b CAPABILITY")
    lists = re.findall(rb"CAPABILITY ([^\]\r]+)", told)
    return {name for each in lists for name in each.decode().split()}


async def test_a_script_uses_each_capability() -> None:
    names = {name.partition("=")[0] if name.startswith(tuple(_WITH_VALUE)) else name for name in await announced()}
    assert names == USES.keys()


@pytest.mark.parametrize("name", USES)
def test_the_script_that_a_capability_has_is_about_it(name: str) -> None:
    script, words = USES[name]
    lines = (FOLDER / f"{script}.txt").read_text("utf-8").splitlines()
    assert any(words in line for line in lines if not line.startswith("#"))


# -- response codes


def codes_in_scripts() -> set[str]:
    found = {
        code[1]
        for path in SCRIPTS
        for step in read_script(path).steps
        if step.kind == "S" and (code := _SAID.match(step.text)) is not None
    }
    return found | {code.partition(" ")[0] for code in found}


def texts_of(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str | bytes):
            yield part.value if isinstance(part.value, str) else part.value.decode("latin-1")


def modules() -> Iterator[ast.Module]:
    for package in (sessions, protocol):
        for path in Path(str(package.__file__)).parent.glob("*.py"):
            yield ast.parse(path.read_text("utf-8"))


def codes_in_code() -> set[str]:
    """Whatever of the sources is a registered code; those of METADATA with their second word."""
    found = set[str]()
    for module in modules():
        for text in texts_of(module):
            words = [word for word in text.split() if _CODE.fullmatch(word)]
            if text.startswith(tuple(REGISTERED)) and words and words[0] in REGISTERED:
                found.add(" ".join(words[:2]) if words[0] == "METADATA" and len(words) > 1 else words[0])
    return found


def test_a_script_shows_each_response_code() -> None:
    assert sorted(codes_in_code() - codes_in_scripts() - UNHEARD) == []


def test_only_registered_response_codes_are_said() -> None:
    assert {code.partition(" ")[0] for code in codes_in_scripts()} <= REGISTERED


def test_what_refusals_are_given_as_a_code_is_registered() -> None:
    """So that a code which nobody knows of is found, and asks for a script."""
    for module in modules():
        for call in ast.walk(module):
            name = getattr(getattr(call, "func", None), "id", "")
            if isinstance(call, ast.Call) and name in ("No", "Bad", "Done", "SyntaxProblem"):
                words = (text.split()[0] for given in call.args[1:2] for text in texts_of(given) if text.strip())
                assert {word for word in words if _CODE.fullmatch(word)} <= REGISTERED
