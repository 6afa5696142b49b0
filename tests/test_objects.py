"""The object store: the same promises in a folder and in buckets of S3, Azure and GCS, and what is told of one that fails."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from buckets import azure_url, bucket_url, gcs_url, s3_url
from milepost.errors import Conflict, ObjectDamaged, ObjectMissing, SettingsError, StoreUnavailable
from milepost.settings import Settings
from milepost.storage.objects import ObjectStore, digest_of, object_store
from proxy import TcpProxy

pytest_plugins = ["fix_objects"]
_numbers = count(1)


@pytest.fixture(params=["folder", "s3", "azure", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore((tmp_path / "a folder").as_uri())
    return bucket_of(request, request.param)


@pytest.fixture(params=["s3", "azure", "gcs"])
def bucket(request: pytest.FixtureRequest) -> ObjectStore:
    return bucket_of(request, request.param)


def bucket_of(request: pytest.FixtureRequest, kind: str) -> ObjectStore:
    """Nothing is in it yet."""
    return ObjectStore(bucket_url(kind, request.getfixturevalue(kind), f"objects-{next(_numbers)}"))


@pytest.fixture
def wire(s3: int) -> Iterator[TcpProxy]:
    with TcpProxy(s3) as proxy:
        yield proxy


async def test_an_object_is_read_as_it_was_written_whole_and_in_part(store: ObjectStore) -> None:
    """What was put is got, listed and measured; its parts are the bytes they say."""
    data = bytes(range(256)) * 5000
    await store.put("content/1/ab/one", data)
    await store.put("other/two", b"two")
    assert await store.get("content/1/ab/one", digest=digest_of(data)) == data
    assert await store.range("content/1/ab/one", 254, 258) == b"\xfe\xff\x00\x01"
    assert b"".join([piece async for piece in store.stream("content/1/ab/one")]) == data
    found = [one async for one in store.list("content")]
    assert [(one.path, one.size) for one in found] == [("content/1/ab/one", len(data))]
    head = await store.head("other/two")
    assert head is not None and head.size == 3
    assert await store.head("other/three") is None


async def test_only_the_first_of_two_writers_writes(store: ObjectStore) -> None:
    """put_if_absent says who was first, and never overwrites; put does."""
    assert await store.put_if_absent("one", b"first")
    assert not await store.put_if_absent("one", b"second")
    assert await store.get("one") == b"first"
    await store.put("one", b"third")
    assert await store.get("one") == b"third"


async def in_pieces(*pieces: bytes, fails: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if fails:
        raise ValueError("that is enough")


async def test_what_comes_in_pieces_is_whole_or_not_there(store: ObjectStore) -> None:
    """Longer than any buffer, or cut off: then what was there before stays, and nothing beside it."""
    pieces = [bytes([n]) * 700_000 for n in range(12)]
    await store.put_pieces("one", in_pieces(*pieces))
    assert await store.get("one") == b"".join(pieces)
    with pytest.raises(ValueError, match="enough"):
        await store.put_pieces("one", in_pieces(*pieces, b"more", fails=True))
    assert await store.get("one") == b"".join(pieces)
    await store.put_pieces("one", in_pieces(b"short"))
    assert await store.get("one") == b"short"
    await store.copy("one", "files/two", size=5)
    await store.put_pieces("one", in_pieces(b"other"))
    assert (await store.beginning("files/two", 3))[2] == b"sho"
    assert [one.path async for one in store.list("")] in (["one", "files/two"], ["files/two", "one"])
    with pytest.raises(ObjectMissing):
        await store.copy("none", "three", size=1)


async def test_one_writes_an_object_in_pieces_at_a_time(tmp_path: Path) -> None:
    """In a folder, the second one is told so; what a writer that was killed has left is written over."""
    store = ObjectStore(tmp_path.as_uri())
    (tmp_path / "one.part").write_bytes(b"left by somebody who was killed, and longer than what comes")
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        begun.set()
        await go.wait()

    first = asyncio.create_task(store.put_pieces("one", slow()))
    await begun.wait()
    with pytest.raises(Conflict):
        await store.put_pieces("one", in_pieces(b"second"))
    go.set()
    await first
    assert await store.get("one") == b"first" and [one.path async for one in store.list("")] == ["one"]


async def test_deleting_what_is_gone_is_no_error(store: ObjectStore) -> None:
    """Deleting may be done again, and takes the named ones alone."""
    for path in ("a/1", "a/2", "b/1"):
        await store.put(path, b"x")
    await store.delete(["a/1", "a/none", "a/2"])
    await store.delete(["a/1"])
    assert [one.path async for one in store.list("")] == ["b/1"]


async def test_what_is_missing_or_damaged_is_named(store: ObjectStore) -> None:
    """An object that is not there, is shorter than asked for, or has other bytes, is never taken for the right one."""
    await store.put("one", b"abc")
    with pytest.raises(ObjectMissing, match="none"):
        await store.get("none")
    with pytest.raises(ObjectMissing):
        await store.range("none", 0, 1)
    with pytest.raises(ObjectDamaged) as caught:
        await store.get("one", digest=digest_of(b"abd"))
    assert caught.value.path == "one"
    with pytest.raises(ObjectDamaged):
        await store.range("one", 1, 9)


async def test_a_signed_url_reads_and_writes_for_who_has_no_credentials(bucket: ObjectStore) -> None:
    """A bucket hands out URLs, by which an object gets its type as well; a folder says that it does not."""
    assert bucket.signs
    async with httpx.AsyncClient() as anybody:
        url, headers = await bucket.presign("PUT", "one", valid_s=60), bucket.upload_headers({"Content-Type": "image/png"})
        (await anybody.put(url, content=b"uploaded", headers=headers)).raise_for_status()
        got = await anybody.get(await bucket.presign("GET", "one", valid_s=60))
        assert (got.content, got.headers["content-type"]) == (b"uploaded", "image/png")
        assert (await bucket.beginning("one", 2))[1:] == ({"Content-Type": "image/png"}, b"up")
        unsigned = (await bucket.presign("GET", "one", valid_s=60)).partition("?")[0]
        refused = (401,) if "X-Goog-Signature" in url else (400, 403)
        assert (await anybody.put(unsigned, content=b"uploaded", headers=headers)).status_code in refused
    assert not ObjectStore("file:///somewhere").signs


@pytest.mark.parametrize("kind", ["strict_s3", "azure", "gcs"])
async def test_a_wrong_secret_is_told_and_is_not_shown(request: pytest.FixtureRequest, kind: str) -> None:
    """The store refuses us: that is `StoreUnavailable`, without the secret in it."""
    port, secret = request.getfixturevalue(kind), base64.b64encode(b"not the secret" * 4).decode()
    match kind:
        case "azure":
            right, wrong = azure_url(port, folder="secret"), azure_url(port, folder="secret", key=secret)
        case "gcs":
            other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            right, wrong, secret = gcs_url(port, folder="secret"), gcs_url(port, folder="secret", key=other), "PRIVATE KEY"
        case _:
            right, wrong = s3_url(port), s3_url(port, secret=secret)
    await ObjectStore(right).put("one", b"abc")
    assert await ObjectStore(right).get("one") == b"abc"
    with pytest.raises(StoreUnavailable) as caught:
        await ObjectStore(wrong, timeout_s=3).get("one")
    assert secret not in str(caught.value)


async def test_a_silent_store_costs_no_more_than_its_time(wire: TcpProxy) -> None:
    """Who does not answer is given up on in time, and is read again once it does."""
    store = ObjectStore(s3_url(wire.port, folder="silent"), timeout_s=0.5)
    await store.put("one", b"abc")
    wire.silent = True
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.get("one")
    assert time.monotonic() - began < 2
    wire.silent = False
    wire.sever()
    assert await store.get("one") == b"abc"


async def test_a_dropped_connection_is_tried_again(wire: TcpProxy) -> None:
    """Connections that die under a call do not fail it."""
    store = ObjectStore(s3_url(wire.port, folder="dropped"))
    await store.put("one", b"abc")
    for _ in range(3):
        wire.sever()
        assert await store.get("one") == b"abc"


async def test_a_store_that_refuses_connections_is_unavailable(wire: TcpProxy) -> None:
    """And an upload that is cut off leaves nothing behind."""
    store = ObjectStore(s3_url(wire.port, folder="refused"), timeout_s=1)
    wire.cut_after = 50_000
    with pytest.raises(StoreUnavailable):
        await store.put_if_absent("large", b"x" * 500_000)
    wire.cut_after = None
    assert await store.head("large") is None
    assert await store.answers(within_s=1)
    wire.refusing = True
    wire.sever()
    assert not await store.answers(within_s=1)
    with pytest.raises(StoreUnavailable):
        await store.put("one", b"abc")


def test_the_store_of_the_settings_is_a_folder_in_the_data_folder(tmp_path: Path) -> None:
    """Without a URL; and it is one for all who ask."""
    settings = Settings(data_dir=tmp_path)
    assert object_store(settings) is object_store(settings)
    assert object_store(settings).folder == (tmp_path / "objects").resolve()


async def test_an_unknown_option_is_a_wrong_setting() -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match="object_store_url"):
        await ObjectStore("s3://bucket/?aws_regoin=here").get("one")
