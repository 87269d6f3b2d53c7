"""Receipts in every form that a profile can ask for; `wire.receipt` makes the plain ones, and faster.

In: a form, a submit and what became of it. Out: bodies of deliver_sm or data_sm. Never: a decision.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from gateway.embedded.sandbox import wire
from gateway.embedded.sandbox.forms import STATES, Ids, ReceiptForm
from gateway.smpp import tlv

_GSM: Final = 3  # type of network in network_error_code (5.3.2.31)
_FORMATS: Final = {"minutes": "%y%m%d%H%M", "seconds": "%y%m%d%H%M%S"}
_LONGEST_SHORT: Final = 254


def body(
    form: ReceiptForm, ids: Ids, submit: wire.Submit, number: int, stat: str, err: str, submitted: float, done: float
) -> bytes:
    """The body of one receipt; a `wire.DataBody` when it goes by data_sm. Times are seconds since the epoch."""
    name = ids.reported(number)
    text = b"" if form.where == "tlvs" else _text(form, submit, name, stat, err, submitted, done)
    tlvs = b""
    if form.where in ("text_and_tlvs", "tlvs", "id_in_tlv"):
        tlvs += tlv.encode(tlv.RECEIPTED_MESSAGE_ID, name + b"\0")
    if form.where in ("text_and_tlvs", "tlvs"):
        tlvs += tlv.encode(tlv.MESSAGE_STATE, bytes((STATES.get(stat, STATES["UNKNOWN"]),)))
    if form.network_error:
        tlvs += tlv.encode(tlv.NETWORK_ERROR_CODE, bytes((_GSM,)) + _number(err).to_bytes(2, "big"))
    if form.echo:
        tlvs += submit.echo
    source, recipient = (submit.recipient, submit.source) if form.swapped else (submit.source, submit.recipient)
    if form.command == "data_sm":
        # | service_type Z | ton npi source Z | ton npi recipient Z | esm_class registered data_coding | TLVs | (4.7.1)
        payload = tlv.encode(tlv.MESSAGE_PAYLOAD, text) if text else b""
        return wire.DataBody(b"\0" + source + recipient + bytes((form.esm_class, 0, 0)) + payload + tlvs)
    short, payload = (b"", text) if form.where == "payload" or len(text) > _LONGEST_SHORT else (text, b"")
    if payload:
        tlvs = tlv.encode(tlv.MESSAGE_PAYLOAD, payload) + tlvs
    return b"\0" + source + recipient + bytes((form.esm_class, 0, 0, 0, 0, 0, 0, 0, 0, len(short))) + short + tlvs


def _text(
    form: ReceiptForm, submit: wire.Submit, name: bytes, stat: str, err: str, submitted: float, done: float
) -> bytes:
    plain = submit.coding == 0 and not submit.esm_class & wire.UDH_INDICATOR
    fields = {
        "id": "" if form.where == "id_in_tlv" else name.decode(),
        "sub": "001",
        "dlvrd": "001" if stat == "DELIVRD" else "000",
        "submit date": _date(form, submitted),
        "done date": _date(form, done),
        "stat": form.words.get(stat, stat),
        "err": err,
        "text": submit.body[:20].decode("latin-1") if plain else "",
    }
    left_out = {*form.omit, *(("id",) if form.where == "id_in_tlv" else ())}
    said = [f"{form.text_label if f == 'text' else f}:{value}" for f, value in fields.items() if f not in left_out]
    return " ".join(said).encode("latin-1")


def _date(form: ReceiptForm, at: float) -> str:
    if form.dates == "zeros":
        return "0000000000"
    if form.dates == "words":
        return "yesterday"
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(form.timezone)).strftime(_FORMATS[form.dates])


def _number(err: str) -> int:
    return min(int(err), 0xFFFF) if err.isdigit() else 0
