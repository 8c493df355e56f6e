"""The settings of the HTTP side: JMAP and the web page. Annotations are read at run time (see settings.py)."""

from datetime import timedelta
from typing import Annotated

import msgspec

from posthouse.config.kinds import Duration, FilePath, Flag, Key, ListOf, MailAddress, Network, NetworkKind, Size, Whole

_MANY = 1_000_000


class Web(msgspec.Struct, frozen=True, kw_only=True):
    """What clients of http listeners may do. Without TLS, or a proxy that names https, people sign in from loopback
    only.
    """

    trusted_proxies: Annotated[
        tuple[Network, ...],
        Key(
            ListOf(NetworkKind()),
            "Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto count.",
            example='["127.0.0.1/32"]',
        ),
    ] = ()
    max_upload: Annotated[int, Key(Size("1K", "10G"), "Largest file taken by upload (maxSizeUpload).")] = 50_000_000
    max_request: Annotated[int, Key(Size("10K", "1G"), "Largest JMAP request (maxSizeRequest).")] = 10_000_000
    concurrent_uploads: Annotated[
        int, Key(Whole(1, 1000), "Uploads of one account at a time, in each worker (maxConcurrentUpload).")
    ] = 8
    concurrent_requests: Annotated[
        int, Key(Whole(1, 1000), "JMAP requests of one account at a time, in each worker (maxConcurrentRequests).")
    ] = 10
    requests_per_minute: Annotated[
        int, Key(Whole(0, _MANY), "JMAP requests of one account in a minute, in each worker; 0: any number.")
    ] = 3000
    remote_images: Annotated[
        bool,
        Key(
            Flag(),
            "Whether people may see pictures that messages load from elsewhere. The server fetches them, so that their "
            "senders do not see who reads.",
        ),
    ] = True
    max_image: Annotated[int, Key(Size("10K", "100M"), "Largest picture that is fetched from elsewhere.")] = 10_000_000
    streams_per_account: Annotated[
        int, Key(Whole(1, _MANY), "Event streams and WebSockets of one account, in each worker; more are 429.")
    ] = 100
    downloads_per_account: Annotated[
        int,
        Key(
            Whole(1, _MANY),
            "Downloads of one account at a time, and as many zip files of attachments, in each worker; more are 429.",
        ),
    ] = 20
    session_idle: Annotated[
        timedelta, Key(Duration("10m", "365d"), "How long a session of the page lasts when it is not used.")
    ] = timedelta(days=14)
    session_lifetime: Annotated[
        timedelta, Key(Duration("10m", "3650d"), "How long a session of the page lasts at most.")
    ] = timedelta(days=90)
    max_import: Annotated[int, Key(Size("1M", "1T"), "Largest file of mail that an account imports by the page.")] = (
        2_000_000_000
    )
    push_subscriptions: Annotated[int, Key(Whole(0, 1000), "Push subscriptions of one account; 0: no web push.")] = 20
    push_expiry: Annotated[
        timedelta, Key(Duration("1h", "365d"), "How long a push subscription lasts unless it is renewed.")
    ] = timedelta(days=30)
    push_contact: Annotated[
        str | None,
        Key(
            MailAddress(),
            "Address that push services may write to; it goes with each push (VAPID).",
            "the postmaster's",
            '"admin@example.org"',
        ),
    ] = None
    push_private_addresses: Annotated[
        bool, Key(Flag(), "Whether push URLs may lead into private networks; only for a push service of one's own.")
    ] = False
    push_ca_file: Annotated[
        str | None,
        Key(
            FilePath(),
            "PEM file of authorities that push services' certificates are checked with.",
            "the system's",
            '"/etc/posthouse/push-ca.pem"',
        ),
    ] = None
