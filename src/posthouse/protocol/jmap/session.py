"""The Session object (RFC 8620 §2), and the capabilities of what is spoken beside the core. Pure values.

Members are written as they are here, in camel case. `state` changes with anything in it; it is made of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec

from posthouse.protocol.jmap.json import encode_json

MAIL = "urn:ietf:params:jmap:mail"
SUBMISSION = "urn:ietf:params:jmap:submission"
VACATION = "urn:ietf:params:jmap:vacationresponse"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
BLOB = "urn:ietf:params:jmap:blob"
QUOTA = "urn:ietf:params:jmap:quota"
MDN = "urn:ietf:params:jmap:mdn"
VAPID = "urn:ietf:params:jmap:webpush-vapid"


class MailCapability(msgspec.Struct, frozen=True, rename="camel"):
    """Of an account (RFC 8621 §1.3.1)."""

    max_mailboxes_per_email: int | None = None
    max_mailbox_depth: int | None = None
    max_size_mailbox_name: int = 255
    max_size_attachments_per_email: int = 50_000_000
    email_query_sort_options: Sequence[str] = ()
    may_create_top_level_mailbox: bool = True


class SubmissionCapability(msgspec.Struct, frozen=True, rename="camel"):
    """Of an account (RFC 8621 §1.3.2). `submission_extensions`: EHLO keywords and their arguments."""

    max_delayed_send: int = 0
    submission_extensions: Mapping[str, Sequence[str]] = {}


class WebSocketCapability(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8887 §3."""

    url: str
    supports_push: bool = True


class BlobCapability(msgspec.Struct, frozen=True, rename="camel"):
    """Of an account (RFC 9404 §3)."""

    max_size_blob_set: int | None = 50_000_000
    max_data_sources: int = 64
    supported_type_names: Sequence[str] = ("Email", "Mailbox", "Thread")
    supported_digest_algorithms: Sequence[str] = ("sha", "sha-256")


class VapidCapability(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 9749 §3."""

    application_server_key: str


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8620 §2. `account_capabilities`: by capability, {} where there is nothing to say."""

    name: str
    is_personal: bool
    is_read_only: bool
    account_capabilities: Mapping[str, object]


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """`download_url` has {accountId}, {blobId}, {name}, {type}; `upload_url` {accountId}; `event_source_url` {types},
    {closeafter}, {ping} (RFC 6570 level 1).
    """

    capabilities: Mapping[str, object]
    accounts: Mapping[str, Account]
    primary_accounts: Mapping[str, str]
    username: str
    api_url: str
    download_url: str
    upload_url: str
    event_source_url: str
    state: str = ""

    def as_json(self) -> bytes:
        return encode_json(self if self.state else self.with_state())

    def with_state(self) -> Session:
        """With a state that says what is in it."""
        digest = sha256(encode_json(msgspec.structs.replace(self, state=""))).hexdigest()
        return msgspec.structs.replace(self, state=digest[:16])
