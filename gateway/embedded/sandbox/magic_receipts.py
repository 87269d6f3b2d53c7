"""What follows a submit to a magic number on the SMPP side: its receipts, and what the phone writes back.

In: a submit that was taken. Out: deliver_sm now or later. Never the answer to the submit; `intake` gives that.
"""

from __future__ import annotations

from gateway.embedded.sandbox import wire
from gateway.embedded.sandbox.account import Account
from gateway.embedded.sandbox.handset import segment
from gateway.embedded.sandbox.magic import Magic, Said
from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.smsc import Smsc
from gateway.smpp import tlv
from gateway.text import gsm7

_GSM = 3  # type of network in network_error_code (SMPP 3.4, 5.3.2.31)


def follow(
    smsc: Smsc, peer: Peer, account: Account, magic: Magic, submit: wire.Submit, number: int, arrived: float
) -> None:
    """Send what the table says, each when it is due. Times count from `arrived`, by the monotonic clock."""
    speed = smsc.profile.magic_speed
    place = segment(submit)
    for said in magic.receipts_of(place.number, place.total):
        if not wire.wanted(said.stat)[submit.registered & wire.REPLY_BITS]:
            continue
        delay_s = (magic.answer_s + said.after_s) / speed
        wall = smsc.wall()
        body = smsc.receipt(submit, number, said.stat, f"{said.cause:03d}", wall, wall + delay_s)
        if smsc.profile.version != "3.3":
            body = type(body)(body + _cause(said))
        smsc.tally.counts.receipts_made += 1
        if delay_s > 0:
            smsc.send_later(arrived + delay_s, account, peer, [body])
        else:
            account.deliver([body], peer)
    if magic.reply and place.number == place.total:
        text = wire.inbound(submit.recipient, submit.source, 0, gsm7.encode(magic.reply))
        smsc.send_later(arrived + magic.answer_s / speed, account, None, [text])


def _cause(said: Said) -> bytes:
    if not said.cause:
        return b""
    return tlv.encode(tlv.NETWORK_ERROR_CODE, bytes((_GSM,)) + said.cause.to_bytes(2, "big"))
