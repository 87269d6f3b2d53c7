"""What each problem code means and what to do about it: the texts of its page and the examples of the OpenAPI document.

Pure data, one entry a code. Where a message can show it, the example is what the checks really say to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.api.problems import Code


class Explanation(NamedTuple):
    """`given`: fields that make a good message show the code; else `detail` and where the fault is."""

    means: str
    todo: str
    detail: str = ""
    pointer: str | None = None
    parameter: str | None = None
    given: Mapping[str, Any] | None = None


_CHANGE_FIELD: Final = "Nothing was accepted. Correct the field and send the message again; the same `ref` may be used."

EXPLANATIONS: Final[Mapping[Code, Explanation]] = {
    Code.NOT_HTTP: Explanation(
        "The bytes that arrived are not a request of HTTP/1.1: a broken request line, a header with forbidden"
        " characters or of more than 8 KB, two lengths that contradict each other.",
        "Use an HTTP library rather than writing bytes yourself, and look for a proxy between you and the gateway that"
        " changes requests. TLS spoken to a port without TLS looks like this too: compare http:// and https://.",
        "The request is not HTTP/1.1: Bad status line.",
    ),
    Code.NOT_JSON: Explanation(
        "The body cannot be read as JSON in UTF-8: it is cut off, has a comma too many, is empty, or is compressed in"
        " another way than `Content-Encoding` says.",
        "Let a JSON library write the body. In a shell, put the body in single quotes so that `$` and quotes arrive.",
        "The JSON is cut off, or there is none: send the whole document.",
    ),
    Code.CALLBACK_UNREADABLE: Explanation(
        "A carrier's report is not what the plan says that it is: no JSON or no form, or a receipt without a state or"
        " without anything that tells which message it is of.",
        "Compare what the carrier sends with `callbacks` in its settings of the plan; docs/http-carriers.md explains"
        " each field. The metric `sluice_carrier_callbacks_total` counts such reports.",
        "The body is no json.",
    ),
    Code.CALLBACK_UNPROVEN: Explanation(
        "This address is for carriers, and the request has no proof that it comes from one: no token, no signature, no"
        " user.",
        "Give the carrier the callback URL with its token, or switch on its signature, as `callbacks.proof` of the plan"
        " says. Applications do not report here.",
        "The request does not prove that it comes from the carrier.",
    ),
    Code.CALLBACK_REFUSED: Explanation(
        "The report's token, signature, user, time or address is not what the plan says.",
        "Compare the token or the secret at the carrier with the one that the plan refers to. For signatures over the"
        " URL, `callbacks_url` must be the URL that the carrier calls, behind any proxy. Old reports are refused too:"
        " look at the clocks.",
        "The request's proof is wrong.",
    ),
    Code.NO_KEY: Explanation(
        "The request has no `Authorization` header of the form `Bearer sk_…`, and this path is for holders of a key.",
        "Send your key in every request: `Authorization: Bearer sk_…`. Your administrator makes one with"
        " `sluice keys create`; after `sluice up` one lies in `.sluice/client.env`.",
        "Give your key in the header `Authorization: Bearer sk_…`.",
    ),
    Code.WRONG_KEY: Explanation(
        "The header has the right form, but no key like this one works here: it was revoked, belongs to another"
        " installation, or was cut when it was copied.",
        "Compare the key with the one that was made: it begins with `sk_` and has 48 hexadecimal digits after it."
        " A new one takes a second; a lost secret cannot be shown again.",
        "No key like this one works here: it may have been revoked or mistyped.",
    ),
    Code.KEY_EXPIRED: Explanation(
        "The key was made with an end, and that is over.",
        "Have a new key made and put it in place of the old one. To change keys without a gap, make the new one before"
        " the old one ends: both work.",
        "The key has expired: ask for a new one.",
    ),
    Code.SCOPE_MISSING: Explanation(
        "The key works, but is not for this: each key has scopes such as `send`, `read`, `stats`, `ops`, `plan`,"
        " `admin`, and the path asks for one that this key lacks.",
        "Use a key with the scope that `detail` names, or have one made. A key's scopes cannot be changed later.",
        "This needs the scope `plan`, and the key has `send`, `read`, `stats`.",
    ),
    Code.CLASS_NOT_ALLOWED: Explanation(
        "The key may send some classes of messages only, and this message's class, or the default one"
        " `transactional`, is not among them.",
        "Name a class that the key may send; `detail` lists them. If the application needs the other class, have"
        " a key made for it.",
        "This key may not send that class; it may send: otp.",
        "/class",
    ),
    Code.ADDRESS_NOT_ALLOWED: Explanation(
        "The key may be used from certain networks only, and the request came from elsewhere.",
        "Send from the machine the key was made for. Behind a proxy of your own, the gateway must trust it"
        " (`trusted_proxies`), or it sees the proxy's address instead of yours.",
        "The key may not be used from this address.",
    ),
    Code.TEST_KEY: Explanation(
        "A test key's messages go to sandbox carriers only, and the plan in use has none, so that this message could"
        " not go anywhere.",
        "Use a real key to send for real, or add a carrier with `sandbox = true` to the plan.",
        "This is a test key, and the plan has no sandbox carrier: use another key.",
    ),
    Code.NO_SUCH_ROUTE: Explanation(
        "Nothing is at this path. Paths are exact: a slash at the end or a missing `/v1` makes another path.",
        "Compare the path with the list in /docs.",
        "See /docs for what there is.",
    ),
    Code.UNKNOWN_MESSAGE: Explanation(
        "No message of this client has this id. It may be another client's, older than what is kept, or mistyped."
        " A message is found from the moment of its 202.",
        "Take the id from the answer to sending. With your own id, search: `GET /v1/messages?ref=…`.",
        "No message of yours has this id.",
    ),
    Code.UNKNOWN_BATCH: Explanation(
        "No batch of this client has this id.",
        "Take `batch_id` from the answer to the batch; a message's id is not a batch's.",
        "No batch of yours has this id.",
    ),
    Code.UNKNOWN_CARRIER: Explanation(
        "Neither the plan in use nor any connector knows a carrier of this name.",
        "`GET /v1/carriers` lists the names; `detail` repeats them.",
        "There is no carrier of this name; known are: north, south.",
    ),
    Code.UNKNOWN_PLAN: Explanation(
        "The plan has no version of this number.",
        "`GET /v1/plans` lists the versions.",
        "There is no such version; GET /v1/plans lists them.",
    ),
    Code.UNKNOWN_DATASET: Explanation(
        "There is no dataset of this kind, or no version of this number whose content is kept.",
        "`GET /v1/datasets` lists kinds and versions, `GET /v1/stoplist/versions` those of stop lists; the content of"
        " the newest thirty of each is kept.",
        "There is no version 12 of numbers whose content is kept; GET /v1/datasets lists them.",
    ),
    Code.UNKNOWN_KEY: Explanation(
        "No key has this id. The id begins with `key_` and is not the secret.",
        "`GET /v1/keys` or `sluice keys list` shows the ids.",
        "There is no such key; GET /v1/keys lists them.",
    ),
    Code.UNKNOWN_ENDPOINT: Explanation(
        "No endpoint of this key's client has this id. The id begins with `ep_`; another client's is as unknown.",
        "`GET /v1/endpoints` lists the ids.",
        "No endpoint of yours has this id; GET /v1/endpoints lists them.",
    ),
    Code.TOO_MANY_ENDPOINTS: Explanation(
        "A client has 50 endpoints at most, those that are disabled included.",
        "Remove one that is not used any more: `DELETE /v1/endpoints/{id}`.",
        "A client has at most 50 endpoints: remove one that is not used.",
    ),
    Code.ENDPOINT_DISABLED: Explanation(
        "Nothing is sent to an endpoint that was disabled, by its client or because its server answered 410 Gone.",
        'Enable it with `PATCH /v1/endpoints/{id}` and `{"enabled": true}`, then repeat this.',
        'The endpoint is disabled: PATCH it with {"enabled": true} first.',
    ),
    Code.UNKNOWN_CLIENT: Explanation(
        "No key was ever made for a client of this name.",
        "`GET /v1/clients` lists the names. A client begins to exist with its first key.",
        "There is no such client; GET /v1/clients lists them.",
    ),
    Code.METHOD_NOT_ALLOWED: Explanation(
        "The path is right, but not with this method.",
        "Use one of the methods in the `Allow` header.",
        "This path takes GET, POST.",
    ),
    Code.BODY_TOO_SLOW: Explanation(
        "The headers came, but the body did not within 30 s.",
        "Repeat the request; with a `ref` or an `Idempotency-Key` it is safe. If it happens again, look at the network"
        " between you and the gateway, or at a `Content-Length` that is larger than the body.",
        "The body took longer than 30 s to arrive.",
    ),
    Code.REF_CONFLICT: Explanation(
        "A message with this `ref` to this recipient was accepted before, and it says something else: another text,"
        " class, sender, time or tag. The new one was not accepted; `id` is the first one's.",
        "Look at the first message (`GET /v1/messages/{id}`). If the new one is another message, give it a `ref` of its"
        " own; if it is the same, send exactly the same fields and you get the first answer with `duplicate: true`.",
        "This ref was used for another message to this recipient: take a new ref, or send the same message.",
        "/ref",
    ),
    Code.REQUEST_RUNNING: Explanation(
        "A request with this `Idempotency-Key` is being worked on at this moment; a second one would be the same one.",
        "Wait a second and repeat the same request: you get the first one's answer.",
        "Repeat this in a moment to get its answer.",
        parameter="Idempotency-Key",
    ),
    Code.TOO_LATE: Explanation(
        "The message cannot be taken back any more: it is on its way to a carrier, or has ended. `state` says which.",
        "Nothing can be done about a message on the wire. To be able to cancel, send with `send_at` in the future.",
        "The message is on its way to the carrier, or there already.",
    ),
    Code.TOO_LARGE: Explanation(
        "The body is larger than this installation takes (`max_body_bytes`, 16 MiB unless set otherwise).",
        "Send fewer messages at once; several batches may be under way at the same time.",
        "The body has more than 16777216 bytes: send fewer messages at once.",
    ),
    Code.MISSING_FIELD: Explanation(
        "A field that must be there is not. A message needs `to` and `text`; in a batch, `defaults` may give them.",
        "Add the field that `pointer` names.",
        "`to` is missing: the recipient's number.",
        "/to",
    ),
    Code.UNKNOWN_FIELD: Explanation(
        "The document has a field that does not exist here. It is refused rather than ignored, because a mistyped name"
        " would otherwise change the message without a word.",
        "`detail` guesses the field that was meant. Data of your own goes into `meta`.",
        given={"sendat": "2030-01-31T09:00:00Z"},
    ),
    Code.WRONG_TYPE: Explanation(
        "A field has a value of another type, such as a number where a string is expected.",
        "A phone number is a string in JSON, quotes included; `detail` says what each field takes.",
        given={"to": 79161234567},
    ),
    Code.INVALID_VALUE: Explanation(
        "A field's value has the right type, but cannot be used: too long, out of range, not one of the known words.",
        "`detail` says what would be right for the field that `pointer` names.",
        given={"ref": "x" * 129},
    ),
    Code.FORBIDDEN_CHARACTER: Explanation(
        "A text has a character that cannot be stored or sent: U+0000, or half of a surrogate pair (an emoji cut in"
        " two is the usual way to get one).",
        "Cut texts by characters, not by bytes or UTF-16 units, and leave U+0000 out.",
        given={"text": "a\0b"},
    ),
    Code.INVALID_CLASS: Explanation(
        "`class` is not one of the four classes.",
        "`otp` for codes that somebody waits for, `alert` for alarms, `transactional` for what a person caused,"
        " `marketing` for the rest. Without the field it is `transactional`.",
        given={"class": "vip"},
    ),
    Code.NUMBER_INVALID: Explanation(
        "`to` is not a phone number, or, written without a `+`, not a number of the default region's numbering plan.",
        "Write the number with its country code: `+79161234567`. Spaces, brackets and dashes are fine.",
        given={"to": "12 ? 34"},
    ),
    Code.NUMBER_EMPTY: Explanation(
        "`to` is an empty string.",
        "Give the recipient's number. Usually the field that it was taken from is empty for this customer.",
        given={"to": ""},
    ),
    Code.NUMBER_LENGTH: Explanation(
        "The country is known, but it has no numbers of this length.",
        "Compare the number with its source: usually a digit is missing or doubled.",
        given={"to": "+354 5555 5555"},
    ),
    Code.NUMBER_TOO_SHORT: Explanation(
        "The number has fewer digits than any number of its country.",
        "Write it whole, with its country code: `+79161234567`. Short codes can be senders, not recipients.",
        given={"to": "+7916"},
    ),
    Code.NUMBER_TOO_LONG: Explanation(
        "The number has more digits than any number of its country; 15 is the most that any has.",
        "Look for two numbers in one field, or an extension.",
        given={"to": "+7916123456789012"},
    ),
    Code.NUMBER_HAS_LETTERS: Explanation(
        "`to` has letters, and a phone number has none.",
        "Write the number in digits. A name such as `MyShop` is a sender and belongs in `from`.",
        given={"to": "MyShop"},
    ),
    Code.NUMBER_HAS_EXTENSION: Explanation(
        "The number ends with an extension, which no SMS can reach.",
        "Leave the extension out, if the main number is a mobile phone at all.",
        given={"to": "+7 916 123-45-67 ext. 5"},
    ),
    Code.NUMBER_COUNTRY_UNKNOWN: Explanation(
        "No country has the code that follows the `+`.",
        "Look for a missing country code: a national number with a `+` in front is read from its first digit.",
        given={"to": "+999123456789"},
    ),
    Code.NUMBER_COUNTRY_MISSING: Explanation(
        "The number has no country code, and this installation has no default region to complete it with.",
        "Write it with `+` and the country code.",
        "Without a + the country is not known: write the number as +79161234567.",
        "/to",
    ),
    Code.SENDER_EMPTY: Explanation(
        "`from` is there, but empty.",
        "Leave the field out to use the installation's default sender, or give one.",
        given={"from": ""},
    ),
    Code.SENDER_ALPHABET: Explanation(
        "`from` has a character that carriers do not take in a sender: Cyrillic, an emoji, a line break.",
        "Write the name in Latin letters, digits, spaces and signs of the GSM alphabet, such as `MyShop`.",
        given={"from": "Магазин"},
    ),
    Code.SENDER_TOO_LONG: Explanation(
        "A sender's name has at most 11 characters, a numeric one at most 15 digits: the network has no room for more.",
        "Shorten it. Characters such as `€` and `[` count twice.",
        given={"from": "TwelveLetter"},
    ),
    Code.TEXT_EMPTY: Explanation(
        "`text` is an empty string; carriers send nothing without a text.",
        "Look at the template that made the text: usually a variable was empty.",
        given={"text": ""},
    ),
    Code.TEXT_TOO_LONG: Explanation(
        "The text takes more parts than this installation sends (`max_parts`, 10 unless set otherwise). Texts are never"
        " cut. A part holds 153 characters of the GSM alphabet, or 67 if a single one is outside it.",
        "Shorten the text. `POST /v1/messages/preview` shows the parts; one typographic quote or emoji is often what"
        " makes a text take twice as many.",
        given={"text": "Hello! " * 300},
    ),
    Code.SEND_AT_INVALID: Explanation(
        "`send_at` is not a time of RFC 3339, or one that no calendar has.",
        "Write `2030-01-31T09:00:00+03:00`.",
        given={"send_at": "tomorrow"},
    ),
    Code.SEND_AT_WITHOUT_OFFSET: Explanation(
        "`send_at` does not say in which time zone it is.",
        "End it with `Z` for UTC, or with an offset such as `+03:00`.",
        given={"send_at": "2030-01-01T00:00:00"},
    ),
    Code.SEND_AT_PAST: Explanation(
        "`send_at` is over already, by the gateway's clock.",
        "Leave the field out to send at once. If the time should be right, look at your clock and at the offset.",
        given={"send_at": "2020-01-31T09:00:00Z"},
    ),
    Code.SEND_AT_TOO_FAR: Explanation(
        "`send_at` is more than 30 days ahead.",
        "Keep such messages on your side and send them later.",
        given={"send_at": "2999-01-31T09:00:00Z"},
    ),
    Code.VALIDITY_OUT_OF_RANGE: Explanation(
        "`validity_s` is not a whole number of seconds between 1 and what this installation allows (three days unless"
        " set otherwise).",
        "Give the seconds after which the message is worth nothing, or leave the field out.",
        given={"validity_s": 0},
    ),
    Code.META_TOO_LARGE: Explanation(
        "`meta` takes more than 1,024 bytes as JSON.",
        "Keep your data on your side under the message's `ref`, and only what you need in callbacks in `meta`.",
        given={"meta": {"note": "x" * 1100}},
    ),
    Code.CALLBACK_URL_INVALID: Explanation(
        "`callback_url` is not an address that events could be sent to.",
        "Give an absolute address with http:// or https:// and a host, without a user name or fragment.",
        given={"callback_url": "example.com/sms"},
    ),
    Code.RECIPIENT_STOPPED: Explanation(
        "The number is on a stop list for the message's class: the subscriber wrote STOP, or somebody put him there."
        " Lists hold for everybody's messages or for one client's; an entry that names no class stops all but `otp`.",
        "Nothing was accepted. Leave the recipient out. `GET /v1/stoplist/{number}` says what is stopped since when;"
        " your own list you change with `/v1/stoplist`, everybody's only an operator.",
        "The recipient is on your stop list for the class marketing: leave him out.",
        "/to",
    ),
    Code.WINDOW_CLOSED: Explanation(
        "The plan allows this class only in certain hours of the recipient's day, and the message's validity ends"
        " before the next of them: it could never be sent.",
        "Nothing was accepted. Give a longer `validity_s`, or a `send_at` in the hours that the sentence names.",
        "Messages of the class marketing go to this recipient from 2030-01-31T09:00+03:00 on, and the validity ends"
        " before: give at least 36000 as `validity_s`, or a `send_at` in those hours.",
        "/validity_s",
    ),
    Code.CALLBACK_UNREADABLE: Explanation(
        "A carrier's report reached us, but it does not have the form that the carrier's settings describe.",
        "Operators: compare what the carrier sends with `callback` in the carrier's settings. Applications never see"
        " this: the address is for carriers.",
        "The report has no field `status`.",
    ),
    Code.CALLBACK_UNPROVEN: Explanation(
        "A report came to a carrier's address without what proves that the carrier sent it: a token in the path, a"
        " signature or a user name.",
        "Operators: give the carrier the whole address, token included, and let it sign as its settings say.",
        "The report carries no signature.",
    ),
    Code.CALLBACK_REFUSED: Explanation(
        "A report's proof is there, but wrong: another token, a signature by another secret, or an address that"
        " the carrier's settings do not allow.",
        "Operators: compare the secret on both sides; after a change the carrier may still use the old one.",
        "The report's signature is not right.",
    ),
    Code.NO_MESSAGES: Explanation(
        "The batch has no message.",
        "Send at least one. As NDJSON, each line is a message; empty lines do not count.",
        "Give 1 to 10000 messages.",
        "/messages",
    ),
    Code.TOO_MANY_MESSAGES: Explanation(
        "The batch has more than 10,000 messages. None was accepted.",
        "Split it; several batches may be under way at the same time.",
        "A batch has at most 10000 messages: send several batches.",
        "/messages",
    ),
    Code.IDEMPOTENCY_KEY_INVALID: Explanation(
        "`Idempotency-Key` is empty, longer than 255 characters, or has spaces or characters outside ASCII.",
        "A random UUID for each new request, kept for its repeats, is a good one.",
        "An Idempotency-Key has 1 to 255 visible ASCII characters: a random UUID is a good one.",
        parameter="Idempotency-Key",
    ),
    Code.IDEMPOTENCY_KEY_REUSED: Explanation(
        "The `Idempotency-Key` was used with another body or path in the last 72 hours. Nothing was accepted.",
        "A key belongs to one request and its repeats. Make a new key for every new request, and repeat a request byte"
        " for byte.",
        "The key was used with another body: repeat the same request, or take a new key.",
        parameter="Idempotency-Key",
    ),
    Code.QUERY_INVALID: Explanation(
        "A query parameter is not known here, or has a value that cannot be used.",
        "`parameter` names it and `detail` says what it takes. In a URL, write `+` as `%2B`.",
        "`limit` is 1 to 500.",
        parameter="limit",
    ),
    Code.CURSOR_INVALID: Explanation(
        "`cursor` is not one that a page gave.",
        "Follow `next` of the page before as it stands; do not put cursors together yourself.",
        "Take the cursor from `next` of the page before, or leave it out.",
        parameter="cursor",
    ),
    Code.PLAN_INVALID: Explanation(
        "The plan has errors, and was not kept or not made active. `plan_problems` has all of them, by line.",
        "`sluice plan check plan.toml` shows the same before it matters.",
        "Line 12: the route names a carrier `nort` that the plan does not have; did you mean `north`?",
        "/route/0/carriers/0",
    ),
    Code.DATASET_INVALID: Explanation(
        "The file has more wrong rows than are tolerated, or is something else. Nothing was kept. `row_faults` has the"
        " first of them, by line.",
        "`sluice numbers import FILE` says the same, and reads files that are not exported as UTF-8 as well.",
        "Line 12: the code is `90`: three digits, such as 916, are right.",
    ),
    Code.RATE_LIMITED: Explanation(
        "Your client has sent more messages than its quota allows at this moment. Nothing of this request was accepted:"
        " a batch is taken whole or not at all. Every key of the client counts.",
        "Wait as long as `Retry-After` says and repeat the same request. To stay clear of it, read `RateLimit` in every"
        " answer: `r` messages may be sent now, and after `t` seconds there are more. An administrator can raise"
        " the quota with `POST /v1/clients/{name}/quota`.",
        "This message is more than your client may send now: 100 a second, 200 at once."
        " Repeat this in 1 s, and send no faster than that.",
    ),
    Code.BUDGET_EXCEEDED: Explanation(
        "The plan gives your client, or the message's tag, so much money a day or month, and the messages of this"
        " period have cost it, or will. In a batch it is said of each message that there is no money for.",
        "Repeat the message when the next period begins, as `Retry-After` says, or ask those who run the gateway for a"
        " larger budget: `[[budget]]` in the plan. What is urgent should not share a budget with what is not.",
        "The budget of the client shop, 500.00 RUB a day, has no money left for this message: the next day begins at"
        " 2026-12-02T00:00+03:00. Repeat it then, or ask those who run the gateway for a larger budget.",
    ),
    Code.INTAKE_FULL: Explanation(
        "The gateway holds as many messages as it has room for: more come in than carriers take, or Redis is at its"
        " memory bound. What was accepted before goes on.",
        "Repeat after `Retry-After`, with growing pauses. Operators: `/metrics` and `GET /v1/carriers` show what holds"
        " messages up; usually a carrier is slow or paused.",
        "5000000 messages wait in intake: send more slowly, and repeat this later.",
    ),
    Code.INTERNAL_ERROR: Explanation(
        "A fault of the gateway itself. It is in the server's log under the request id.",
        "Tell those who run the gateway the `request_id`. A repeat is safe with the same `ref` or `Idempotency-Key`.",
        "The request id leads to what happened in the server's log.",
    ),
    Code.REDIS_AWAY: Explanation(
        "Redis did not answer in time. If this was a request to send, it is not known whether it was accepted.",
        "Repeat it. With the same `ref` or `Idempotency-Key` nothing is sent twice; without one, a message may be.",
        "It is not known whether the message was accepted: repeat it. With the same `ref` or Idempotency-Key nothing is"
        " sent twice.",
    ),
    Code.POSTGRES_AWAY: Explanation(
        "PostgreSQL cannot be asked at the moment. Messages are still accepted and sent; only what has to be looked up"
        " waits.",
        "Repeat this after `Retry-After`.",
        "Messages are still accepted and sent; repeat this when PostgreSQL is back.",
    ),
    Code.SHARD_CLOSED: Explanation(
        "Redis may have been restored from an older state, and until it is compared with PostgreSQL nothing moves: a"
        " message could be sent twice or lost. Nothing was accepted.",
        "Operators: `sluice recover` compares and opens it again. Applications: repeat with growing pauses.",
        "Redis is older than PostgreSQL's records: run `sluice recover`.",
    ),
    Code.NOT_READY: Explanation(
        "The process has begun, but does not have what this request needs yet: its keys, or the messages of a batch.",
        "Repeat in a moment. `/readyz` says what is missing.",
        "The keys are not known yet: Redis has none, and PostgreSQL cannot be asked.",
    ),
}
