"""How a carrier writes ids and receipts, as settings of a profile: the forms that are met in the field.

In: tables of a profile. Out: `Ids`, `ReceiptForm`. Pure data, but for the spelling of an id.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

STATES: Final = {
    "ENROUTE": 1,
    "DELIVRD": 2,
    "EXPIRED": 3,
    "DELETED": 4,
    "UNDELIV": 5,
    "ACCEPTD": 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
}
"""Receipt words (SMPP 3.4, appendix B) and their message_state (5.2.28). A word of a profile's own is UNKNOWN."""

Word = Annotated[str, Meta(min_length=1, max_length=15, pattern="^[!-~]+$")]
Base = Literal["decimal", "hex", "HEX"]


class Ids(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[ids]`: how message ids look."""

    answer: Annotated[Base, Meta(description="in the answer to a submit: decimal, hex or HEX (capitals)")] = "decimal"
    receipt: Annotated[
        Literal["same", Base], Meta(description="in receipts: decimal, hex, HEX, or the same as in the answer")
    ] = "same"
    bits: Annotated[Literal[32, 64, 96], Meta(description="how large they are")] = 64
    zeros: Annotated[
        int, Meta(ge=0, le=40, description="the answer's id has leading zeros up to so many characters")
    ] = 0
    receipt_zeros: Annotated[bool, Meta(description="whether receipts have those zeros too")] = True

    def answered(self, number: int) -> bytes:
        """The id of a message in the answer to its submit."""
        return _spell(self._sized(number), self.answer, self.zeros)

    def reported(self, number: int) -> bytes:
        """The same in a receipt."""
        base = self.answer if self.receipt == "same" else self.receipt
        return _spell(self._sized(number), base, self.zeros if self.receipt_zeros else 0)

    def _sized(self, number: int) -> int:
        if self.bits == 32:
            return number & 0xFFFFFFFF
        return number if self.bits == 64 else number << 32 | number & 0xFFFFFFFF


PLAIN_IDS: Final = Ids()


def _spell(number: int, base: str, zeros: int) -> bytes:
    found = f"{number}" if base == "decimal" else f"{number:x}" if base == "hex" else f"{number:X}"
    return found.rjust(zeros, "0").encode()


class ReceiptForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[receipt]`: what a receipt looks like."""

    where: Annotated[
        Literal["text_and_tlvs", "text", "tlvs", "payload", "id_in_tlv"],
        Meta(
            description="where it says what: text; tlvs, without any text; text_and_tlvs; payload: its text is in"
            " message_payload; id_in_tlv: the id in a TLV and the rest in the text"
        ),
    ] = "text_and_tlvs"
    command: Annotated[Literal["deliver_sm", "data_sm"], Meta(description="the PDU that it comes in")] = "deliver_sm"
    esm_class: Annotated[int, Meta(ge=0, le=255, description="such as 4, or 0x44 at some; 0 says nothing")] = 4
    dates: Annotated[
        Literal["minutes", "seconds", "zeros", "words"],
        Meta(description="minutes: YYMMDDhhmm; seconds: with seconds; zeros; words: something that is no date"),
    ] = "minutes"
    timezone: Annotated[str, Meta(description='zone of its dates, such as "Europe/Moscow"')] = "UTC"
    words: Annotated[
        dict[str, Word], Meta(description='states that are spelled otherwise, such as { DELIVRD = "DELIVERED" }')
    ] = {}
    omit: Annotated[
        tuple[Literal["sub", "dlvrd", "submit date", "done date", "err", "text"], ...],
        Meta(description="fields that its text does not have"),
    ] = ()
    text_label: Annotated[Literal["text", "Text", "TEXT"], Meta(description="how its last field is called")] = "text"
    network_error: Annotated[bool, Meta(description="whether `err` is also in the TLV network_error_code")] = False
    echo: Annotated[bool, Meta(description="whether the submit's user_message_reference comes back")] = True
    swapped: Annotated[
        bool, Meta(description="whether it comes from the recipient; false: addresses stand as in the submit")
    ] = True
    parts: Annotated[
        Literal["all", "first", "last"], Meta(description="which parts of a long message are reported")
    ] = "all"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as e:
            raise ValueError(f"`{self.timezone}` is not a time zone such as Europe/Moscow") from e


PLAIN_RECEIPT: Final = ReceiptForm()
