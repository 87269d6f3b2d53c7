"""What an SMSC answers about a submission that it is asked for: query_sm_resp as a receipt (SMPP 3.4, 4.8.2).

In: the answer's body. Out: a `Receipt`, or None where it says nothing. Never: an exception because of what was sent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.provider import Receipt
from gateway.smpp import pdu
from gateway.smpp.receipt import reason_of
from gateway.smpp.status import MESSAGE_STATES


def answered(body: bytes, carrier_message_id: str, recipient: str, sender: str, bind: str) -> Receipt | None:
    """The state of the message that was asked for; `unknown` states and unreadable bodies say nothing."""
    try:
        _, final_date, state_number, code = pdu.decode_query_answer(body, 0, len(body))
    except pdu.BodyError:
        return None
    state = MESSAGE_STATES.get(state_number, "unknown")
    if state == "unknown":
        return None
    return Receipt(
        carrier_message_id,
        state,
        str(code) if code else "",
        reason_of(state),
        absolute_ms(final_date),
        recipient,
        sender,
        raw=f"query_sm: message_state {state_number}",
        bind=bind,
    )


# YYMMDDhhmmss t nn p: tenths of a second, quarters of an hour from UTC, + or - (7.1.1.1)
def absolute_ms(text: bytes) -> int:
    """A moment as SMPP writes it, in ms since the epoch; 0 for anything else, spans too."""
    digits, sign = text[:15], text[15:16]
    if len(text) != 16 or not digits.isdigit() or sign not in (b"+", b"-"):
        return 0
    try:
        local = datetime.strptime("20" + digits[:12].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        away = timedelta(minutes=15 * int(digits[13:15]))
        return int((local - (away if sign == b"+" else -away)).timestamp() * 1000) + int(digits[12:13]) * 100
    except (ValueError, OverflowError):
        return 0
