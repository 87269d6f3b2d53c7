"""The JSON documents of pauses, requests and answers, as types."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.api.documents import ClassName

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Kind = Literal["class", "client", "tag", "carrier"]


class NewPause(msgspec.Struct, forbid_unknown_fields=True, rename={"klass": "class"}):
    """What to pause: exactly one of class, client, tag and carrier."""

    klass: Annotated[ClassName | None, Meta(description="every message of a class", examples=["marketing"])] = None
    client: Annotated[Name | None, Meta(description="every message of a client", examples=["shop"])] = None
    tag: Annotated[Name | None, Meta(description="every message with a tag", examples=["spring-sale"])] = None
    carrier: Annotated[Name | None, Meta(description="a carrier: what waits goes to others")] = None
    note: Annotated[str, Meta(max_length=200, description="why, for people", examples=["wrong text"])] = ""


class PauseView(msgspec.Struct):
    """What is paused. It stays accepted and waits; its validity goes on counting."""

    kind: Annotated[Kind, Meta(description="what the name is of")]
    name: Annotated[str, Meta(description="a class, a client, a tag or a carrier", examples=["marketing"])]
    since: Annotated[datetime | None, Meta(description="when it was paused; null where that is not known")] = None
    by: Annotated[str, Meta(description="client and key that paused it", examples=["ops/key_0a1b2c3d4e5f"])] = ""
    note: Annotated[str, Meta(description="why, for people")] = ""


class PauseViews(msgspec.Struct):
    """Everything that is paused, the oldest first."""

    pauses: Annotated[Sequence[PauseView], Meta(description="classes, clients, tags, and then carriers")]
