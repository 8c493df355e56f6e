"""Blob/copy, /upload, /get and /lookup (RFC 8620 §6.3, RFC 9404)."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1, sha256
from typing import Any

import pytest

from posthouse.access.jmap.blob_methods import MAX_SOURCES
from posthouse.message.mailbox import AccountId
from tests.access.jmap_kit import Desk, Told, letter, open_desk


@pytest.fixture
async def desk() -> Desk:
    return await open_desk(letter("one"))


async def upload(desk: Desk, *sources: Told, **more: object) -> Told:
    """What became of one."""
    told = await desk.call("Blob/upload", create={"b": {"data": list(sources), **more}})
    return dict((told["created"] or told["notCreated"])["b"])


async def get(desk: Desk, blob: str, *properties: str, **more: Any) -> Told:
    told = await desk.call("Blob/get", ids=[blob], properties=list(properties) or None, **more)
    return dict(told["list"][0])


# -- copy


async def test_what_is_copied_within_the_account_keeps_its_name(desk: Desk) -> None:
    told = await desk.call("Blob/copy", fromAccountId="A7", blobIds=["B1", "B9", "x"])
    assert told["copied"] == {"B1": "B1"}
    assert {name: error["type"] for name, error in told["notCopied"].items()} == {"B9": "notFound", "x": "notFound"}


async def test_accounts_that_are_not_ones_own(desk: Desk) -> None:
    assert await desk.fail("Blob/copy", fromAccountId="A1", blobIds=["B1"]) == "fromAccountNotFound"
    assert await desk.fail("Blob/copy", fromAccountId="A7", accountId="A1", blobIds=["B1"]) == "accountNotFound"
    assert await desk.fail("Blob/upload", accountId="A1", create={}) == "accountNotFound"
    assert await desk.fail("Blob/get", accountId="A1", ids=[]) == "accountNotFound"
    assert await desk.fail("Blob/lookup", accountId="A1", ids=[], typeNames=[]) == "accountNotFound"


# -- upload


async def test_a_blob_is_put_together_of_text_base64_and_pieces_of_others(desk: Desk) -> None:
    sources: list[Told] = [
        {"data:asText": "Grüße, "},
        {"data:asBase64": b64encode(b"world").decode()},
        {"blobId": "B1", "offset": 0, "length": 6},
    ]
    made = await upload(desk, *sources, type="text/plain")
    octets = "Grüße, world".encode() + b"Return"
    assert (made["type"], made["size"]) == ("text/plain", len(octets))
    assert await get(desk, made["id"], "data:asText") == {"id": made["id"], "data:asText": octets.decode()}


async def test_a_blob_is_made_of_one_of_the_same_request(desk: Desk) -> None:
    create = {"a": {"data": [{"data:asText": "one"}]}, "b": {"data": [{"blobId": "#a"}, {"data:asText": " two"}]}}
    told = await desk.call("Blob/upload", create=create)
    assert told["created"]["b"]["size"] == 7
    assert desk.created == {name: made["id"] for name, made in told["created"].items()}


async def test_an_empty_blob_of_no_type(desk: Desk) -> None:
    made = await upload(desk)
    assert (made["type"], made["size"]) == (None, 0)


@pytest.mark.parametrize(
    "sources",
    [
        [{}],
        [{"data:asText": "a", "data:asBase64": "YQ=="}],
        [{"data:asBase64": "no base64!"}],
        [{"data:asText": "a", "offset": 0}],
        [{"blobId": "B1", "offset": 0, "length": 100_000}],
        [{"blobId": "B1", "offset": 100_000}],
        [{"unknown": "a"}],
        [{"data:asText": "x"}] * (MAX_SOURCES + 1),
    ],
)
async def test_sources_that_are_none(desk: Desk, sources: list[Told]) -> None:
    assert (await upload(desk, *sources))["type"] == "invalidProperties"


async def test_a_source_that_is_not_there(desk: Desk) -> None:
    assert await upload(desk, {"blobId": "B9"}) == {"type": "blobNotFound", "notFound": ["B9"]}
    assert (await upload(desk, {"blobId": "#never"}))["type"] == "blobNotFound"


async def test_more_than_an_upload_may_have(desk: Desk) -> None:
    most = desk.parts.limits.max_size_upload
    piece = (await upload(desk, {"data:asText": "x" * 5_000_000}))["id"]
    error = await upload(desk, *[{"blobId": piece}] * (most // 5_000_000 + 1))
    assert (error["type"], error["maxSize"]) == ("tooLarge", most)


async def test_more_than_an_account_may_have_lying_here(desk: Desk) -> None:
    desk.parts.uploads.is_full = True  # type: ignore[attr-defined]
    assert (await upload(desk, {"data:asText": "x"}))["type"] == "overQuota"


async def test_too_many_in_one_call(desk: Desk) -> None:
    create: Told = {f"b{number}": {"data": []} for number in range(501)}
    assert await desk.fail("Blob/upload", create=create) == "requestTooLarge"
    assert await desk.fail("Blob/get", ids=["B1"] * 501) == "requestTooLarge"


# -- get


async def test_data_is_text_where_it_can_be_and_size_is_of_all(desk: Desk) -> None:
    text = (await upload(desk, {"data:asText": "Grüße"}))["id"]
    assert await get(desk, text) == {"id": text, "data:asText": "Grüße", "size": 7}
    assert await get(desk, text, "data:asBase64") == {"id": text, "data:asBase64": "R3LDvMOfZQ=="}


async def test_octets_that_are_no_text(desk: Desk) -> None:
    blob = (await upload(desk, {"data:asBase64": "/w=="}))["id"]
    assert await get(desk, blob, "data") == {"id": blob, "data:asBase64": "/w==", "isEncodingProblem": True}
    assert await get(desk, blob, "data:asText") == {"id": blob, "data:asText": None, "isEncodingProblem": True}


async def test_a_piece_of_a_blob_and_one_that_ends_early(desk: Desk) -> None:
    blob = (await upload(desk, {"data:asText": "0123456789"}))["id"]
    assert await get(desk, blob, offset=2, length=3) == {"id": blob, "data:asText": "234", "size": 10}
    short = await get(desk, blob, offset=8, length=5)
    assert short == {"id": blob, "data:asText": "89", "size": 10, "isTruncated": True}
    beyond = await get(desk, blob, "size", offset=11)
    assert beyond == {"id": blob, "size": 10, "isTruncated": True}


async def test_digests_are_of_the_piece(desk: Desk) -> None:
    blob = (await upload(desk, {"data:asText": "0123456789"}))["id"]
    told = await get(desk, blob, "digest:sha", "digest:sha-256", offset=2, length=3)
    assert told["digest:sha"] == b64encode(sha1(b"234").digest()).decode()
    assert told["digest:sha-256"] == b64encode(sha256(b"234").digest()).decode()


async def test_blobs_that_are_not_there_and_properties_there_are_not(desk: Desk) -> None:
    upload = await desk.parts.uploads.begin(AccountId(8), "text/plain").finish()
    ids = ["B9", "x", f"U{upload.id}"]
    assert (await desk.call("Blob/get", ids=ids))["notFound"] == ids
    assert await desk.fail("Blob/get", ids=["B1"], properties=["digest:md5"]) == "invalidArguments"


async def test_too_much_for_one_answer(desk: Desk) -> None:
    piece = (await upload(desk, {"data:asText": "x" * 5_000_000}))["id"]
    large = (await upload(desk, *[{"blobId": piece}] * 10))["id"]
    other = (await upload(desk, {"data:asText": "x"}))["id"]
    assert await desk.fail("Blob/get", ids=[large, other], properties=["size"]) == "requestTooLarge"


# -- lookup


async def test_where_a_blob_is_used(desk: Desk) -> None:
    told = await desk.call("Blob/lookup", ids=["B1", "B1-1"], typeNames=["Email", "Thread", "Mailbox"])
    matched = {"Email": ["M7-1"], "Thread": ["T7-1"], "Mailbox": ["F7-1"]}
    assert told["list"] == [{"id": "B1", "matchedIds": matched}, {"id": "B1-1", "matchedIds": matched}]


async def test_what_is_used_nowhere_or_is_not_there_is_in_nothing(desk: Desk) -> None:
    blob = (await upload(desk, {"data:asText": "x"}))["id"]
    told = await desk.call("Blob/lookup", ids=[blob, "B9", "B1-7", "x"], typeNames=["Email"])
    assert [found["matchedIds"] for found in told["list"]] == [{"Email": []}] * 4


async def test_types_that_have_no_blobs(desk: Desk) -> None:
    assert await desk.fail("Blob/lookup", ids=["B1"], typeNames=["Quota"]) == "unknownDataType"
