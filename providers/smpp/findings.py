"""What an examination saw of a carrier, and which settings follow from it. Pure.

In: answers, receipts, what the phone showed. Out: lines for a person, settings to write. Never: a guess where nothing
was seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime
from math import exp, lgamma
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from gateway.smpp import pdu, tlv
from gateway.smpp.ids import fitting, spellings, usual
from gateway.smpp.receipt import ReceiptReader, looks_like_one
from providers.smpp.probe import Answer, Delivered

ZONES: Final = (
    "UTC", "Europe/Moscow", "Europe/Berlin", "Europe/London", "Europe/Kyiv", "Europe/Istanbul", "Asia/Dubai",
    "Asia/Karachi", "Asia/Tashkent", "Asia/Almaty", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Hong_Kong",
    "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/Sao_Paulo", "Africa/Lagos", "Africa/Johannesburg", "Africa/Nairobi",
)  # fmt: skip
"""Where carriers are, the more usual first: of those with one offset the first is proposed."""

_DONE: Final = re.compile(rb"done[ _]?date\s*[:=]\s*(\d{10,14})", re.IGNORECASE)
_QUARTER_S: Final = 900
_SURE: Final = 100.0
"""What is less likely than that may be chance, and is no finding."""


class Tried(msgspec.Struct, frozen=True):
    """A test message: the parts' answers, and whether the phone showed it as it was sent; None: nobody looked."""

    way: str
    answers: Sequence[Answer]
    shown: bool | None = None

    @property
    def taken(self) -> bool:
        """Whether the carrier took all of it."""
        return bool(self.answers) and all(answer.status == 0 for answer in self.answers)


class Findings(msgspec.Struct):
    """`lines`: what, and what was found. `settings`: what to write into the carrier's table; `rate_per_s` beside it."""

    lines: list[tuple[str, str]] = []
    settings: dict[str, Any] = {}
    rate_per_s: float | None = None
    trouble: str = ""

    def say(self, what: str, found: str, **settings: Any) -> None:
        """Note a line, and settings that follow."""
        self.lines.append((what, found))
        self.settings.update(settings)


def named(messages: Sequence[Tried], delivered: Sequence[Delivered]) -> set[str]:
    """The ids of answers that receipts have come for."""
    reader = ReceiptReader(unflagged=True)
    ids = {a.message_id: m for m in messages for a in m.answers if a.message_id}
    receipts = (reader.read(one.message) for one in delivered)
    return {name for receipt in receipts if receipt and (name := _own(receipt.carrier_message_id, ids))}


def about_receipts(
    found: Findings, messages: Sequence[Tried], delivered: Sequence[Delivered], reader: ReceiptReader | None = None
) -> None:
    """Form of the ids, form of receipts, their zone, the parts that they are for."""
    reader = reader or ReceiptReader()
    receipts = [(one, receipt) for one in delivered if (receipt := reader.read(one.message)) is not None]
    ids = {a.message_id: (m, n) for m in messages for n, a in enumerate(m.answers, 1) if a.message_id}
    hits = [(one, receipt, _own(receipt.carrier_message_id, ids)) for one, receipt in receipts]
    ours = [(one, receipt, name) for one, receipt, name in hits if name]
    if not ours and not reader.unflagged and any(looks_like_one(one.message.message) for one in delivered):
        found.settings["unflagged_receipts"] = True
        about_receipts(found, messages, delivered, ReceiptReader(unflagged=True))
        return
    if not ours:
        found.say("receipts", "none came for the test messages; wait longer with --wait")
        return
    found.say("receipts", f"{len(ours)} came, {_shape([one for one, _, _ in ours])}")
    _ids(found, [(receipt.carrier_message_id, name) for _, receipt, name in ours])
    _zone(found, [one for one, _, _ in ours])
    _parts(found, messages, {name for _, _, name in ours})
    if reader.unmapped:
        unknown = ", ".join(sorted(reader.unmapped))
        found.say("states", f"words that no table knows: {unknown}; give them meanings in receipt_states")


def _ids(found: Findings, pairs: Sequence[tuple[str, str]]) -> None:
    """`pairs`: a receipt's id and the answer's."""
    names = usual(pairs) or ["auto"]
    if names[0] == "same":
        found.say("message ids", "receipts write them as the answers to submits do", message_ids="same")
        return
    theirs, ours = next(((a, b) for a, b in pairs if names[0] in fitting(a, b)), pairs[0])
    said = f"receipts write {theirs} for {ours}"
    if other := next((name for name in names[1:] if name == names[0].replace("hex", "hex_lower", 1)), ""):
        found.say("message ids", f"{said}: {names[0]} or {other}, no id had a letter that would tell; `auto` learns it")
    else:
        found.say("message ids", f"{said}: {names[0]}", message_ids=names[0])


def _own(receipt_id: str, ids: Mapping[str, object]) -> str:
    return next((one for one in (receipt_id, *spellings(receipt_id)) if one in ids), "")


def _shape(receipts: Sequence[Delivered]) -> str:
    shapes = Counter(map(_shape_of, receipts))
    return ", ".join(shape for shape, _ in shapes.most_common(2))


