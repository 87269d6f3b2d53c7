"""What the API says when it says no: one closed table of codes, and RFC 9457 problem documents made from it.

In: a code, a sentence and where the fault is. Out: a `Problem` as a value. Never: the text or number of a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

CONTENT_TYPE: Final = "application/problem+json"


class Code(StrEnum):
    """Why a request, or one message of it, was refused. Stable: a code never changes its meaning."""

    NOT_HTTP = "not_http"
    NOT_JSON = "not_json"
    BODY_TOO_SLOW = "body_too_slow"
    NO_KEY = "no_key"
    WRONG_KEY = "wrong_key"
    KEY_EXPIRED = "key_expired"
    SCOPE_MISSING = "scope_missing"
    CLASS_NOT_ALLOWED = "class_not_allowed"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    TEST_KEY = "test_key"
    NO_SUCH_ROUTE = "no_such_route"
    UNKNOWN_MESSAGE = "unknown_message"
    UNKNOWN_BATCH = "unknown_batch"
    UNKNOWN_CARRIER = "unknown_carrier"
    UNKNOWN_PLAN = "unknown_plan"
    UNKNOWN_DATASET = "unknown_dataset"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_ENDPOINT = "unknown_endpoint"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    ENDPOINT_DISABLED = "endpoint_disabled"
    UNKNOWN_CLIENT = "unknown_client"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REF_CONFLICT = "ref_conflict"
    REQUEST_RUNNING = "request_running"
    TOO_LATE = "too_late"
    TOO_LARGE = "too_large"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    INVALID_VALUE = "invalid_value"
    FORBIDDEN_CHARACTER = "forbidden_character"
    INVALID_CLASS = "invalid_class"
    NUMBER_INVALID = "number_invalid"
    NUMBER_EMPTY = "number_empty"
    NUMBER_LENGTH = "number_length"
    NUMBER_TOO_SHORT = "number_too_short"
    NUMBER_TOO_LONG = "number_too_long"
    NUMBER_HAS_LETTERS = "number_has_letters"
    NUMBER_HAS_EXTENSION = "number_has_extension"
    NUMBER_COUNTRY_UNKNOWN = "number_country_unknown"
    NUMBER_COUNTRY_MISSING = "number_country_missing"
    SENDER_EMPTY = "sender_empty"
    SENDER_ALPHABET = "sender_alphabet"
    SENDER_TOO_LONG = "sender_too_long"
    TEXT_EMPTY = "text_empty"
    TEXT_TOO_LONG = "text_too_long"
    SEND_AT_INVALID = "send_at_invalid"
    SEND_AT_WITHOUT_OFFSET = "send_at_without_offset"
    SEND_AT_PAST = "send_at_past"
    SEND_AT_TOO_FAR = "send_at_too_far"
    VALIDITY_OUT_OF_RANGE = "validity_out_of_range"
    META_TOO_LARGE = "meta_too_large"
    CALLBACK_URL_INVALID = "callback_url_invalid"
    RECIPIENT_STOPPED = "recipient_stopped"
    WINDOW_CLOSED = "window_closed"
    CALLBACK_UNREADABLE = "callback_unreadable"
    CALLBACK_UNPROVEN = "callback_unproven"
    CALLBACK_REFUSED = "callback_refused"
    NO_MESSAGES = "no_messages"
    TOO_MANY_MESSAGES = "too_many_messages"
    IDEMPOTENCY_KEY_INVALID = "idempotency_key_invalid"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    QUERY_INVALID = "query_invalid"
    CURSOR_INVALID = "cursor_invalid"
    PLAN_INVALID = "plan_invalid"
    DATASET_INVALID = "dataset_invalid"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXCEEDED = "budget_exceeded"
    INTAKE_FULL = "intake_full"
    INTERNAL_ERROR = "internal_error"
    REDIS_AWAY = "redis_away"
    POSTGRES_AWAY = "postgres_away"
    SHARD_CLOSED = "shard_closed"
    NOT_READY = "not_ready"


class Kind(NamedTuple):
    """What every problem with one code has in common. `retry_after_s` 0: repeating alone will not help."""

    status: int
    title: str
    retry_after_s: int = 0


_PERMISSION: Final = "The key is not allowed to do this"
_FIELD: Final = "A field has a value that cannot be used"

TABLE: Final[Mapping[Code, Kind]] = {
    Code.NOT_HTTP: Kind(400, "The request is not HTTP"),
    Code.NOT_JSON: Kind(400, "The body is not JSON"),
    Code.CALLBACK_UNREADABLE: Kind(400, "The report cannot be read"),
    Code.CALLBACK_UNPROVEN: Kind(401, "The report does not prove whose it is"),
    Code.CALLBACK_REFUSED: Kind(403, "The report's proof is wrong"),
    Code.NO_KEY: Kind(401, "A key is needed"),
    Code.WRONG_KEY: Kind(401, "The key is not known"),
    Code.KEY_EXPIRED: Kind(401, "The key has expired"),
    Code.SCOPE_MISSING: Kind(403, _PERMISSION),
    Code.CLASS_NOT_ALLOWED: Kind(403, _PERMISSION),
    Code.ADDRESS_NOT_ALLOWED: Kind(403, _PERMISSION),
    Code.TEST_KEY: Kind(403, "Test keys cannot send here"),
    Code.NO_SUCH_ROUTE: Kind(404, "Nothing is at this path"),
    Code.UNKNOWN_MESSAGE: Kind(404, "No such message"),
    Code.UNKNOWN_BATCH: Kind(404, "No such batch"),
    Code.UNKNOWN_CARRIER: Kind(404, "No such carrier"),
    Code.UNKNOWN_PLAN: Kind(404, "No such version of the plan"),
    Code.UNKNOWN_DATASET: Kind(404, "No such dataset"),
    Code.UNKNOWN_KEY: Kind(404, "No such key"),
    Code.UNKNOWN_ENDPOINT: Kind(404, "No such endpoint"),
    Code.TOO_MANY_ENDPOINTS: Kind(409, "There are too many endpoints"),
    Code.ENDPOINT_DISABLED: Kind(409, "The endpoint is disabled"),
    Code.UNKNOWN_CLIENT: Kind(404, "No such client"),
    Code.METHOD_NOT_ALLOWED: Kind(405, "The path does not take this method"),
    Code.BODY_TOO_SLOW: Kind(408, "The body did not arrive in time"),
    Code.REF_CONFLICT: Kind(409, "The ref belongs to another message"),
    Code.REQUEST_RUNNING: Kind(409, "The first request with this key is still running", 1),
    Code.TOO_LATE: Kind(409, "It is too late for this"),
    Code.TOO_LARGE: Kind(413, "The request is too large"),
    Code.MISSING_FIELD: Kind(422, "A field is missing"),
    Code.UNKNOWN_FIELD: Kind(422, "A field is not known"),
    Code.WRONG_TYPE: Kind(422, "A field has the wrong type"),
    Code.INVALID_VALUE: Kind(422, _FIELD),
    Code.FORBIDDEN_CHARACTER: Kind(422, "A character cannot be used"),
    Code.INVALID_CLASS: Kind(422, "The class is not known"),
    Code.NUMBER_INVALID: Kind(422, "The number cannot be used"),
    Code.NUMBER_EMPTY: Kind(422, "The number is empty"),
    Code.NUMBER_LENGTH: Kind(422, "The number has an impossible length"),
    Code.NUMBER_TOO_SHORT: Kind(422, "The number is too short"),
    Code.NUMBER_TOO_LONG: Kind(422, "The number is too long"),
    Code.NUMBER_HAS_LETTERS: Kind(422, "The number has letters"),
    Code.NUMBER_HAS_EXTENSION: Kind(422, "The number has an extension"),
    Code.NUMBER_COUNTRY_UNKNOWN: Kind(422, "The number's country is not known"),
    Code.NUMBER_COUNTRY_MISSING: Kind(422, "The number has no country code"),
    Code.SENDER_EMPTY: Kind(422, "The sender is empty"),
    Code.SENDER_ALPHABET: Kind(422, "The sender has a character that carriers do not take"),
    Code.SENDER_TOO_LONG: Kind(422, "The sender is too long"),
    Code.TEXT_EMPTY: Kind(422, "The text is empty"),
    Code.TEXT_TOO_LONG: Kind(422, "The text is too long"),
    Code.SEND_AT_INVALID: Kind(422, "The time cannot be read"),
    Code.SEND_AT_WITHOUT_OFFSET: Kind(422, "The time has no offset"),
    Code.SEND_AT_PAST: Kind(422, "The time is over"),
    Code.SEND_AT_TOO_FAR: Kind(422, "The time is too far away"),
    Code.VALIDITY_OUT_OF_RANGE: Kind(422, "The validity is out of range"),
    Code.META_TOO_LARGE: Kind(422, "The meta is too large"),
    Code.CALLBACK_URL_INVALID: Kind(422, "The callback URL cannot be used"),
    Code.RECIPIENT_STOPPED: Kind(422, "The recipient is on a stop list"),
    Code.WINDOW_CLOSED: Kind(422, "The validity ends before the message may be sent"),
    Code.NO_MESSAGES: Kind(422, "There is no message"),
    Code.TOO_MANY_MESSAGES: Kind(422, "There are too many messages"),
    Code.IDEMPOTENCY_KEY_INVALID: Kind(422, "The Idempotency-Key cannot be used"),
    Code.IDEMPOTENCY_KEY_REUSED: Kind(422, "The Idempotency-Key belongs to another request"),
    Code.QUERY_INVALID: Kind(422, "A query parameter cannot be used"),
    Code.CURSOR_INVALID: Kind(422, "The cursor cannot be used"),
    Code.PLAN_INVALID: Kind(422, "The plan cannot be used"),
    Code.DATASET_INVALID: Kind(422, "The file cannot be kept"),
    Code.RATE_LIMITED: Kind(429, "More messages than the client may send now", 1),
    Code.BUDGET_EXCEEDED: Kind(429, "The budget is spent", 3600),
    Code.INTAKE_FULL: Kind(429, "No more messages fit at the moment", 2),
    Code.INTERNAL_ERROR: Kind(500, "Something went wrong here"),
    Code.REDIS_AWAY: Kind(503, "Redis cannot be reached", 1),
    Code.POSTGRES_AWAY: Kind(503, "PostgreSQL cannot be reached", 2),
    Code.SHARD_CLOSED: Kind(503, "Messages are not taken until an operator has looked", 30),
    Code.NOT_READY: Kind(503, "Not ready", 1),
}


DOCUMENT_FAULTS: Final = (
    Code.MISSING_FIELD,
    Code.UNKNOWN_FIELD,
    Code.WRONG_TYPE,
    Code.INVALID_VALUE,
    Code.FORBIDDEN_CHARACTER,
)
"""What any JSON document may have."""

SEND_AT_FAULTS: Final = (
    Code.SEND_AT_INVALID,
    Code.SEND_AT_WITHOUT_OFFSET,
    Code.SEND_AT_PAST,
    Code.SEND_AT_TOO_FAR,
)
MESSAGE_FAULTS: Final = (
    Code.INVALID_CLASS,
    *(code for code in Code if code.startswith(("number_", "sender_", "text_"))),
    *SEND_AT_FAULTS,
    Code.VALIDITY_OUT_OF_RANGE,
    Code.META_TOO_LARGE,
    Code.CALLBACK_URL_INVALID,
    Code.RECIPIENT_STOPPED,
    Code.WINDOW_CLOSED,
)
"""What the fields of a message may have beside that."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request."""

    code: Annotated[Code, Meta(description="what is wrong, as a stable word")]
    detail: Annotated[str, Meta(description="what is wrong, and what would be right")]
    pointer: Annotated[str, Meta(description="JSON pointer into the request (RFC 6901)")] = ""


