"""What a carrier takes, how its connections end and what its HTTP side is like, as settings of a profile.

In: tables of a profile. Out: `Submits`, `Links` and `Web`; the status with which a submit is refused. Pure.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.embedded.sandbox import wire
from gateway.embedded.sandbox.spread import Delay
from gateway.smpp import tlv

BAD_ESM_CLASS, TLV_NOT_ALLOWED, BAD_CODING = 0x43, 0xC1, 0x0104  # SMPP 3.4, 5.1.3; SMPP 5.0, 4.7.6
_SAR: Final = frozenset({tlv.SAR_MSG_REF_NUM, tlv.SAR_TOTAL_SEGMENTS, tlv.SAR_SEGMENT_SEQNUM})

Concatenation = Literal["udh8", "udh16", "sar", "message_payload"]
Garbage = Literal["noise", "length", "truncated", "tlv", "command"]


class Submits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[submits]`: what of a submit_sm the carrier understands."""

    concatenation: Annotated[
        tuple[Concatenation, ...], Meta(description="ways of long messages that it takes; others are refused")
    ] = ("udh8", "udh16", "sar", "message_payload")
    codings: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=255)], ...],
        Meta(description="values of data_coding that it takes; [] takes all"),
    ] = ()
    tlvs: Annotated[
        Literal["take", "refuse"], Meta(description="what happens to a submit with optional parameters")
    ] = "take"
    alphabet: Annotated[
        Literal["gsm7", "gsm7_packed", "latin1", "ascii"],
        Meta(description="what data_coding 0 means here, and so what phones show"),
    ] = "gsm7"

    @property
    def takes_all(self) -> bool:
        """Whether nothing is refused."""
        return len(set(self.concatenation)) == 4 and not self.codings and self.tlvs == "take"

    def refuses(self, submit: wire.Submit) -> int:
        """The status to answer with; 0: it is taken."""
        if self.codings and submit.coding not in self.codings:
            return BAD_CODING
        found = tlv.decode(submit.tlvs) if submit.tlvs else {}
        if self.tlvs == "refuse" and found:
            return wire.BAD_LENGTH
        if submit.esm_class & wire.UDH_INDICATOR and submit.body:
            way = "udh16" if submit.body[1:2] == b"\x08" else "udh8"
            return 0 if way in self.concatenation else BAD_ESM_CLASS
        if found.keys() & _SAR and "sar" not in self.concatenation:
            return TLV_NOT_ALLOWED
        if tlv.MESSAGE_PAYLOAD in found and "message_payload" not in self.concatenation:
            return TLV_NOT_ALLOWED
        return 0


class Links(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[links]`: what happens to connections. A time of 0 means never."""

    lives_s: Annotated[Delay, Meta(description="how long after its bind a connection ends")] = 0.0
    lives_submits: Annotated[int, Meta(ge=0, description="after how many submits it ends")] = 0
    ends_by: Annotated[
        Literal["unbind", "close", "reset", "half_open"],
        Meta(
            description="how: unbind: the carrier asks for it; close: without a word; reset; half_open: it stays, and"
            " nothing comes over it any more"
        ),
    ] = "close"
    away_s: Annotated[float, Meta(ge=0, description="for how long nobody can connect after that")] = 0.0
    enquire_link: Annotated[
        Literal["answer", "ignore"], Meta(description="what becomes of the peer's enquire_link")
    ] = "answer"
    enquires_s: Annotated[float, Meta(ge=0, description="how often the carrier itself sends enquire_link")] = 0.0
    garbage_s: Annotated[Delay, Meta(description="how often it sends something that cannot be understood")] = 0.0
    garbage: Annotated[
        tuple[Garbage, ...],
        Meta(
            description="what, one after another: noise (random bytes), length (a command_length of 4), truncated (a"
            " deliver_sm that ends too early), tlv (one whose parameter runs past its end), command (an unknown one)"
        ),
    ] = ("truncated", "tlv", "command")
    chop_bytes: Annotated[
        int, Meta(ge=0, le=10_000, description="everything is written in pieces of so many bytes; 0: in one")
    ] = 0

    @property
    def are_plain(self) -> bool:
        """Whether nothing is done that a timer or a count must begin."""
        return self == PLAIN_LINKS


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[web]`: habits of the carrier that is reached by HTTP."""

    errors: Annotated[
        Literal["status", "ok"],
        Meta(description="how a refusal is told: status: by the status too; ok: by a body alone, the status is 200"),
    ] = "status"
    retry_after: Annotated[bool, Meta(description="whether 429 and 503 have a Retry-After")] = True
    breaks: Annotated[
        float, Meta(ge=0, le=1, description="share of requests that are taken and answered with 502 all the same")
    ] = 0.0
    together: Annotated[int, Meta(ge=1, le=1000, description="reports in one callback (JSON) at the most")] = 100


PLAIN_WEB: Final = Web()
PLAIN_SUBMITS: Final = Submits()
PLAIN_LINKS: Final = Links()
