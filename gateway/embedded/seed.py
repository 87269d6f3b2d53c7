"""What a new data directory gets: the sandbox carrier's place and password, the sample plan, a first key.

In: a data directory, running servers. Out: files in the directory, rows in PostgreSQL. Never: touches a plan or a key
that is already there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.embedded.address import ANY_PORT, check_free, parse
from gateway.embedded.child import StartError
from gateway.embedded.datadir import DataDir
from gateway.embedded.sample_plan import sample
from gateway.live.keys import publish
from gateway.plan.document import Carrier, Plan
from gateway.plan.parse import parse as parse_plan
from gateway.store import keys, plans
from gateway.store.pool import Pool
from gateway.streams.link import Redis

FIRST_CLIENT = "first"
WHO = "sluice up"


def sandbox_password(directory: DataDir) -> Path:
    """The file with the sandbox carrier's password; SMPP 3.4 allows eight characters."""
    path = directory.secrets / "sandbox"
    if not path.exists():
        directory.write_private(path, secrets.token_hex(4) + "\n")
    return path


def callback_token(directory: DataDir) -> Path:
    """The file with the word that the web carrier's webhooks prove themselves by."""
    path = directory.secrets / "web-callbacks"
    if not path.exists():
        directory.write_private(path, secrets.token_hex(16) + "\n")
    return path


class Sandbox(msgspec.Struct, frozen=True):
    """Where the sandbox carrier speaks SMPP, where it shows its phones, and where it is reached by HTTP."""

    smpp: str = "127.0.0.1:2775"
    control: str = "127.0.0.1:2776"
    web: str = "127.0.0.1:2777"

    @classmethod
    def told(cls, said: Mapping[str, str]) -> Sandbox:
        """From the line that `sluice sandbox` prints."""
        return cls(said["smpp"], said["control"].removeprefix("http://"), said["web"].removeprefix("http://"))

    def free(self) -> Sandbox:
        """The same, with any port in place of one that is taken."""
        return Sandbox(_or_any(self.smpp), _or_any(self.control), _or_any(self.web))


def _or_any(address: str) -> str:
    try:
        check_free(address)
    except StartError:
        return ANY_PORT
    return address


def recall_sandbox(directory: DataDir) -> Sandbox:
    """Where it was last time; its usual place the first time."""
    try:
        return msgspec.json.decode(_sandbox_file(directory).read_bytes(), type=Sandbox)
    except (FileNotFoundError, msgspec.DecodeError):
        return Sandbox()


def remember_sandbox(directory: DataDir, sandbox: Sandbox) -> None:
    """Keep its place for the next start."""
    directory.write_private(_sandbox_file(directory), msgspec.json.encode(sandbox).decode() + "\n")


def _sandbox_file(directory: DataDir) -> Path:
    return directory.path / "sandbox.json"


async def sample_plan(directory: DataDir, pool: Pool, redis: Redis, sandbox: Sandbox) -> str:
    """Make the sample plan live when no plan is, and again when the live one is ours and the sandbox has moved. What an
    older release made stays as it is while it leads to the sandbox."""
    document = _sample(directory, sandbox)
    active = await plans.active(pool)
    if active is not None and (_leads_there(active.document, document) or not await _is_ours(pool, active.version)):
        return f"version {active.version}"  # the processes publish it
    from gateway.live import plan as live_plan  # only a first start, or one after a move, takes the time to check plans

    version = await plans.draft(pool, document, who=WHO, note="the sample: everything to the sandbox carrier")
    live = await live_plan.activate(pool, redis, version, who=WHO)
    if isinstance(live, live_plan.Refused):
        raise StartError(f"the sample plan was refused: {live.sentence}")
    return f"version {version}: the sample, everything to the sandbox carrier"


async def _is_ours(pool: Pool, version: int) -> bool:
    row = await plans.row(pool, version)
    return row is not None and row.created_by == WHO


def _sample(directory: DataDir, sandbox: Sandbox) -> str:
    host, port = parse(sandbox.smpp)
    return sample(host, port, str(sandbox_password(directory)), sandbox.web, str(callback_token(directory)))


def _leads_there(live: str, document: str) -> bool:
    """Whether each carrier of the live plan is where the carrier of that name is now."""
    if live == document:
        return True
    plan, ours = parse_plan(live), parse_plan(document)
    assert isinstance(ours, Plan)
    if not isinstance(plan, Plan):
        return False
    places = {carrier.name: _place(carrier) for carrier in ours.carriers}
    return all(places.get(carrier.name) == _place(carrier) for carrier in plan.carriers)


def _place(carrier: Carrier) -> tuple[object, ...]:
    return tuple(carrier.settings.get(name) for name in ("host", "port", "url"))


async def first_key(directory: DataDir, pool: Pool, redis: Redis) -> str:
    """A key that works: the one in client.env, else a new one."""
    secret = _written_key(directory)
    if secret and keys.hash_of(secret) in {key.hash for key in await _live(pool)}:
        await publish(pool, redis)
        return secret
    _, secret = await keys.create_key(pool, FIRST_CLIENT, who=WHO, name="client.env", scopes=keys.SCOPES)
    await publish(pool, redis)
    return secret


def write_client_env(directory: DataDir, url: str, secret: str, metrics: Mapping[str, str]) -> None:
    """Where `sluice send`, `trace` and `top` look when nothing else is said; a shell can read it too.

    `metrics`: each process' page of metrics, by the process' name.
    """
    pages = ",".join(f"{name}={page}" for name, page in metrics.items())
    lines = {"SLUICE_URL": url, "SLUICE_KEY": secret, "SLUICE_METRICS": pages}
    directory.write_private(directory.client_env, "".join(f"{name}={value}\n" for name, value in lines.items()))


async def _live(pool: Pool) -> list[keys.Key]:
    async with pool.transaction() as connection:
        return await keys.live_keys(connection)


def _written_key(directory: DataDir) -> str:
    try:
        lines = directory.client_env.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return ""
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("SLUICE_KEY=")), "")
