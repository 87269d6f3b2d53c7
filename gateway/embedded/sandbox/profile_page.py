"""docs/sandbox.md: the sandbox, its control port and everything that a profile may say, made of the types.

In: nothing. Out: the page's text. Never: a field or a profile that is not there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.embedded.sandbox.forms import Ids, ReceiptForm
from gateway.embedded.sandbox.profile import Condition, Fate, Profile, read_profile, shipped_names
from gateway.embedded.sandbox.refusals import meaning
from gateway.embedded.sandbox.rules import Links, Submits, Web

_PAGE: Final = """\
# The sandbox: a carrier that misbehaves on order

`sluice sandbox` is an SMSC that speaks real SMPP over TCP, a carrier that is reached by HTTP, and a port that shows what
phones would show. `sluice up` starts one and has a sample plan that leads to it. It is made for three things: to begin
without a carrier, to test an application ([magic numbers](test-keys.md)), and to rehearse a carrier before paying for
it: a **profile** makes it slow, strict, forgetful or broken in the ways that carriers are.

```
sluice sandbox --profile flaky                         # alone: SMPP on 2775, control port on 2776, by HTTP on 2777
sluice up --sandbox-profile grey-route                 # inside `sluice up`
sluice sandbox profiles                                # those that ship
sluice sandbox show flaky > mine.toml                  # to begin with one; `show mine.toml` checks it
curl -X PUT http://127.0.0.1:2776/profile/throttled    # another one while it runs
```

What it takes is delivered to nobody. Alone it lets in `sandbox` with the password `sandbox`, which is also the bearer of
its HTTP side; `--system-id` and `--password-file` name others. Its ports have no keys: they belong on a loopback address.

## Profiles that ship

{shipped}

Without a profile everything is answered and delivered at once.

## Writing one

A profile is a TOML file. What stands at its top is the fate of every message; `[[cases]]` change it for some.

```toml
about = "mostly well"
answer_delay_ms = {{ median = 20, p99 = 300 }}
receipt_delay_s = {{ least = 1, most = 8 }}
throttle_per_s = 200

[[cases]]               # a twentieth of the messages to this prefix
prefix = "7916"
share = 0.05
status = 0x08           # system error

[[cases]]               # by text
text = "casino"
stat = "REJECTD"
err = "013"

[receipt]
timezone = "Asia/Almaty"

[links]
lives_s = {{ mean = 600 }}
```

A name that is not known, a value out of bounds or of the wrong kind is refused with its place and what would be right;
then the profile that was in force stays.

**Times** (`*_ms`, `*_s` where the table says so) are numbers, or a distribution: `{{ least = 1, most = 8 }}` (uniform),
`{{ mean = 3 }}` (exponential), `{{ median = 20, p99 = 300 }}` (log-normal, as delays of networks are); `most` also bounds
the last two.

### What happens to a message

{fate}

`[[cases]]` take all of these, and say for which messages they are. The first case that holds decides; `share` is of the
messages that come to it.

{condition}

### The carrier

{profile}

### `[ids]`

{ids}

### `[receipt]`

{receipt}

### `[submits]`

{submits}

### `[links]`

{links}

### `[web]`

{web}

Besides, the HTTP side (option `--web`) takes what has a meaning there: fates, cases, rates, windows, ids.

## The control port

| request | does |
|---|---|
| `GET /` | all of these |
| `GET /messages`, `GET /phone/+79161234567` | what phones show, parts joined, in the alphabet that the profile says; `?to=`, `?limit=` |
| `DELETE /messages` | empties the phones |
| `GET /profile`, `GET /profiles` | the profile in force; those that ship |
| `PUT /profile/flaky` | puts a shipped one in force |
| `PUT /profile`, `PATCH /profile` | another one as JSON; some fields of the one in force (tables field by field) |
| `POST /inbound` | a subscriber's message: `{{"from": "+79161234567", "to": "4004", "text": "STOP"}}` |
| `POST /disconnect` | ends every connection: `{{"how": "unbind"}}`, `close`, `reset` or `half_open` |
| `GET /stats`, `POST /stats/reset` | counts: submits, answers, receipts, what came twice, garbage, links that ended |

What is wrong with a request is 422 with a sentence in `error`.

With `--journal FILE` the sandbox also appends each part that it takes to a file, before the answer leaves: a JSON line with
`at`, `id`, `to`, `part`, `parts` and `text`. What phones got is known even after a kill -9 of the sandbox.

A long inbound message can be cut and damaged: `concatenation` (`udh8`, `udh16`, `sar`, `message_payload`), `reference`,
`order` (`in_order`, `reversed`), `double` and `leave_out` (numbers of parts), `system_id` (which account), `web` (by the
web carrier's callback).

```
curl http://127.0.0.1:2776/inbound -d '{{"from": "+79161234567", "to": "4004", "text": "…", "order": "reversed", "leave_out": [2]}}'
```

## Which behaviour is which field

| what carriers do | field |
|---|---|
| answer without a message id; answer twice; never answer, though they took it | `no_id`; `answer_twice`; `answered = false` |
| answer after the gateway has given up | `answer_delay_ms` |
| ids in hex here and in decimal there, with leading zeros or without, of 32 to 96 bits | `[ids]` |
| receipts before the answer, late, lost, doubled, in the wrong order, contradicting | `early`, `receipt_delay_s`, `receipts`, `scrambled`, `then` |
| receipts for the first or the last part only | `[receipt] parts` |
| receipts in TLVs, in message_payload, by data_sm, with words, dates and fields of their own | `[receipt]` |
| throttling, a full queue, a window | `throttle_per_s`, a case with `status = 0x14`, `window` |
| only transmitter and receiver binds; SMPP 3.3 | `binds`; `version` |
| data_coding 0 that means Latin-1, ASCII or packed septets; one way of long messages only | `[submits]` |
| links that break, unbind, or stay and say nothing; garbage; one byte at a time | `[links]` |
| query_sm and cancel_sm | `query`, `cancel` |
| by HTTP: 200 with an error in it, 429 without Retry-After, 5xx after the message was taken | `[web]` |
"""  # noqa: E501


def page() -> str:
    """The whole page."""
    own = tuple(f for f in Profile.__struct_fields__ if f not in Fate.__struct_fields__)
    tables = ("cases", "ids", "receipt", "submits", "links", "web")
    return _PAGE.format(
        shipped=_shipped(),
        fate=_table(Fate),
        condition=_table(Condition),
        profile=_table(Profile, [name for name in own if name not in tables]),
        ids=_table(Ids),
        receipt=_table(ReceiptForm),
        submits=_table(Submits),
        links=_table(Links),
        web=_table(Web),
    )


def _shipped() -> str:
    rows = [f"| `{name}` | {read_profile(name).about} |" for name in shipped_names()]
    return "\n".join(("| profile | what it is like |", "|---|---|", *rows))


def _table(kind: type[msgspec.Struct], names: list[str] | None = None) -> str:
    fields = [f for f in msgspec.structs.fields(kind) if names is None or f.name in names]
    rows = [f"| `{f.encode_name}` | {meaning(f.type)} | {_default(f.default)} |" for f in fields]
    return "\n".join(("| field | means | default |", "|---|---|---|", *rows))


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if isinstance(value, int) else "`{}`"
