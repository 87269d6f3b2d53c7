"""The settings of an SMPP carrier, as its table in the plan writes them.

In: that table with secrets resolved. Out: `SmppSettings`, or SettingsError with the setting's name and what would be
right. Never: a secret in a repr, a log or an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from gateway.provider import RECEIPT_STATES, SettingsError
from gateway.smpp.ids import FORM
from providers.smpp import tables, wording
from providers.smpp.tables import Code, Parameter

Seconds = Annotated[float, Meta(gt=0)]
Octet = Annotated[int, Meta(ge=0, le=255)]
Klass = Literal["otp", "alert", "transactional", "marketing"]
IdForm = Annotated[str, Meta(pattern=FORM)]
LONGEST_PASSWORD: Final = 8
LONGEST_SYSTEM_ID: Final = 15
"""Characters of a password and of a system_id by the standard (SMPP 3.4, 5.2.2 and 5.2.1). Carriers use longer ones;
some SMSCs cut them."""


class Secret:
    """A string that only `reveal` shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"


class SmppSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account at one SMSC."""

    # The account and its binds

    host: Annotated[str, Meta(min_length=1, description="name or address of the SMSC")]
    port: Annotated[int, Meta(ge=1, le=65535, description="its TCP port")] = 2775
    system_id: Annotated[str, Meta(description="the account's name")]
    password: Annotated[Secret, Meta(description="the account's password; the standard ends at 8 characters")]
    system_type: Annotated[str, Meta(description="only where the carrier asks for one")] = ""
    interface_version: Annotated[
        Literal["3.3", "3.4", "5.0"],
        Meta(description="what we say that we speak; with 3.3 there are no optional parameters"),
    ] = "3.4"
    bind_mode: Annotated[
        Literal["auto", "transceiver", "pair"],
        Meta(description="transceiver, or a transmitter and a receiver for each bind; auto: a pair with 3.3"),
    ] = "auto"
    binds: Annotated[int, Meta(ge=1, le=64, description="sessions, or pairs of them, that share the load")] = 1
    address_range: Annotated[str, Meta(description="numbers served, where the carrier asks for it")] = ""
    address_ton: Annotated[Octet, Meta(description="type of number of `address_range`")] = 0
    address_npi: Annotated[Octet, Meta(description="numbering plan of `address_range`")] = 0
    tls: Annotated[bool, Meta(description="speak TLS")] = False
    tls_verify: Annotated[bool, Meta(description="check the SMSC's certificate and name")] = True
    tls_ca: Annotated[str, Meta(description="file with the authorities to trust; empty: the system's")] = ""
    tls_certificate: Annotated[str, Meta(description="file with our certificate, where the carrier asks for one")] = ""
    tls_key: Annotated[str, Meta(description="file with its key; empty: it stands in `tls_certificate`")] = ""
    tls_server_name: Annotated[str, Meta(description="the name in the SMSC's certificate; empty: `host`")] = ""

    # How much, how long

    window: Annotated[int, Meta(ge=1, le=100_000, description="submits without an answer on one bind")] = 100
    answer_timeout_s: Annotated[Seconds, Meta(description="then a submit is uncertain; a later answer settles it")] = 30
    stall_s: Annotated[Seconds, Meta(description="no submit was answered for so long: the bind is made anew")] = 60
    enquire_link_s: Annotated[Seconds, Meta(description="silence after which the SMSC is asked if it is there")] = 30
    link_timeout_s: Annotated[Seconds, Meta(description="for connecting, the answer to bind and to enquire_link")] = 10
    reconnect_s: Annotated[Seconds, Meta(description="first pause before connecting again; doubles, with jitter")] = 0.5
    reconnect_max_s: Annotated[Seconds, Meta(description="the longest such pause")] = 30
    refused_s: Annotated[
        Seconds, Meta(description="first pause after a wrong password; doubles up to ten times it")
    ] = 30

    # What a submit_sm says

    concatenation: Annotated[
        Literal["udh8", "udh16", "sar", "message_payload"],
        Meta(
            description="long messages: a header with an 8-bit or 16-bit reference, SAR parameters, or the whole text "
            "in one message_payload"
        ),
    ] = "udh8"
    gsm7_alphabet: Annotated[
        Literal["gsm7", "gsm7_packed", "latin1", "ascii"],
        Meta(description="what texts of the default alphabet are here: GSM 7-bit, an octet a character, by default"),
    ] = "gsm7"
    gsm7_data_coding: Annotated[Octet, Meta(description="data_coding of texts in the default alphabet")] = 0
    ucs2_data_coding: Annotated[Octet, Meta(description="data_coding of UCS-2 texts")] = 8
    flash_classes: Annotated[
        tuple[Klass, ...], Meta(description="classes whose messages are shown at once and not kept by the phone")
    ] = ()
    flash_by: Annotated[
        Literal["data_coding", "dest_addr_subunit"],
        Meta(description="how the carrier is told so: a data_coding with message class 0, or the parameter"),
    ] = "data_coding"
    flash_gsm7_data_coding: Annotated[Octet, Meta(description="data_coding of flash messages, 240 at some")] = 0x10
    flash_ucs2_data_coding: Annotated[Octet, Meta(description="the same in UCS-2")] = 0x18
    validity_period: Annotated[
        Literal["relative", "absolute", "none"],
        Meta(description="how the message's own deadline is told to the carrier"),
    ] = "relative"
    service_type: Annotated[str, Meta(max_length=5, description="only where the carrier asks for one")] = ""
    priority: Annotated[
        dict[Klass, Annotated[int, Meta(ge=0, le=3)]],
        Meta(description="priority_flag by class, such as { otp = 3, alert = 2 }; else 0"),
    ] = {}
    protocol_id: Annotated[Octet, Meta(description="protocol_id (3GPP TS 23.040, 9.2.3.9)")] = 0
    registered_delivery: Annotated[
        Octet, Meta(description="which receipts are asked for: 1 all, 2 of failures alone, 0 none")
    ] = 1
    source_ton: Annotated[Octet | None, Meta(description="type of number of the sender; absent: by its form")] = None
    source_npi: Annotated[Octet | None, Meta(description="numbering plan of the sender; absent: by its form")] = None
    dest_ton: Annotated[Octet, Meta(description="type of number of the recipient")] = 1
    dest_npi: Annotated[Octet, Meta(description="numbering plan of the recipient")] = 1
    user_message_reference: Annotated[
        bool, Meta(description="send our reference with each part; false for SMSCs that refuse optional parameters")
    ] = True
    tlvs: Annotated[
        dict[str, Parameter],
        Meta(description='optional parameters of every submit, by tag: { "0x1400" = { string = "1101" } }'),
    ] = {}

    # What its answers and receipts mean

    codes: Annotated[
        dict[str, Code],
        Meta(description='meaning of a command_status at this carrier: { "0x45" = { reason = "temporary" } }'),
    ] = {}
    query: Annotated[bool, Meta(description="the carrier answers query_sm: asked where a receipt is overdue")] = False
    cancel: Annotated[bool, Meta(description="the carrier answers cancel_sm: submitted messages can be cancelled")] = (
        False
    )
    message_ids: Annotated[
        IdForm,
        Meta(
            description="what the submit answers' ids are where receipts write them differently: `same`, `decimal`, "
            "`hex` (in capitals) or `hex_lower`, also padded with zeros to so many digits (`hex_padded_8`, "
            "`padded_10`), `upper`, `lower`; `auto` learns it"
        ),
    ] = "auto"
    receipts_for: Annotated[
        Literal["all", "first", "last", "any"],
        Meta(description="parts that get a receipt; if not all, one speaks for the whole message"),
    ] = "all"
    unflagged_receipts: Annotated[
        bool, Meta(description="receipts come as if subscribers had written them, and are told by their text")
    ] = False
    receipt_timezone: Annotated[str, Meta(description="time zone of dates in receipts, such as Europe/Moscow")] = "UTC"
    receipt_states: Annotated[
        dict[str, str], Meta(description="this carrier's own words in `stat`, each with the state that it means")
    ] = {}
    receipt_codes: Annotated[
        dict[str, str], Meta(description='reasons by the `err` of receipts: { "045" = "unknown_subscriber" }')
    ] = {}


def read(carrier: str, table: Mapping[str, Any]) -> SmppSettings:
    """Settings out of a carrier's table of the plan. Raises SettingsError."""
    try:
        settings = msgspec.convert(dict(table), SmppSettings, dec_hook=_secret)
    except msgspec.ValidationError as problem:
        raise SettingsError(f"carrier {carrier}: {wording.sentence(problem, SmppSettings)}") from None
    try:
        _check(settings)
    except ValueError as problem:
        raise SettingsError(f"carrier {carrier}: {problem}") from None
    return settings


