"""JMAP as other people's clients speak it: jmapc and jmaplib, over https, against the running server."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jmapc
import jmapc.methods as asked
import pytest
import trustme
from jmap.auth import BasicAuth
from jmap.client import JMAPClient
from jmap.core.ids import CreationRef
from jmap.core.patch import keyword_patch, mailbox_patch
from jmap.push import EventSourceClient, Ping
from jmap.sync import ChangeStream

from posthouse.app.demo_server import running
from tests.browser.house import House, _free_ports, make_server, seed, settle
from tests.browser.letters import ANN, BOB

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

METHODS = (
    "Email/get",
    "Email/query",
    "Email/queryChanges",
    "Email/set",
    "Email/import",
    "Email/parse",
    "Email/copy",
    "SearchSnippet/get",
    "Mailbox/get",
    "Mailbox/query",
    "Mailbox/queryChanges",
    "Mailbox/changes",
    "Mailbox/set",
    "Thread/get",
    "Thread/changes",
    "Identity/get",
    "Identity/changes",
    "Identity/set",
    "EmailSubmission/get",
    "EmailSubmission/query",
    "EmailSubmission/set",
    "VacationResponse/get",
    "VacationResponse/set",
    "Quota/get",
    "Quota/changes",
    "Quota/query",
    "Blob/upload",
    "Blob/get",
    "Blob/lookup",
    "Blob/copy",
    "MDN/send",
    "MDN/parse",
    "PushSubscription/get",
    "PushSubscription/set",
)
T = TypeVar("T")


@dataclass(frozen=True)
class Secured:
    """`host` speaks https with a certificate of the authority in `ca`."""

    house: House
    host: str
    ca: Path

    @property
    def url(self) -> str:
        return f"https://{self.host}/.well-known/jmap"


@contextlib.contextmanager
def secured(directory: Path) -> Iterator[Secured]:
    """In a loop and a thread of its own: the clients block."""
    authority, (port,) = trustme.CA(), _free_ports(1)
    files = [directory / name for name in ("ca.pem", "cert.pem", "key.pem")]
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(files[0])
    files[1].write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(files[2])
    server = make_server(directory / "house")
    settle(server)
    server.config.write_text(
        server.config.read_text()
        + f'\n[tls]\ncertificate = "{files[1]}"\nkey = "{files[2]}"\n'
        + f'[[listener]]\nservice = "http"\nbind = "127.0.0.1:{port}"\ntls = "implicit"\n'
    )
    started: queue.Queue[BaseException | None] = queue.Queue()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        try:
            async with running(server):
                await seed(server)
                started.put(None)
                await done.wait()
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    error = started.get(timeout=90)
    if error is not None:
        raise error
    try:
        yield Secured(House(server), f"127.0.0.1:{port}", files[0])
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("jmap")) as server:
        yield server


@pytest.fixture(autouse=True)
def _trusted(place: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(place.ca))


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    pause = threading.Event()
    for _ in range(int(seconds / 0.1)):
        found = look()
        if found:
            return found
        pause.wait(0.1)
    raise AssertionError(f"waited in vain until {what}")


# -- jmapc


@pytest.fixture
def ann(place: Secured) -> jmapc.Client:
    return jmapc.Client.create_with_password(place.host, ANN, place.house.password())


def roles_of(client: jmapc.Client) -> dict[str, str]:
    found = client.request(asked.MailboxGet(ids=None))
    assert isinstance(found, asked.MailboxGetResponse)
    return {box.role: box.id for box in found.data if box.role and box.id}


def test_jmapc_reads_the_session_and_finds_mail(ann: jmapc.Client) -> None:
    assert ann.jmap_session.username == ANN
    inbox = roles_of(ann)["inbox"]
    answers = ann.request(
        [
            asked.EmailQuery(
                filter=jmapc.EmailQueryFilterCondition(in_mailbox=inbox),
                sort=[jmapc.Comparator(property="receivedAt", is_ascending=False)],
                limit=5,
            ),
            asked.EmailGet(ids=jmapc.Ref("/ids"), properties=["subject", "from", "receivedAt", "threadId"]),
            asked.ThreadGet(ids=jmapc.Ref("/list/*/threadId")),
        ]
    )
    found, emails, threads = [each.response for each in answers]
    assert isinstance(found, asked.EmailQueryResponse) and isinstance(emails, asked.EmailGetResponse)
    assert isinstance(threads, asked.ThreadGetResponse)
    assert [email.id for email in emails.data] == found.ids and len(found.ids or ()) == 5
    received = [email.received_at for email in emails.data if email.received_at]
    assert received == sorted(received, reverse=True)
    listed = {email_id for thread in threads.data for email_id in thread.email_ids}
    assert listed.issuperset(found.ids or ())


def test_jmapc_uploads_a_file_writes_a_draft_and_sends_it(place: Secured, ann: jmapc.Client, tmp_path: Path) -> None:
    file = tmp_path / "figures.csv"
    file.write_bytes(b"a,b\r\n1,2\r\n" * 500)
    blob = ann.upload_blob(file)
    boxes, identities = roles_of(ann), ann.request(asked.IdentityGet())
    assert isinstance(identities, asked.IdentityGetResponse)
    draft = jmapc.Email(
        mail_from=[jmapc.EmailAddress(name="Ann", email=ANN)],
        to=[jmapc.EmailAddress(name="Bob", email=BOB)],
        subject="Figures by jmapc",
        keywords={"$draft": True},
        mailbox_ids={boxes["drafts"]: True},
        body_values={"body": jmapc.EmailBodyValue(value="They are attached.\n")},
        text_body=[jmapc.EmailBodyPart(part_id="body", type="text/plain")],
        attachments=[jmapc.EmailBodyPart(blob_id=blob.id, name=file.name, type="text/csv", disposition="attachment")],
    )
    answers = ann.request(
        [
            asked.EmailSet(create={"draft": draft}),
            asked.EmailSubmissionSet(
                on_success_update_email={
                    "#send": {f"mailboxIds/{boxes['sent']}": True, f"mailboxIds/{boxes['drafts']}": None}
                    | {"keywords/$draft": None}
                },
                create={"send": jmapc.EmailSubmission(email_id="#draft", identity_id=identities.data[0].id)},
            ),
        ]
    )
    made, sent, moved = [each.response for each in answers]
    assert isinstance(made, asked.EmailSetResponse) and made.created and not made.not_created
    assert isinstance(sent, asked.EmailSubmissionSetResponse) and sent.created and not sent.not_created
    assert isinstance(moved, asked.EmailSetResponse) and moved.updated
    bob = jmapc.Client.create_with_password(place.host, BOB, place.house.password(BOB))

    def look() -> jmapc.Email | None:
        answers = bob.request(
            [
                asked.EmailQuery(filter=jmapc.EmailQueryFilterCondition(mail_from=ANN)),
                asked.EmailGet(ids=jmapc.Ref("/ids"), properties=["subject", "attachments", "hasAttachment"]),
            ]
        )
        emails = answers[1].response
        assert isinstance(emails, asked.EmailGetResponse)
        return emails.data[0] if emails.data else None

    arrived = wait_for(look, "Bob has it")
    assert arrived.has_attachment and arrived.attachments
    bob.download_attachment(arrived.attachments[0], tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_bytes() == file.read_bytes()


def test_jmapc_hears_of_errors_by_name(ann: jmapc.Client) -> None:
    answer = ann.request(asked.EmailChanges(since_state="nonsense"))
    assert isinstance(answer, jmapc.methods.Response | jmapc.errors.Error)
    assert getattr(answer, "type", "") == "cannotCalculateChanges"


# -- jmaplib


@pytest.fixture
def lib(place: Secured) -> Iterator[Any]:
    with JMAPClient.connect(place.url, auth=BasicAuth(ANN, place.house.password())) as client:
        yield client


def list_boxes(client: Any) -> dict[str, Any]:
    with client.batch() as batch:
        found = batch.mail.mailbox.get(ids=None)
    return {box.role: box for box in found.result.items if box.role}


def test_jmaplib_finds_every_capability_it_knows_of_mail(lib: Any) -> None:
    for method in METHODS:
        assert lib.capabilities.supports(method), method
    assert lib.echo(hello=["world"]) == {"hello": ["world"]}


def test_jmaplib_searches_flags_moves_and_follows_the_changes(lib: Any) -> None:
    boxes = list_boxes(lib)
    with lib.batch() as batch:
        found = batch.mail.email.query(
            filter={"inMailbox": boxes["inbox"].id}, sort=[{"property": "receivedAt"}], limit=3, calculate_total=True
        )
        emails = batch.mail.email.get(ids=found.ref_ids(), properties=["subject", "keywords", "mailboxIds", "preview"])
        snippets = batch.mail.search_snippet.get(filter={"text": "the"}, email_ids=found.ref_ids())
    assert found.result.total >= 3 and len(emails.result.items) == 3 and len(snippets.result.items) == 3
    stream = ChangeStream(lib, "Email")
    stream.seed(emails.result.state)
    one, two = emails.result.items[0].id, emails.result.items[1].id
    patch = keyword_patch(add=["$flagged", "project"]) | mailbox_patch(
        add=[boxes["archive"].id], remove=[boxes["inbox"].id]
    )
    with lib.batch() as batch:
        changed = batch.mail.email.set(update={one: patch}, destroy=[two])
    assert not changed.result.has_errors
    news = stream.catch_up()
    assert one in news.updated and two in news.destroyed
    with lib.batch() as batch:
        again = batch.mail.email.get(ids=[one, two], properties=["keywords", "mailboxIds"])
    [left] = again.result.items
    assert left.keywords["project"] and list(left.mailbox_ids) == [boxes["archive"].id]
    assert again.result.not_found == [two]


def test_jmaplib_sends_later_and_takes_it_back(lib: Any) -> None:
    boxes = list_boxes(lib)
    with lib.batch() as batch:
        identities = batch.submission.identity.get(ids=None)
    identity = identities.result.items[0]
    draft = {
        "mailboxIds": {boxes["drafts"].id: True},
        "keywords": {"$draft": True},
        "from": [{"email": identity.email, "name": identity.name}],
        "to": [{"email": BOB}],
        "subject": "Not yet",
        "textBody": [{"partId": "body", "type": "text/plain"}],
        "bodyValues": {"body": {"value": "Tomorrow."}},
    }
    envelope = {"mailFrom": {"email": ANN, "parameters": {"HOLDFOR": "86400"}}, "rcptTo": [{"email": BOB}]}
    with lib.batch() as batch:
        batch.mail.email.set(create={"draft": draft})
        sent = batch.submission.email_submission.set(
            create={"send": {"identityId": identity.id, "emailId": CreationRef("draft"), "envelope": envelope}}
        )
    assert not sent.result.has_errors, sent.result.creation_errors
    submission = sent.result.created_id("send")
    with lib.batch() as batch:
        told = batch.submission.email_submission.get(ids=[submission])
    assert told.result.items[0].undo_status == "pending"
    with lib.batch() as batch:
        undone = batch.submission.email_submission.set(update={submission: {"undoStatus": "canceled"}})
    assert not undone.result.has_errors
    with lib.batch() as batch:
        told = batch.submission.email_submission.get(ids=[submission])
    assert told.result.items[0].undo_status == "canceled"


def test_jmaplib_uploads_and_reads_pieces_of_blobs(lib: Any) -> None:
    octets = bytes(range(256)) * 300
    upload = lib.upload(octets, content_type="application/octet-stream")
    assert lib.download(upload.blob_id, name="x.bin", content_type="application/octet-stream") == octets
    with lib.batch() as batch:
        piece = batch.blob.blob.get(ids=[upload.blob_id], properties=["data:asBase64", "size"], length=3)
        quota = batch.quota.quota.get(ids=None)
    [blob] = piece.result.items
    assert (blob.size, blob.data) == (len(octets), octets[:3])
    assert quota.result.not_found == []


def test_jmaplib_hears_of_new_mail_by_the_event_source(place: Secured, lib: Any) -> None:
    heard: queue.Queue[Any] = queue.Queue()

    def listen() -> None:
        for event in EventSourceClient(lib, types=("Email", "Mailbox"), ping=5).listen():
            heard.put(event)
            if not isinstance(event, Ping):
                return

    threading.Thread(target=listen, daemon=True).start()
    heard.get(timeout=40)  # the first ping: it listens
    inbox = list_boxes(lib)["inbox"].id
    upload = lib.upload(b"Subject: news\r\n\r\nNow.\r\n", content_type="message/rfc822")
    imported = lib.call("Email/import", {"emails": {"n": {"blobId": upload.blob_id, "mailboxIds": {inbox: True}}}})
    assert imported["created"]["n"]["id"]
    event = heard.get(timeout=20)
    while isinstance(event, Ping):
        event = heard.get(timeout=20)
    changed = next(iter(event.outdated({}).values())) if not getattr(event, "changed", None) else event.changed
    assert "Email" in str(changed)


def test_a_wrong_password_is_refused(place: Secured) -> None:
    client = jmapc.Client.create_with_password(place.host, ANN, "guess")
    with pytest.raises(Exception, match="401"):
        _ = client.jmap_session
