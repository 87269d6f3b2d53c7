"""Which fate a submit has: the window, the rate, cases, what the carrier understands, and magic numbers, in this order.

In: a submit on a bind. Out: its `Fate`, and the row of its number when that is a magic one.
"""

from __future__ import annotations

from gateway.embedded.sandbox import magic, wire
from gateway.embedded.sandbox.handset import decode, segment
from gateway.embedded.sandbox.magic import Magic
from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.profile import Fate, refusal
from gateway.embedded.sandbox.smsc import Smsc
from gateway.text import parts

_MAGIC = magic.PREFIX.encode()
_PART_BYTES = 140


def fate_of(smsc: Smsc, peer: Peer, submit: wire.Submit) -> Fate:
    """What the profile says, magic numbers left aside."""
    profile, choice, account = smsc.profile, smsc.choice, peer.account
    if profile.window:
        peer.unanswered += 1
        if peer.unanswered > profile.window:
            return choice.full
    if profile.throttle_per_s and account is not None:
        burst = profile.throttle_burst or max(1.0, profile.throttle_per_s / 10)
        if not account.allow(smsc.monotonic(), profile.throttle_per_s, burst, weight(submit)):
            smsc.tally.counts.throttled += 1
            return choice.throttled
    if not choice.submits.takes_all and (status := choice.submits.refuses(submit)):
        return refusal(choice.default, status)
    if not choice.has_cases:
        return choice.default
    place = segment(submit)
    return choice.of(digits(submit), decode(place.coding, place.body), smsc.random())


def magic_row(smsc: Smsc, submit: wire.Submit) -> Magic | None:
    """The row of the recipient's number."""
    if not smsc.profile.magic or not submit.recipient.startswith(_MAGIC, 2):
        return None
    return magic.BY_DIGITS.get(digits(submit))


def magic_fate(smsc: Smsc, row: Magic, submit: wire.Submit) -> Fate:
    """What becomes of this try of a message to a magic number."""
    return smsc.tries.fate(row, hash(submit.source + submit.recipient + submit.body), smsc.profile.magic_speed)


def weight(submit: wire.Submit) -> int:
    """In parts: 1 but for a long text in one submit."""
    if len(submit.body) <= _PART_BYTES:
        return 1
    place = segment(submit)
    return 1 if place.total > 1 else parts.measure(decode(place.coding, place.body))[1]


def digits(submit: wire.Submit) -> str:
    """The recipient's."""
    return submit.recipient[2:-1].decode("latin-1")
