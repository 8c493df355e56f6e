"""What the POP3 sessions of one listener share. Made by app; all of it ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.access.pop3.delays import LoginDelays
from posthouse.access.pop3.settings import Pop3Settings
from posthouse.message.peer import Peer
from posthouse.ports.access import Maildrops, SessionSlots
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Counter, Log
from posthouse.ports.store import Store
from posthouse.trust.login import SaslConversation


@dataclass(frozen=True, slots=True)
class Pop3Figures:
    logins: Counter
    commands: Counter
    refused: Counter


@dataclass(frozen=True, slots=True)
class Desk:
    """`converse` gives a conversation that lets people in who may read (Scope.READ). `delays`: one for all listeners
    of the worker.
    """

    settings: Pop3Settings
    store: Store
    converse: Callable[[Peer], SaslConversation]
    slots: SessionSlots
    maildrops: Maildrops
    delays: LoginDelays
    clock: Clock
    log: Log
    figures: Pop3Figures
