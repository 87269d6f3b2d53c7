"""docs/test-keys.md, with the table of magic numbers as the sandbox plays it.

In: nothing. Out: the page's text. Never: a number that is not in the table.
"""

from __future__ import annotations

from typing import Final

from gateway.embedded.sandbox.magic import TABLE, Magic

_PAGE: Final = """\
# Test keys and magic numbers

A test key sends like any other key, and never to a phone: whatever it sends goes to sandbox carriers. The number
decides what becomes of the message, so that an application's tests can have every outcome, with its callbacks, on
purpose.

## Start

With `sluice up` running:

```sh
. "${{SLUICE_DATA:-.sluice}}/client.env"
TEST_KEY=$(sluice keys create --client my-tests --test 2>/dev/null)
SLUICE_KEY=$TEST_KEY sluice send {delivered} "Hello" --wait
SLUICE_KEY=$TEST_KEY sluice send {barred} "Hello" --wait || test $? = 3
SLUICE_KEY=$TEST_KEY sluice trace {barred}
```

The second one ends as `undeliverable`, and exit code 3 says so. Endpoints and `callback_url` work as with any key:
[callbacks](callbacks.md).

## The numbers

{table}

Reasons and states are explained in [states and reasons](states.md). A number of the range that is not in the table is
delivered at once, as every other number is by a sandbox that was not told otherwise.

- **{unknown}** stays `unknown` in the classes `transactional` and `marketing`. `otp` and `alert` messages are sent
  again after each silence, as they would be to a real carrier, until their validity ends. How long a silence is, is
  the carrier's `answer_timeout_s`, 30 seconds by default.
- **{unknown}** and **{no_receipt}** expire once validity and the setting `receipt_grace_s` are over; give a short
  `validity_s` to see it.
- **{parts}** needs a text of several parts: more than 160 characters of the GSM alphabet, or more than 70 others.
- **{throttled}** and **{full}** slow the sandbox down for a moment, also for what is sent beside them, as a real
  carrier would.
- Send with a new `ref`, or none: a repeated one gives the first message's answer.

The seconds are those of the sandbox's clock. `magic_speed` in its profile makes them pass faster, which suits
automatic tests; the sandbox's control port (printed by `sluice sandbox`, and in `.sluice/sandbox.json`) takes it
while it runs:

```
curl -X PATCH http://127.0.0.1:2776/profile -d '{{"magic_speed": 10}}'
```

## What is different about a test message

| | |
|---|---|
| where it goes | to the carriers that the plan marks `sandbox = true`, in the plan's order; routes are not asked |
| without such a carrier | 403 `test_key`; what was accepted before the plan lost it ends as `failed` |
| after an error, a recall, a restart or another plan | still only there: no other carrier's connector sends it |
| cost | none: price 0, and no row of it in `bi.messages`, `GET /v1/stats`, `sluice stats` and the roll-ups |
| to look at | `GET /v1/messages/{{id}}`, search and `sluice trace` show it, with `"test": true` |
| callbacks | the same types, signatures and retries; `data` has `"test": true` |
| limits | quotas and the classes and networks of the key hold; metrics count it, because the machine works for it |

Keys are of one kind for good: to go live, use another key. Both may belong to one client; then that client's
endpoints hear of both, and `test` tells them apart.

## With a normal key

To a real carrier a magic number is a number like any other. The sandbox carrier plays the numbers for every message
that reaches it, so with the plan of `sluice up` they work with the key in `client.env` as well; such messages are
counted and cost what the plan says.

## Why these numbers

+44 7700 900000 to 900999 are kept by Ofcom, the British regulator, for films and television: they look like mobile
numbers, pass as possible ones in E.164, and are never given to a subscriber. Should a test message ever leave by
mistake, nobody gets it.

## For operators

How the sandbox behaves beside these numbers is a profile's business: [the sandbox](sandbox.md).

Any carrier can be marked `sandbox = true`, such as an account of your own at a provider that offers one; only
Sluice's sandbox (`sluice sandbox`, which `sluice up` starts) knows these numbers. It plays them by SMPP and by HTTP
alike; by HTTP a reason is as exact as the plan's `errors` and `codes` make it. `magic = false` in its profile turns
them off.
"""


def page() -> str:
    """The whole page."""
    numbers = {
        "delivered": "+447700900001",
        "barred": "+447700900103",
        "unknown": "+447700900401",
        "no_receipt": "+447700900402",
        "parts": "+447700900108",
        "throttled": "+447700900301",
        "full": "+447700900302",
    }
    return _PAGE.format(table=table(), **numbers)


def table() -> str:
    """All numbers, in Markdown."""
    lines = ["| number | what happens | ends as | reason |", "|---|---|---|---|", *map(_row, TABLE)]
    return "\n".join(lines)


def _row(magic: Magic) -> str:
    ends = f"`{magic.stays}`, later `{magic.state}`" if magic.stays else f"`{magic.state}`"
    reason = f"`{magic.reason}`" if magic.reason else ""
    return f"| `{magic.number}` | {magic.title} | {ends} | {reason} |"
