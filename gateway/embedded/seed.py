"""What a new data directory gets: the sandbox carrier's place and password, the sample plan, a first key.

In: a data directory, running servers. Out: files in the directory, rows in PostgreSQL. Never: touches a plan or a key
that is already there.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import msgspec

from gateway.api.keyring import publish
from gateway.embedded.address import check_free
from gateway.embedded.child import StartError
from gateway.embedded.datadir import DataDir
from gateway.store import keys
from gateway.store.pool import Pool
from gateway.streams.link import Redis

WANTED = {"smpp": "127.0.0.1:2775", "control": "127.0.0.1:2776"}
ANY_PORT = "127.0.0.1:0"
FIRST_CLIENT = "first"


def sandbox_password(directory: DataDir) -> Path:
    """The file with the sandbox carrier's password; SMPP 3.4 allows eight characters."""
    path = directory.secrets / "sandbox"
    if not path.exists():
        directory.write_private(path, secrets.token_hex(4) + "\n")
    return path


def sandbox_addresses(directory: DataDir) -> tuple[str, str]:
    """Where the sandbox carrier was last time, else its usual ports, else free ones."""
    known = _remembered(directory)
    smpp, control = (known.get(name, wanted) for name, wanted in WANTED.items())
    return _or_any(smpp), _or_any(control)


def remember_sandbox(directory: DataDir, said: dict[str, Any]) -> None:
    """Keep its addresses for the next start."""
    directory.write_private(_sandbox_file(directory), msgspec.json.encode(said).decode() + "\n")


def _sandbox_file(directory: DataDir) -> Path:
    return directory.path / "sandbox.json"


def _remembered(directory: DataDir) -> dict[str, str]:
    try:
        return msgspec.json.decode(_sandbox_file(directory).read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _or_any(address: str) -> str:
    try:
        check_free(address)
    except StartError:
        return ANY_PORT
    return address


async def first_key(directory: DataDir, pool: Pool, redis_url: str, shards: int, url: str) -> None:
    """Write client.env with the gateway's URL and a key; a key that is there and works stays."""
    secret = _written_key(directory)
    known = {key.hash for key in await _live(pool)}
    if not secret or keys.hash_of(secret) not in known:
        _, secret = await keys.create_key(pool, FIRST_CLIENT, who="sluice up", name="client.env", scopes=keys.SCOPES)
        redis = await Redis.open(redis_url, shards)
        try:
            await publish(pool, redis)
        finally:
            await redis.close()
    directory.write_private(directory.client_env, f"SLUICE_URL={url}\nSLUICE_KEY={secret}\n")


async def _live(pool: Pool) -> list[keys.Key]:
    async with pool.transaction() as connection:
        return await keys.live_keys(connection)


def _written_key(directory: DataDir) -> str:
    try:
        lines = directory.client_env.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("SLUICE_KEY=")), "")
