"""Settings: one typed tree, written once. Defaults, `sluice.toml`, then `SLUICE_*` variables, in that order.

In: a file's path and the environment. Out: `Settings`. `example()` and the documentation are generated from it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

ROLES = ("api", "router", "connector", "recorder", "receipts", "notifier")
"""Stages that `sluice run --roles` can name. `receipts` is the matcher of late and early receipts,
`notifier` tells applications."""


LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")

IN_FILES = ("redis_url", "postgres_url")
"""Settings that hold a password: SLUICE_<NAME>_FILE names a file to read them from."""


class SettingsError(ValueError):
    """The configuration cannot be used. The text names the file or variable, the setting and what would be right."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Everything that `sluice run` can be told."""

    redis_url: Annotated[str, Meta(description="redis://, rediss:// or unix:// URL of Redis >= 7 or Valkey")] = (
        "redis://127.0.0.1:6379/0"
    )
    postgres_url: Annotated[str, Meta(description="postgresql:// URL")] = "postgresql://127.0.0.1:5432/sluice"
    listen: Annotated[str, Meta(description="HOST:PORT of the HTTP API; port 0 takes a free one")] = "127.0.0.1:8080"
    roles: Annotated[tuple[str, ...], Meta(description="stages that this process runs")] = ROLES
    shards: Annotated[
        int, Meta(ge=1, le=1024, description="Redis slots that messages spread over; the same everywhere")
    ] = 1
    default_region: Annotated[str, Meta(description="region of numbers without a +, ISO 3166 alpha-2")] = "RU"
    default_sender: Annotated[str, Meta(description="sender of messages that name none")] = "Sluice"
    max_parts: Annotated[int, Meta(ge=1, le=63, description="longer messages are refused")] = 10
    default_validity_s: Annotated[int, Meta(ge=1, description="validity of messages that name none")] = 86_400
    otp_validity_s: Annotated[int, Meta(ge=1, description="validity of otp messages that name none")] = 300
    max_validity_s: Annotated[int, Meta(ge=1, description="the longest validity that a message may ask for")] = 259_200
    receipt_grace_s: Annotated[int, Meta(ge=0, description="how long after its validity a receipt is waited for")] = (
        3_600
    )
    max_body_bytes: Annotated[int, Meta(ge=1024, description="larger requests are refused with 413")] = 16_777_216
    intake_limit: Annotated[
        int, Meta(ge=1, description="messages in one shard's intake at which accept answers 429")
    ] = 5_000_000
    memory_accept: Annotated[float, Meta(gt=0, le=1, description="share of maxmemory at which accept answers 429")] = (
        0.70
    )
    memory_mark: Annotated[float, Meta(gt=0, le=1, description="share of maxmemory at which sending stops")] = 0.85
    lease_s: Annotated[float, Meta(gt=0, description="how long a stage's lease lasts without renewal")] = 5.0
    ref_hours: Annotated[int, Meta(ge=1, description="how long a ref and an Idempotency-Key are remembered")] = 72
    log_level: Annotated[str, Meta(description="debug, info, warning or error")] = "info"
    log_format: Annotated[str, Meta(description="json or text")] = "json"
    metrics_listen: Annotated[
        str, Meta(description="HOST:PORT of /metrics, /healthz and /readyz for roles without api; empty: none")
    ] = ""
    callbacks_url: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s/?#@]+(/[^\s?#]*)?)?$",
            description="where carriers reach this gateway from outside, as https://sms.example.com; empty: nowhere",
        ),
    ] = ""
    callbacks_listen: Annotated[
        str, Meta(description="HOST:PORT that serves carriers' webhooks and nothing else; empty: none")
    ] = ""
    callbacks_apart: Annotated[
        bool, Meta(description="true: `listen` refuses carriers' webhooks, which have `callbacks_listen`")
    ] = False
    tls_cert: Annotated[str, Meta(description="PEM file of the API's certificate and its chain; empty: no TLS")] = ""
    tls_key: Annotated[str, Meta(description="PEM file of its key; both are read again when they change")] = ""
    quota_messages_per_s: Annotated[
        float, Meta(ge=0, description="what a client without a quota of its own may send each second; 0: no limit")
    ] = 0.0
    quota_burst: Annotated[int, Meta(ge=0, description="how many of them at once; 0: what a second gives")] = 0
    api_processes: Annotated[
        int, Meta(ge=1, description="API processes behind one address; each enforces its part of a client's quota")
    ] = 1
    callbacks_allow: Annotated[
        tuple[str, ...], Meta(description="networks that callbacks may go to though they are not public, as 10.0.0.0/8")
    ] = ()
    callbacks_connections: Annotated[
        int, Meta(ge=1, le=1000, description="connections to one endpoint at once; it begins with one")
    ] = 32
    callbacks_keep_days: Annotated[
        float, Meta(gt=0, description="how long callbacks that are over are kept to be looked at and retried")
    ] = 7.0
    keep_messages_days: Annotated[
        int, Meta(description="days of messages, submissions, receipts that `sluice db retention` keeps; 0: all")
    ] = 0
    keep_minutes_days: Annotated[int, Meta(description="the same of statistics by minutes; 0: all")] = 100
    keep_quarters_days: Annotated[
        int, Meta(description="the same of statistics by quarters of an hour and every dimension; 0: all")
    ] = 400
    keep_hours_days: Annotated[int, Meta(description="the same of statistics by hours; 0: all")] = 800
    keep_statistics_days: Annotated[int, Meta(description="the same of statistics by days and weeks; 0: all")] = 0
    state_dir: Annotated[
        str,
        Meta(
            description="directory of this machine for what outlives a kill -9 of the process: what carriers answered"
            " and Redis does not know yet; best in memory (/run); empty: it is not kept"
        ),
    ] = ""
    bi_listen: Annotated[
        str,
        Meta(
            description="HOST:PORT where the PostgreSQL of `sluice up` lets in the logins of `sluice db bi-user`;"
            " empty: nowhere"
        ),
    ] = ""
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="networks whose X-Forwarded-For is believed")] = ()
    cache_dir: Annotated[
        str,
        Meta(
            description="directory of files that the processes of this machine share, such as compiled numbering plans;"
            " empty: systemd's CacheDirectory=, else the user's cache"
        ),
    ] = ""