def _check(c: SmppSettings) -> None:
    for name in ("system_id", "system_type", "service_type", "address_range"):
        if not getattr(c, name).isascii() or "\0" in getattr(c, name):
            raise ValueError(f"`{name}` may only hold ASCII characters")
    if "\0" in c.password.reveal():
        raise ValueError("`password` may not hold a zero character")
    try:
        ZoneInfo(c.receipt_timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("`receipt_timezone` is not a known zone, such as Europe/Moscow") from None
    if unknown := set(c.receipt_states.values()) - set(RECEIPT_STATES):
        known = ", ".join(RECEIPT_STATES)
        raise ValueError(f"`receipt_states` has {sorted(unknown)}; known states are {known}")
    if c.tls_key and not c.tls_certificate:
        raise ValueError("`tls_key` needs `tls_certificate`")
    if c.interface_version == "3.3":
        _check_without_parameters(c)
    tables.codes(c.codes)
    tables.receipt_codes(c.receipt_codes)
    tables.parameters(c.tlvs)


def _check_without_parameters(c: SmppSettings) -> None:
    """SMPP 3.3 has no optional parameters: what needs them cannot be set."""
    if c.concatenation in ("sar", "message_payload"):
        raise ValueError(
            f"`concatenation` cannot be {c.concatenation} with interface_version 3.3: it must be udh8 or udh16"
        )
    if c.tlvs:
        raise ValueError("`tlvs` cannot be sent with interface_version 3.3")
    if c.flash_classes and c.flash_by == "dest_addr_subunit":
        raise ValueError("`flash_by` must be data_coding with interface_version 3.3")


def _secret(kind: type, value: object) -> Secret:
    if kind is not Secret or not isinstance(value, str):
        raise TypeError("Expected `str`")
    return Secret(value)
