"""Versions of datasets in PostgreSQL, and how they come into every process through Redis and files of the machine."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.datasets.files import CacheFiles, directory_of
from gateway.embedded.postgres import Postgres
from gateway.live import datasets as live_datasets
from gateway.live.datasets import Content, LiveDatasets, Refused, activate, deactivate, publish, rollback
from gateway.store import datasets
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis

DEADLINE_S = 30.0


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    opened = await Pool.open(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    opened = await Redis.open(valkey_url, 1)
    yield opened
    await opened.close()


class Process:
    """What one process of the gateway knows."""

    def __init__(self, redis: Redis, pool: Pool, directory: Path) -> None:
        self.live = LiveDatasets(redis, pool, directory)
        self.seen: list[tuple[int, bytes] | None] = []
        self.live.on_change("rates", self._take)

    async def _take(self, content: Content | None) -> None:
        self.seen.append(None if content is None else (content.version, bytes(content.data)))

    def version(self) -> int:
        content = self.live.current("rates")
        return content.version if content else 0


@asynccontextmanager
async def process(redis: Redis, pool: Pool, directory: Path) -> AsyncIterator[Process]:
    made = Process(redis, pool, directory)
    task = asyncio.create_task(made.live.watch(), name="watch datasets")
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled(), task.exception()


async def until(condition: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


async def put(pool: Pool, content: bytes, kind: str = "rates") -> int:
    return await datasets.put(pool, kind, [content], rows=content.count(b"\n"), who="ann", source="r.csv", note="why")


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.endswith(".lock"))


async def test_a_content_of_many_pieces_comes_back_as_it_was_put(pool: Pool) -> None:
    content = os.urandom(3 * datasets.CHUNK_BYTES + 77)
    halves = [content[:1_500_000], content[1_500_000:]]
    version = await datasets.put(pool, "rates", halves, rows=5, who="ann")
    assert b"".join([piece async for piece in datasets.content(pool, version)]) == content
    row = await datasets.row(pool, version)
    assert row is not None
    assert (row.size_bytes, row.rows, row.kind, row.active, row.kept) == (len(content), 5, "rates", False, True)


async def test_a_content_that_breaks_off_leaves_no_trace(pool: Pool) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * datasets.CHUNK_BYTES
        raise ValueError("the upload broke off")

    with pytest.raises(ValueError, match="broke off"):
        await datasets.put(pool, "rates", broken(), rows=1, who="ann")
    assert await datasets.history(pool) == []
    assert await pool.fetchval("select count(*) from dataset_chunks") == 0


async def test_the_same_content_again_is_the_same_version(pool: Pool) -> None:
    first = await put(pool, b"a\n")
    assert await put(pool, b"a\n") == first
    other_kind = await put(pool, b"a\n", "senders")
    second = await put(pool, b"b\n")
    assert len({first, other_kind, second}) == 3
    assert [row.version for row in await datasets.history(pool, "rates")] == [second, first]
    assert len(await datasets.history(pool)) == 3


async def test_activations_are_audited_and_rolled_back_kind_by_kind(pool: Pool) -> None:
    one, two, other = await put(pool, b"1\n"), await put(pool, b"2\n"), await put(pool, b"1\n", "senders")
    for version in (one, two, other):
        assert await datasets.activate(pool, version, who="ann") is not None
    back = await datasets.rollback(pool, "rates", who="ben")
    assert back is not None and back.version == one
    sender = await datasets.active(pool, "senders")
    assert sender is not None and sender.version == other
    assert await datasets.rollback(pool, "senders", who="ben") is None
    assert await datasets.activate(pool, 999, who="ben") is None
    rows = await pool.fetch("select who, what, subject from audit where what <> 'dataset.put' order by at")
    assert [tuple(row) for row in rows] == [
        ("ann", "dataset.activate", str(one)),
        ("ann", "dataset.activate", str(two)),
        ("ann", "dataset.activate", str(other)),
        ("ben", "dataset.rollback", str(one)),
    ]


async def test_old_contents_are_forgotten_but_not_the_active_one(pool: Pool) -> None:
    first = await put(pool, b"first\n")
    await datasets.activate(pool, first, who="ann")
    second = await put(pool, b"second\n")
    for number in range(datasets.KEPT):
        await put(pool, b"%d\n" % number)
    rows = {row.version: row for row in await datasets.history(pool, limit=100)}
    assert rows[first].kept and not rows[second].kept
    assert await datasets.activate(pool, second, who="ann") is None


async def test_what_is_made_active_is_in_every_process_within_a_second(
    redis: Redis, pool: Pool, tmp_path: Path
) -> None:
    async with process(redis, pool, tmp_path) as a, process(redis, pool, tmp_path) as b:
        version = await put(pool, b"a;1\n")
        await publish(pool, redis)
        await until(lambda: len(files(tmp_path)) == 1)  # fetched ahead
        assert (a.version(), b.version()) == (0, 0)
        await activate(pool, redis, version, who="ann")
        await until(lambda: a.version() == b.version() == version, 1.0)
        assert a.seen == b.seen == [(version, b"a;1\n")]
        content = a.live.current("rates")
        assert content is not None and content.path.parent == tmp_path
        assert await deactivate(pool, redis, "rates", who="ann")
        await until(lambda: a.seen[-1] is None and b.seen[-1] is None, 1.0)


async def test_a_swap_under_load_never_shows_a_mixture(redis: Redis, pool: Pool, tmp_path: Path) -> None:
    contents = {}
    for number in range(8):
        text = (b"%d;" % number) * 50_000
        contents[await put(pool, text)] = text
    async with process(redis, pool, tmp_path) as a, process(redis, pool, tmp_path) as b:
        mixed = 0

        async def look() -> None:
            nonlocal mixed
            while True:
                for live in (a.live, b.live):
                    if (content := live.current("rates")) is not None:
                        mixed += bytes(content.data) != contents[content.version]
                await asyncio.sleep(0)

        looking = asyncio.create_task(look(), name="look")
        for version in contents:
            await activate(pool, redis, version, who="ann")
            await until(lambda version=version: a.version() == b.version() == version)  # type: ignore[misc]
        looking.cancel()
        await asyncio.wait((looking,))
        assert mixed == 0
        assert [v for v, _ in a.seen] == list(contents)


async def test_files_that_nobody_has_mapped_are_removed(redis: Redis, pool: Pool, tmp_path: Path) -> None:
    one, two = await put(pool, b"1\n"), await put(pool, b"2\n")
    await activate(pool, redis, one, who="ann")
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == one)
        held = a.live.current("rates")
        await activate(pool, redis, two, who="ann")
        await until(lambda: a.version() == two)
        a.live._sweep("rates")
        assert held is not None and len(files(tmp_path)) == 2, "somebody still reads the former one"
        assert bytes(held.data) == b"1\n"
        del held
        a.live._sweep("rates")
        assert [name.partition("-v")[2].partition("-")[0] for name in files(tmp_path)] == [str(two)]


async def test_without_postgresql_what_is_on_the_machine_works_also_after_a_restart(
    redis: Redis, own_postgres: Callable[..., Awaitable[Postgres]], tmp_path: Path
) -> None:
    server = await own_postgres()
    pool = await Pool.open(server.url)
    one = await put(pool, b"1\n")
    await activate(pool, redis, one, who="ann")
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == one)
        two = await put(pool, b"2\n")
        await datasets.activate(pool, two, who="ann")
        standing = await datasets.standing(pool)
        await server.kill()
        await live_datasets.Mirror(redis).put(live_datasets.MIRROR, standing.at_us, datasets.pack(standing))
        with pytest.raises(StoreAwayError):
            await datasets.row(pool, one)
        assert a.version() == one
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == one)
        assert a.seen == [(one, b"1\n")]
        await server.start()
        await until(lambda: a.version() == two)
    await redis.link(None).call(b"FLUSHALL")
    await server.kill()
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == two)
    await pool.close()


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
async def test_a_damaged_file_is_fetched_again(redis: Redis, pool: Pool, tmp_path: Path, harm: str) -> None:
    version = await put(pool, b"one;two;three\n")
    await activate(pool, redis, version, who="ann")
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == version)
    (path,) = [path for path in tmp_path.iterdir() if path.suffix == ".csv"]
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-1], "changed": b"X" + whole[1:], "empty": b""}[harm])
    async with process(redis, pool, tmp_path) as a:
        await until(lambda: a.version() == version)
        assert a.seen == [(version, b"one;two;three\n")]
    assert path.read_bytes() == whole


async def test_a_directory_that_cannot_be_written_is_replaced_by_a_temporary_one(
    redis: Redis, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "in the way").write_text("a file")
    version = await put(pool, b"1\n")
    await activate(pool, redis, version, who="ann")
    async with process(redis, pool, tmp_path / "in the way" / "cache") as a:
        await until(lambda: a.version() == version)
        content = a.live.current("rates")
        assert content is not None
        assert stat.S_IMODE(content.path.parent.stat().st_mode) == 0o700


async def test_what_cannot_be_made_active_is_refused_in_a_sentence(redis: Redis, pool: Pool) -> None:
    assert await activate(pool, redis, 12, who="ann") == Refused(
        "unknown_dataset", "There is no version 12 of a dataset whose content is kept."
    )
    refused = await rollback(pool, redis, "rates", who="ann")
    assert isinstance(refused, Refused) and refused.code == "nothing_before"


async def test_one_process_makes_a_file_and_the_others_wait_for_it(tmp_path: Path) -> None:
    made = 0
    go = asyncio.Event()

    async def write(path: Path) -> None:
        nonlocal made
        made += 1
        await go.wait()
        path.write_bytes(b"content")

    asking = [asyncio.create_task(CacheFiles(tmp_path).make("rates-v1-ab.csv", write)) for _ in range(4)]
    await until(lambda: made == 1)
    go.set()
    assert [bytes(mapped.data) for mapped in await asyncio.gather(*asking)] == [b"content"] * 4
    assert made == 1


def test_uploads_of_killed_processes_are_removed_after_a_day(tmp_path: Path) -> None:
    for name, age_s in (("upload-old", 100_000), ("upload-new", 10)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "given").write_text("half a file")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    assert CacheFiles(tmp_path).open() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["upload-new"]


def test_an_installation_has_a_directory_of_its_own() -> None:
    one, two = directory_of("/c", "redis://:pw@h:1/0"), directory_of("/c", "redis://h:2/0")
    assert one == directory_of("/c", "redis://:other@h:1/0") != two
    assert one.parent == Path("/c")