def load(path: Path | None = None, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings from defaults, the file, the environment and what the command line gave (None: not given).

    Raises SettingsError with one line a user can act on.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values |= tomllib.loads(path.read_text("utf-8"))
        except OSError as e:
            raise SettingsError(f"{path}: cannot be read: {e.strerror}") from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise SettingsError(f"{path}: not valid TOML: {e}") from e
    names = {f.name for f in msgspec.structs.fields(Settings)}
    for name in sorted(set(values) - names):
        raise SettingsError(f"{path}: unknown setting `{name}`; see `sluice config example`")
    env = os.environ if environ is None else environ
    for name in names:
        if (text := env.get("SLUICE_" + name.upper())) is not None:
            values[name] = (
                [v.strip() for v in text.split(",") if v.strip()]
                if name in ("roles", "trusted_proxies", "callbacks_allow")
                else text
            )
    values |= _from_files(env)
    values |= {k: v for k, v in given.items() if v is not None}
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as e:
        raise SettingsError(f"{path or 'settings'}: {e}") from e
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """What the types do not say. Raises SettingsError."""
    for role in settings.roles:
        if role not in ROLES:
            raise SettingsError(f"roles: unknown role `{role}`; known are {', '.join(ROLES)}")
    if not settings.roles:
        raise SettingsError(f"roles: name at least one of {', '.join(ROLES)}")
    if settings.log_level.lower() not in LOG_LEVELS:
        raise SettingsError(f"log_level: `{settings.log_level}` is none of {', '.join(LOG_LEVELS)}")
    if settings.log_format not in LOG_FORMATS:
        raise SettingsError(f"log_format: `{settings.log_format}` is none of {', '.join(LOG_FORMATS)}")
    for name in ("default_validity_s", "otp_validity_s"):
        if getattr(settings, name) > settings.max_validity_s:
            raise SettingsError(
                f"{name}: {getattr(settings, name)} is longer than max_validity_s, which is {settings.max_validity_s}"
            )
    if settings.memory_accept > settings.memory_mark:
        raise SettingsError(
            f"memory_accept: {settings.memory_accept} is more than memory_mark, which is {settings.memory_mark}:"
            " what was accepted could not be sent"
        )


def _from_files(env: Mapping[str, str]) -> dict[str, str]:
    """What stands in the files that SLUICE_<NAME>_FILE names."""
    found = {}
    for name in IN_FILES:
        variable = f"SLUICE_{name.upper()}"
        if not (file := env.get(variable + "_FILE")):
            continue
        if variable in env:
            raise SettingsError(f"{variable} and {variable}_FILE are both set: one of them, please")
        try:
            found[name] = Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise SettingsError(f"{variable}_FILE: {file} cannot be read: {getattr(e, 'strerror', e)}") from e
    return found


def example() -> str:
    """A `sluice.toml` with every setting, its description and its default."""
    lines = ["# sluice.toml: every setting with its default. Each can also be given as SLUICE_<NAME>.", ""]
    for info in msgspec.inspect.type_info(Settings).fields:  # type: ignore[attr-defined]
        kind = info.type
        text = (
            (kind.extra_json_schema or {}).get("description", "") if isinstance(kind, msgspec.inspect.Metadata) else ""
        )
        shown = msgspec.json.encode(info.default).decode()  # which TOML writes the same
        lines += [f"# {text}", f"#{info.name} = {shown}", ""]
    return "\n".join(lines)
