"""`sluice keys`: clients' keys, by the API with an admin's key, or in PostgreSQL and Redis themselves.

In: what a key may do. Out: its secret, once, on standard output. Never: a secret in a list.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from gateway.commands.client import Client, print_json
from gateway.commands.settings import names_servers, read_settings
from gateway.commands.tables import Column, show
from gateway.commands.teaching import EITHER, lesson
from gateway.commands.times import clock
from gateway.live.keys import publish
from gateway.message import CLASSES
from gateway.store import keys
from gateway.store.pool import Pool, StoreAwayError
from gateway.streams.link import Redis, RedisAwayError, ScriptError

T = TypeVar("T")

_SPAN = re.compile(r"(\d+)([hd])")
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of sentences.")
_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="SLUICE_CONFIG",
    help="A sluice.toml: reach PostgreSQL and Redis themselves, not the API.",
)


@click.group(
    "keys",
    epilog=lesson(
        "sluice keys create --client shop --scopes send,read",
        "sluice keys list",
        "sluice keys revoke key_5f3a",
        source=f"The key needs the scope admin. {EITHER}",
    ),
)
def command() -> None:
    """Clients' keys. The first one of an installation is made on the servers themselves."""


@command.command(
    "create",
    epilog=lesson(
        "sluice keys create --client shop --name web --expires 90d",
        "sluice keys create --client shop --test       # to try: sandbox carriers only",
        "sluice keys create --client noc --scopes read,stats,ops",
        "KEY=$(sluice keys create --client shop 2>/dev/null)",
        source=EITHER,
    ),
)
@click.option("--client", required=True, help="The application that gets it; made when it is new.")
@click.option("--name", default="", help="A note for people.")
@click.option("--scopes", default="send,read,stats", show_default=True, help=f"Of {', '.join(keys.SCOPES)}.")
@click.option("--classes", default=",".join(CLASSES), show_default=True, help="What it may send.")
@click.option("--networks", default="", help="Where it may be used from, such as 10.0.0.0/8; everywhere if not given.")
@click.option("--expires", metavar="SPAN", help="Such as 12h or 90d.")
@click.option("--test", is_flag=True, help="Its messages go to sandbox carriers only.")
@_JSON
@_CONFIG
def create(client: str, as_json: bool, config: Path | None, **options: Any) -> None:
    """Make a key. Its secret is shown once."""
    wanted = {
        "name": options["name"],
        "scopes": _names(options["scopes"]),
        "classes": _names(options["classes"]),
        "networks": _names(options["networks"]),
        "test": options["test"],
    }
    expires_ms = _expiry(options["expires"]) if options["expires"] else None
    if _by_servers(config):

        async def work(pool: Pool, redis: Redis) -> tuple[str, str]:
            made = await keys.create_key(pool, client, who=_who(), expires_ms=expires_ms, **wanted)
            await publish(pool, redis)
            return made

        key_id, secret = _run(config, work)
    else:
        expires_at = datetime.fromtimestamp(expires_ms / 1000, UTC).isoformat() if expires_ms else None
        made = Client().post("/v1/keys", {"client": client, "expires_at": expires_at, **wanted})
        key_id, secret = made["id"], made["secret"]
    if as_json:
        print_json({"id": key_id, "client": client, "secret": secret})
        return
    click.echo(f"{key_id} for {client}. Keep the secret, it cannot be shown again:", err=True)
    click.echo(secret)


@command.command("list", epilog=lesson("sluice keys list", "sluice keys list --json", source=EITHER))
@_JSON
@_CONFIG
def list_(as_json: bool, config: Path | None) -> None:
    """Every key, oldest first."""
    if _by_servers(config):

        async def work(pool: Pool, _: Redis) -> list[keys.KeyRow]:
            return await keys.list_keys(pool)

        found = [_document(row) for row in _run(config, work)]
    else:
        found = Client().get("/v1/keys")["keys"]
    if as_json:
        print_json({"keys": found})
        return
    columns = [Column("id", whole=True), Column("client", whole=True), Column("state", whole=True), Column("scopes")]
    columns += [Column("classes"), Column("networks"), Column("created"), Column("name")]
    show(columns, [_cells(key) for key in found])


