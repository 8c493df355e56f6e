"""What the IMAP sessions of one listener share. Made by app; all of it ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from posthouse.access.imap.settings import ImapSettings
from posthouse.access.imap.uploads import Uploads
from posthouse.message.parsed import ParsedMessage
from posthouse.message.peer import Peer
from posthouse.ports.access import SessionSlots
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.observe import Counter, Log
from posthouse.ports.sending import Sending
from posthouse.ports.store import Store
from posthouse.trust.login import SaslConversation


@dataclass(frozen=True, slots=True)
class ImapFigures:
    logins: Counter
    commands: Counter
    refused: Counter


@dataclass(frozen=True, slots=True)
class Desk:
    """`converse` gives a conversation that lets people in who may read. `parse` is message/parse.py, beside the loop
    for large messages. `uploads` bounds what the worker's clients upload at once, `decoding` what is decoded for them.
    """

    settings: ImapSettings
    store: Store
    accounts: Accounts
    directory: Directory
    converse: Callable[[Peer], SaslConversation]
    slots: SessionSlots
    sending: Sending
    parse: Callable[[bytes], Awaitable[ParsedMessage]]
    compute: Compute
    uploads: Uploads
    decoding: Uploads
    clock: Clock
    log: Log
    figures: ImapFigures
