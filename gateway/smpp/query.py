"""What an SMSC answers about a submission that it is asked for: query_sm_resp as a receipt (SMPP 3.4, 4.8.2).

In: the answer's body. Out: a `Receipt`, or None where it says nothing. Never: an exception because of what was sent.
"""

from __future__ import annotations

from gateway.provider import Receipt
from gateway.smpp import pdu
from gateway.smpp.dates import absolute_ms
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
