"""The JSON documents for those who run the gateway: carriers, plans, keys, clients, health. Never: I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import Class
from gateway.api.problems import PlanFault

Scope = Literal["send", "read", "stats", "ops", "plan", "privacy", "admin"]
Version = Annotated[int, Meta(description="the version's number", examples=[7])]
KeyId = Annotated[str, Meta(description="the key's id, not secret", examples=["key_0a1b2c3d4e5f"])]
ClientName = Annotated[str, Meta(description="the application that the key belongs to", examples=["shop"])]
PerSecond = Annotated[
    float | None,
    Meta(description="messages a second on average; 0: no limit; null: what the settings say", examples=[100]),
]


class CarrierView(msgspec.Struct):
    """A carrier as its connector reports it."""

    name: Annotated[str, Meta(description="as the plan names it", examples=["north"])]
    mode: Annotated[Literal["running", "paused", "draining"], Meta(description="what an operator ordered it to do")]
    status: Annotated[
        dict[str, Any],
        Meta(
            description="what its connector last said: links, windows, what limits it, rate and time to answer, codes, "
            "receipts awaited; empty when none runs",
            examples=[{"live": True, "limited_by": "", "last_error": ""}],
        ),
    ]


class Carriers(msgspec.Struct):
    """Carriers by name."""

    carriers: Annotated[Sequence[CarrierView], Meta(description="all that the plan names or a connector reports")]


class PlanVersionView(msgspec.Struct, kw_only=True):
    """A version of the plan, without its text."""

    version: Version
    active: Annotated[bool, Meta(description="true: it is the one in use")]
    note: Annotated[str, Meta(description="what its author said of it")]
    sha256: Annotated[str, Meta(description="of its text, in hexadecimal")]
    created_at: Annotated[datetime, Meta(description="when it was kept")]
    created_by: Annotated[str, Meta(description="who kept it: client and key, or a user of the machine")]
    activated_at: Annotated[datetime | None, Meta(description="when it was made active last")]
    activated_by: Annotated[str | None, Meta(description="who made it active last")]


class PlanVersions(msgspec.Struct):
    """Versions of the plan."""

    active: Annotated[int | None, Meta(description="the version in use; null: there is none yet")]
    plans: Annotated[Sequence[PlanVersionView], Meta(description="newest first")]


class PlanText(msgspec.Struct):
    """A version of the plan with its text."""

    plan: Annotated[PlanVersionView, Meta(description="the version")]
    document: Annotated[str, Meta(description="its TOML, as it was given")]


class NewPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to keep or check."""

    document: Annotated[str, Meta(description="the TOML document as text")]
    note: Annotated[str, Meta(max_length=500, description="what changes, for people")] = ""
    activate: Annotated[bool, Meta(description="make it the one in use at once; not for a check")] = False


class PlanKept(msgspec.Struct):
    """The version that was made."""

    version: Version
    active: Annotated[bool, Meta(description="true: it is in use now")]
    problems: Annotated[Sequence[PlanFault], Meta(description="warnings about it")]


class PlanChecked(msgspec.Struct):
    """What is wrong with a document."""

    ok: Annotated[bool, Meta(description="true: it could be used, because nothing of it is an error")]
    problems: Annotated[Sequence[PlanFault], Meta(description="errors and warnings, in the order of its lines")]


class PlanChange(msgspec.Struct, forbid_unknown_fields=True):
    """Why the plan in use is changed."""

    note: Annotated[str, Meta(max_length=500, description="why, for the audit")] = ""


class PlanReturn(msgspec.Struct, forbid_unknown_fields=True):
    """Which version to return to, and why."""

    version: Annotated[int | None, Meta(description="the version; null: the one that was in use before")] = None
    note: Annotated[str, Meta(max_length=500, description="why, for the audit")] = ""


class PlanActive(msgspec.Struct):
    """The version in use."""

    version: Version
    since: Annotated[datetime, Meta(description="when it was made active")]


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What a new key may do."""

    client: Annotated[str, Meta(description="the application; made when it is new", examples=["shop"])]
    name: Annotated[str, Meta(max_length=100, description="a note for people", examples=["mobile app"])] = ""
    scopes: Annotated[Sequence[Scope], Meta(description="what it may do; admin may do everything")] = (
        "send",
        "read",
        "stats",
    )
    classes: Annotated[Sequence[Class] | None, Meta(description="what it may send; all of them when not given")] = None
    networks: Annotated[
        Sequence[str], Meta(description="where it may be used from; everywhere when empty", examples=[["10.0.0.0/8"]])
    ] = ()
    test: Annotated[bool, Meta(description="its messages go to sandbox carriers only")] = False
    expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None, Meta(description="when it stops working; null: never")
    ] = None


class KeyMade(msgspec.Struct):
    """A new key. The secret cannot be read again."""

    id: KeyId
    client: ClientName
    secret: Annotated[str, Meta(description="goes into `Authorization: Bearer`; keep it", examples=["sk_…"])]


class KeyView(msgspec.Struct, kw_only=True):
    """A key, without its secret."""

    id: KeyId
    client: ClientName
    name: Annotated[str, Meta(description="a note for people")]
    scopes: Annotated[Sequence[str], Meta(description="what it may do")]
    classes: Annotated[Sequence[str], Meta(description="what it may send")]
    networks: Annotated[Sequence[str], Meta(description="where it may be used from; everywhere when empty")]
    test: Annotated[bool, Meta(description="true: its messages go to sandbox carriers only")]
    created_at: Annotated[datetime, Meta(description="when it was made")]
    expires_at: Annotated[datetime | None, Meta(description="when it stops working; null: never")]
    revoked_at: Annotated[datetime | None, Meta(description="since when it is revoked")]


class KeyViews(msgspec.Struct):
    """Clients' keys."""

    keys: Annotated[Sequence[KeyView], Meta(description="oldest first, revoked ones too")]


class NewQuota(msgspec.Struct, forbid_unknown_fields=True):
    """How fast a client may send. Nothing given: what the settings give to every client."""

    messages_per_s: PerSecond = None
    burst: Annotated[
        int, Meta(ge=0, le=1_000_000, description="how many at once; 0: what a second gives", examples=[200])
    ] = 0


class ClientView(msgspec.Struct, kw_only=True):
    """A client and how fast it may send."""

    name: Annotated[str, Meta(description="as its keys have it", examples=["shop"])]
    created_at: Annotated[datetime, Meta(description="when its first key was made")]
    disabled_at: Annotated[datetime | None, Meta(description="since when none of its keys works")]
    messages_per_s: PerSecond
    burst: Annotated[int, Meta(description="how many at once; 0: what a second gives", examples=[200])]
    keys: Annotated[int, Meta(description="how many of its keys work now", examples=[1])]


class ClientViews(msgspec.Struct):
    """Clients by name."""

    clients: Annotated[Sequence[ClientView], Meta(description="every client that ever had a key")]


class Alive(msgspec.Struct):
    """The process lives."""

    status: Annotated[Literal["ok"], Meta(description="always ok: a process that does not live says nothing")]
    version: Annotated[str, Meta(description="the release that runs", examples=["0.1.0"])]


class Readiness(msgspec.Struct):
    """Whether the process can do its work."""

    ready: Annotated[bool, Meta(description="true: every check is ok")]
    checks: Annotated[
        dict[str, str], Meta(description="`ok` or why not, by check", examples=[{"redis": "ok", "keys": "ok"}])
    ]
