"""The settings of an SMPP carrier, as its table in the plan writes them.

In: that table with secrets resolved. Out: `SmppSettings`, or SettingsError with the setting's name and what would be
right. Never: a secret in a repr, a log or an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from gateway.provider import RECEIPT_STATES, SettingsError

Seconds = Annotated[float, Meta(gt=0)]
Octet = Annotated[int, Meta(ge=0, le=255)]


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

    host: Annotated[str, Meta(min_length=1, description="name or address of the SMSC")]
    port: Annotated[int, Meta(ge=1, le=65535, description="its TCP port")] = 2775
    system_id: Annotated[str, Meta(description="the account's name")]
    password: Annotated[Secret, Meta(description="the account's password")]
    system_type: Annotated[str, Meta(description="only where the carrier asks for one")] = ""
    bind_mode: Annotated[
        Literal["transceiver", "pair"], Meta(description="transceiver, or a transmitter and a receiver for each bind")
    ] = "transceiver"
    binds: Annotated[int, Meta(ge=1, le=64, description="sessions, or pairs of them, that share the load")] = 1
    address_range: Annotated[str, Meta(description="numbers served, where the carrier asks for it")] = ""
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
    concatenation: Annotated[
        Literal["udh8", "udh16", "sar"],
        Meta(description="long messages: a header with an 8-bit or 16-bit reference, or SAR parameters"),
    ] = "udh8"
    gsm7_alphabet: Annotated[
        Literal["gsm7", "latin1", "ascii"],
        Meta(description="what data_coding 0 is here: unpacked GSM 7-bit by default"),
    ] = "gsm7"
    gsm7_data_coding: Annotated[Octet, Meta(description="data_coding of texts in the default alphabet")] = 0
    ucs2_data_coding: Annotated[Octet, Meta(description="data_coding of UCS-2 texts")] = 8
    validity_period: Annotated[
        Literal["relative", "absolute", "none"],
        Meta(description="how the message's own deadline is told to the carrier"),
    ] = "relative"
    service_type: Annotated[str, Meta(max_length=5, description="only where the carrier asks for one")] = ""
    source_ton: Annotated[Octet | None, Meta(description="type of number of the sender; absent: by its form")] = None
    source_npi: Annotated[Octet | None, Meta(description="numbering plan of the sender; absent: by its form")] = None
    dest_ton: Annotated[Octet, Meta(description="type of number of the recipient")] = 1
    dest_npi: Annotated[Octet, Meta(description="numbering plan of the recipient")] = 1
    user_message_reference: Annotated[
        bool, Meta(description="send our reference with each part; false for SMSCs that refuse optional parameters")
    ] = True
    receipt_timezone: Annotated[str, Meta(description="time zone of dates in receipts, such as Europe/Moscow")] = "UTC"
    receipt_states: Annotated[
        dict[str, str], Meta(description="this carrier's own words in `stat`, each with the state that it means")
    ] = {}
    tls: Annotated[bool, Meta(description="speak TLS")] = False
    tls_verify: Annotated[bool, Meta(description="check the SMSC's certificate and name")] = True
    tls_ca: Annotated[str, Meta(description="file with the authorities to trust; empty: the system's")] = ""


_QUOTED: Final = re.compile(r"'[^']*'")


def read(carrier: str, table: Mapping[str, Any]) -> SmppSettings:
    """Settings out of a carrier's table of the plan. Raises SettingsError."""
    try:
        settings = msgspec.convert(dict(table), SmppSettings, dec_hook=_secret)
    except msgspec.ValidationError as problem:
        # msgspec quotes a value that is not one of a choice's; a value is never repeated.
        raise SettingsError(f"carrier {carrier}: {_QUOTED.sub('', str(problem))}") from None
    for name in ("system_id", "system_type", "service_type", "address_range"):
        if not getattr(settings, name).isascii() or "\0" in getattr(settings, name):
            raise SettingsError(f"carrier {carrier}: `{name}` may only hold ASCII characters")
    if "\0" in settings.password.reveal():
        raise SettingsError(f"carrier {carrier}: `password` may not hold a zero character")
    try:
        ZoneInfo(settings.receipt_timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(
            f"carrier {carrier}: `receipt_timezone` is not a known zone, such as Europe/Moscow"
        ) from None
    if unknown := set(settings.receipt_states.values()) - set(RECEIPT_STATES):
        known = ", ".join(RECEIPT_STATES)
        raise SettingsError(f"carrier {carrier}: `receipt_states` has {sorted(unknown)}; known states are {known}")
    return settings


def _secret(kind: type, value: object) -> Secret:
    if kind is not Secret or not isinstance(value, str):
        raise TypeError("Expected `str`")
    return Secret(value)
