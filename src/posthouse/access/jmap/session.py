"""The Session object of a login (RFC 8620 §2): what this server speaks, and what of it the login may use.

`capabilities` is the same for everybody; what an account has (`accountCapabilities`) is what the login's password is
good for. The state is a digest of all of it but the URLs' beginning, so that it is the same by whatever name the
client reached us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posthouse.access.jmap.email_changes import MAX_MAILBOXES
from posthouse.access.jmap.filters import SORT_OPTIONS
from posthouse.access.jmap.mailbox_changes import MAX_DEPTH, MAX_NAME_OCTETS
from posthouse.access.jmap.method import JmapParts
from posthouse.message.mailbox import AccountId
from posthouse.message.objectids import name_account
from posthouse.ports.login import Login, Scope
from posthouse.protocol.jmap.limits import CORE
from posthouse.protocol.jmap.session import (
    BLOB,
    MAIL,
    MDN,
    QUOTA,
    SUBMISSION,
    VACATION,
    VAPID,
    WEBSOCKET,
    Account,
    BlobCapability,
    MailCapability,
    Session,
    SubmissionCapability,
    VapidCapability,
    WebSocketCapability,
)

WEB = "urn:posthouse:web"  # what the page keeps with us: docs/jmap.md

_MAX_STATES = 10_000

# What a password must be good for, to use it. The core, and how one is told, need nothing.
SCOPES: Mapping[str, Scope] = {
    MAIL: Scope.READ,
    BLOB: Scope.READ,
    QUOTA: Scope.READ,
    MDN: Scope.READ,
    VACATION: Scope.READ,
    WEB: Scope.READ,
    SUBMISSION: Scope.SEND,
}


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """`vapid_key`: the public key of the server (RFC 9749 §3), "" without web push. `limits`: of the HTTP side by name,
    beside those of the core; 0: any number.
    """

    vapid_key: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


class SessionBuilder:
    """One per worker."""

    def __init__(self, parts: JmapParts, settings: SessionSettings | None = None) -> None:
        self._parts, self._settings = parts, settings or SessionSettings()
        self.capabilities = frozenset(self._list_capabilities(""))
        self._states: dict[tuple[AccountId, str, frozenset[Scope]], str] = {}

    def build(self, login: Login, base_url: str) -> Session:
        """`base_url`: how the client reached us, as "https://mail.example.org", without a slash at the end."""
        account = self._describe_account(login)
        number = name_account(login.account)
        session = Session(
            capabilities=self._list_capabilities(base_url),
            accounts={number: account},
            primary_accounts=dict.fromkeys(account.account_capabilities, number),
            username=login.name,
            api_url=f"{base_url}/jmap/api",
            download_url=f"{base_url}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
            upload_url=f"{base_url}/jmap/upload/{{accountId}}/",
            event_source_url=f"{base_url}/jmap/eventsource?types={{types}}&closeafter={{closeafter}}&ping={{ping}}",
            state=self.state(login) if base_url else "",
        )
        return session if base_url else session.with_state()

    def state(self, login: Login) -> str:
        """`sessionState` of each response (RFC 8620 §3.4): remembered, as it takes longer than a short request."""
        key = login.account, login.name, login.scopes
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= _MAX_STATES:
                self._states.clear()
            state = self._states[key] = self.build(login, "").state
        return state

    def _list_capabilities(self, base_url: str) -> dict[str, object]:
        socket = base_url.replace("http", "ws", 1)
        told: dict[str, object] = {
            CORE: self._parts.limits,
            **{name: {} for name in (MAIL, SUBMISSION, VACATION, BLOB, QUOTA, MDN)},
            WEB: self._settings.limits,
            WEBSOCKET: WebSocketCapability(f"{socket}/jmap/ws", supports_push=True),
        }
        if self._settings.vapid_key:
            told[VAPID] = VapidCapability(self._settings.vapid_key)
        return told

    def _describe_account(self, login: Login) -> Account:
        known = {name: value for name, value in self._of_account().items() if SCOPES[name] in login.scopes}
        return Account(login.name, True, False, known)

    def _of_account(self) -> dict[str, object]:
        parts = self._parts
        mail = MailCapability(
            max_mailboxes_per_email=MAX_MAILBOXES,
            max_mailbox_depth=MAX_DEPTH,
            max_size_mailbox_name=MAX_NAME_OCTETS,
            max_size_attachments_per_email=parts.max_message_size,
            email_query_sort_options=SORT_OPTIONS,
        )
        return {
            MAIL: mail,
            SUBMISSION: SubmissionCapability(parts.max_delayed_send_s, self._list_extensions()),
            VACATION: {},
            BLOB: BlobCapability(max_size_blob_set=parts.limits.max_size_upload),
            QUOTA: {},
            MDN: {},
            WEB: {},
        }

    def _list_extensions(self) -> dict[str, list[str]]:
        """What an envelope may ask for (RFC 8621 §1.3.2): EHLO keywords with their arguments."""
        known: dict[str, list[str]] = {"DSN": [], "SIZE": [str(self._parts.max_message_size)], "MT-PRIORITY": []}
        if self._parts.max_delayed_send_s:
            known["FUTURERELEASE"] = [str(self._parts.max_delayed_send_s)]
        return known