@command.command("revoke", epilog=lesson("sluice keys revoke key_5f3a", source=EITHER))
@click.argument("key_id", metavar="ID")
@_JSON
@_CONFIG
def revoke(key_id: str, as_json: bool, config: Path | None) -> None:
    """End a key for good, everywhere within a second."""
    if _by_servers(config):

        async def work(pool: Pool, redis: Redis) -> list[keys.KeyRow]:
            await keys.revoke_key(pool, key_id, who=_who())
            await publish(pool, redis)
            return [row for row in await keys.list_keys(pool) if row.id == key_id]

        rows = _run(config, work)
        if not rows:
            raise click.ClickException(f"there is no key {key_id}: sluice keys list")
        found = _document(rows[0])
    else:
        found = Client().post(f"/v1/keys/{key_id}/revoke")
    if as_json:
        print_json(found)
    else:
        click.echo(f"{key_id} of {found['client']} is revoked.")


@command.command(
    "quota",
    epilog=lesson(
        "sluice keys quota                              # every client's",
        "sluice keys quota shop --per-second 100 --burst 500",
        "sluice keys quota shop --per-second 0          # no limit",
        "sluice keys quota shop --default               # what the settings say",
        source="The key needs the scope admin.",
    ),
)
@click.argument("client", required=False)
@click.option("--per-second", type=float, metavar="N", help="Messages a second, on average; 0: no limit.")
@click.option("--burst", type=int, metavar="N", help="How many at once; a second's if not given.")
@click.option("--default", "by_settings", is_flag=True, help="Take the client's own quota away.")
@_JSON
def quota(client: str | None, per_second: float | None, burst: int | None, by_settings: bool, as_json: bool) -> None:
    """How fast each client may send, or give a client its quota: it counts everywhere within a second."""
    if client is None:
        if per_second is not None or burst is not None or by_settings:
            raise click.UsageError("Whose quota? sluice keys quota CLIENT --per-second N")
        found = Client().get("/v1/clients")["clients"]
    elif by_settings is (per_second is not None):
        raise click.UsageError("Say how much: --per-second N, or --default for what the settings say.")
    else:
        path = f"/v1/clients/{quote(client, safe='')}/quota"
        found = [Client().post(path, {"messages_per_s": per_second, "burst": burst or 0})]
    if as_json:
        print_json({"clients": found} if client is None else found[0])
        return
    columns = [
        Column("client", whole=True),
        Column("messages/s", right=True),
        Column("burst", right=True),
        Column("keys", right=True),
    ]
    show(columns, [_quota_cells(one) for one in found])


def _quota_cells(client: dict[str, Any]) -> tuple[str, ...]:
    rate = client["messages_per_s"]
    words = "by the settings" if rate is None else "no limit" if not rate else f"{rate:g}"
    return client["name"], words, str(client["burst"] or "") if rate else "", str(client["keys"])


def _by_servers(config: Path | None) -> bool:
    return names_servers(config)


def _run(config: Path | None, work: Callable[[Pool, Redis], Awaitable[T]]) -> T:
    """Do it on the servers themselves, or end with one line."""
    settings = read_settings(config)

    async def run() -> T:
        redis = await Redis.open(settings.redis_url, settings.shards)
        pool = await Pool.open(settings.postgres_url, size=1)
        try:
            return await work(pool, redis)
        finally:
            await pool.close()
            await redis.close()

    try:
        return asyncio.run(run())
    except (StoreAwayError, RedisAwayError, ScriptError, keys.KeyRefusedError) as e:
        raise click.ClickException(str(e)) from e


def _document(row: keys.KeyRow) -> dict[str, Any]:
    times = {"created_at": row.created_ms, "expires_at": row.expires_ms, "revoked_at": row.revoked_ms}
    return {
        **{name: getattr(row, name) for name in ("id", "client", "name", "scopes", "classes", "networks", "test")},
        **{n: datetime.fromtimestamp(ms / 1000, UTC).isoformat() if ms else None for n, ms in times.items()},
    }


def _cells(key: dict[str, Any]) -> tuple[str, ...]:
    classes = "all" if set(key["classes"]) == set(CLASSES) else ", ".join(key["classes"])
    scopes = "all" if set(key["scopes"]) == set(keys.SCOPES) else ", ".join(key["scopes"])
    networks = ", ".join(key["networks"]) or "everywhere"
    day = clock(key["created_at"], day=True)[:10]
    return key["id"], key["client"], _state(key), scopes, classes, networks, day, key["name"]


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    if key["expires_at"] and datetime.fromisoformat(key["expires_at"]) < datetime.now(UTC):
        return "expired"
    return "test" if key["test"] else "works"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _expiry(text: str) -> int:
    span = _SPAN.fullmatch(text)
    if span is None:
        raise click.BadParameter("write it as 12h or 90d", param_hint="--expires")
    return int((time.time() + int(span[1]) * (3600 if span[2] == "h" else 86_400)) * 1000)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