def _shape_of(one: Delivered) -> str:
    tlvs = tlv.decode(one.message.tlvs)
    text, has_id = one.message.message, tlv.RECEIPTED_MESSAGE_ID in tlvs
    command = "deliver_sm" if one.command == pdu.DELIVER_SM else "data_sm"
    if not text and tlv.MESSAGE_PAYLOAD in tlvs:
        where = "text in message_payload"
    elif not text:
        where = "parameters alone"
    else:
        where = "text and parameters" if has_id and tlv.MESSAGE_STATE in tlvs else "text"
        where = "text, the id in a parameter" if has_id and tlv.MESSAGE_STATE not in tlvs else where
    return f"{where} by {command}, esm_class 0x{one.message.esm_class:02X}"


def _zone(found: Findings, receipts: Sequence[Delivered]) -> None:
    offsets = []
    for one in receipts:
        text = one.message.message or tlv.decode(one.message.tlvs).get(tlv.MESSAGE_PAYLOAD, b"")
        if (done := _DONE.search(text)) is not None and (moment := _as_utc(done[1])) is not None:
            offsets.append(moment - one.at)
    if not offsets:
        found.say("receipt dates", "there are none that can be read")
        return
    offset_s = round((median(offsets) + 30) / _QUARTER_S) * _QUARTER_S  # a date without seconds is half a minute early
    now = datetime.now(UTC)
    names = [
        name for name in ZONES if (now.astimezone(ZoneInfo(name)).utcoffset() or now - now).total_seconds() == offset_s
    ]
    hours = f"UTC{offset_s / 3600:+g} h" if offset_s else "UTC"
    if names:
        others = f" (as are {', '.join(names[1:])})" if names[1:] else ""
        found.say("receipt dates", f"{hours}: {names[0]}{others}", receipt_timezone=names[0])
    else:
        found.say("receipt dates", f"{hours}, where no zone is known that is there now")


def _as_utc(digits: bytes) -> float | None:
    padded = (b"20" + digits if len(digits) < 14 else digits).ljust(14, b"0").decode()
    try:
        return datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def parts_reported(messages: Sequence[Tried], reported: Container[str]) -> tuple[str, bool]:
    """Which parts of long messages have receipts, by the ids that are reported: `all`, `first`, `last` or "", and
    whether that is sure. Receipts of one side may only be late."""
    long = [[a.message_id in reported for a in m.answers] for m in messages if len(m.answers) > 1 and m.taken]
    short = [m.answers[0].message_id in reported for m in messages if len(m.answers) == 1 and m.taken]
    first, last = sum(parts[0] for parts in long), sum(parts[-1] for parts in long)
    if first and last:
        return "all", True
    if not first and not last:
        return "", False
    came, missing = sum(short) + first + last, short.count(False) + len(long) - first - last
    # How much likelier it is that one side is never reported than that all its receipts are late or lost: the shares of
    # what comes in time are unknown, each is as likely (the ratio of two beta functions).
    odds = exp(lgamma(missing + 1) - lgamma(came + missing + 2))
    odds /= exp(lgamma(missing + len(long) + 1) - lgamma(came + missing + len(long) + 2))
    return "first" if first else "last", odds >= _SURE


def _parts(found: Findings, messages: Sequence[Tried], reported: set[str]) -> None:
    kind, sure = parts_reported(messages, reported)
    words = {"all": "every part", "first": "the first part alone", "last": "the last part alone"}
    if sure:
        found.say("receipts of parts", f"for {words[kind]}", receipts_for=kind)
    elif kind:
        found.say("receipts of parts", f"for {words[kind]} so far; too few came to tell: wait longer with --wait")


def about_answers(found: Findings, answers: Sequence[Answer]) -> None:
    """How long they take."""
    took = sorted(a.took_s for a in answers if a.status == 0)
    if took:
        p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
        found.say(
            "answers", f"after {median(took) * 1000:.0f} ms, the slowest of {len(took)} after {p99 * 1000:.0f} ms"
        )


def about_rate(found: Findings, answers: Sequence[tuple[float, Answer]], burst: int) -> None:
    """What the carrier takes in a second: answers in the order of their submits, each with the moment at which it came,
    from the first submit on; the first `burst` submits were written at once."""
    if not answers:
        return
    last = max(at for at, _ in answers)
    begin = min(1.0, last / 3)
    rate = sum(at > begin for at, a in answers if a.status == 0) / (last - begin) if last > begin else 0.0
    throttled = sum(a.status == 0x58 for _, a in answers)
    if throttled:
        found.say("rate", f"about {rate:.0f} parts a second; {throttled} of {len(answers)} were answered 0x58")
        found.rate_per_s = float(f"{rate:.2g}")
    else:
        found.say("rate", f"{rate:.0f} parts a second and not one answer 0x58")
    if (most := window_of([a.status for _, a in answers[:burst]])) is not None:
        found.say("window", f"0x14 (queue full) with more than {most} in flight", window=most)


def window_of(statuses: Sequence[int]) -> int | None:
    """How many unanswered submits a carrier takes, by its answers to some that were written at once; None where most
    came through: then 0x14 has another cause, such as one recipient's queue."""
    if 0x14 not in statuses:
        return None
    rest = statuses[statuses.index(0x14) :]
    return max(1, statuses.count(0)) if 2 * rest.count(0x14) >= len(rest) else None