class PlanFault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a plan. A warning does not keep it from being used."""

    line: Annotated[int, Meta(description="line of the document, from 1")]
    pointer: Annotated[str, Meta(description="JSON pointer into the document")]
    code: Annotated[str, Meta(description="what is wrong, as a stable word")]
    sentence: Annotated[str, Meta(description="what is wrong, and what would be right")]
    severity: Annotated[str, Meta(description="error or warning")]


class RowFault(msgspec.Struct, frozen=True):
    """One row of a dataset that is wrong."""

    line: Annotated[int, Meta(description="line of the file, from 1; 0: of no single line")]
    sentence: Annotated[str, Meta(description="what is wrong, and what would be right")]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A problem document (RFC 9457). With several faults, `code`, `detail` and `pointer` are those of the first."""

    type: Annotated[str, Meta(description="where the code is explained; relative to this server")]
    title: Annotated[str, Meta(description="what all problems with this code have in common")]
    status: Annotated[int, Meta(description="the HTTP status")]
    code: Annotated[Code, Meta(description="what is wrong, as a stable word: what programs should look at")]
    detail: Annotated[str, Meta(description="what is wrong, and what would be right")]
    pointer: Annotated[str | None, Meta(description="JSON pointer into the request (RFC 6901)")] = None
    parameter: Annotated[str | None, Meta(description="the query parameter or header at fault")] = None
    errors: Annotated[Sequence[Fault], Meta(description="everything that is wrong with the fields of a message")] = ()
    plan_problems: Annotated[Sequence[PlanFault], Meta(description="everything that is wrong with a plan")] = ()
    row_faults: Annotated[
        Sequence[RowFault], Meta(description="the first of the rows of a dataset that are wrong")
    ] = ()
    line: Annotated[int | None, Meta(description="the line of an NDJSON body, from 1")] = None
    id: Annotated[str | None, Meta(description="the id of the message that is in the way")] = None
    state: Annotated[str | None, Meta(description="the state of the message that is in the way")] = None
    retry_after_s: Annotated[int | None, Meta(description="when repeating may help; also in Retry-After")] = None
    request_id: Annotated[str | None, Meta(description="also in X-Request-Id; tell it to those who run the server")] = (
        None
    )


def problem(
    code: Code,
    detail: str,
    *,
    pointer: str | None = None,
    parameter: str | None = None,
    line: int | None = None,
    id: str | None = None,
    state: str | None = None,
    retry_after_s: int | None = None,
) -> Problem:
    """A problem with what its code says about it."""
    kind = TABLE[code]
    return Problem(
        type=type_of(code),
        title=kind.title,
        status=kind.status,
        code=code,
        detail=detail,
        pointer=pointer,
        parameter=parameter,
        line=line,
        id=id,
        state=state,
        retry_after_s=retry_after_s or kind.retry_after_s or None,
    )


def from_faults(faults: Sequence[Fault], line: int | None = None, pointer: str = "") -> Problem:
    """The problem of a message, from all that is wrong with it, at least one fault; `pointer`: where the message is."""
    if pointer:
        faults = [Fault(f.code, f.detail, pointer + f.pointer) for f in faults]
    first = faults[0]
    made = problem(first.code, first.detail, pointer=first.pointer, line=line)
    return msgspec.structs.replace(made, errors=tuple(faults))


def type_of(code: Code) -> str:
    """Where this server explains the code."""
    return f"/docs/problems/{code}"
