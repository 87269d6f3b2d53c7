"""How a carrier does as one can see from its answers: rate, time to answer, codes, and how it writes its ids.

In: batches of outcomes, receipts, what the matcher learnt. Out: figures for `GET /v1/carriers`; receipts with the id
that the submit answer had. Never: a decision about a message.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway import metrics
from gateway.provider import Kind, Outcome, Receipt, Submission
from gateway.smpp.ids import respell

WINDOW_MS: Final = 10_000
"""What `now` means in a rate."""
_TIMES_KEPT: Final = 2_000
_OF_A_BATCH: Final = 5  # as many answers of one batch stand for all of it
_CODES_KEPT: Final = 200
_LEARNT_FROM: Final = 3
"""Receipts that found their submission by another spelling before all are read so."""


class Vitals:
    """One carrier's figures. Times are ms of the gateway's clock."""

    def __init__(self, carrier: str) -> None:
        self._carrier = carrier
        self._times: deque[tuple[int, int]] = deque(maxlen=_TIMES_KEPT)  # when, how long
        self._sent: deque[tuple[int, int]] = deque()  # when, how many answers
        self._codes: Counter[str] = Counter()
        self.form = ""
        """How the id of the submit answer is made of a receipt's; empty: they are the same, as far as one knows."""
        self._hits = self._received = 0

    def answered(self, batch: Sequence[tuple[Submission, Outcome]], now_ms: int) -> None:
        """Answers as they came; what was not sent says nothing."""
        step = len(batch) // _OF_A_BATCH + 1
        heard = [s.sent_ms for s, _ in batch[::step] if s.sent_ms]
        if heard:
            self._times += [(now_ms, max(0, now_ms - sent_ms)) for sent_ms in heard]
            self._sent.append((now_ms, min(len(batch), len(heard) * step)))

    def count_codes(self, batch: Sequence[tuple[Submission, Outcome]]) -> None:
        """Count what is no yes by the carrier's own number."""
        for code, number in Counter(o.code for _, o in batch if o.code and o.kind != Kind.ACCEPTED).items():
            known = code in self._codes or len(self._codes) < _CODES_KEPT
            name = code if known else "other"
            self._codes[name] += number
            metrics.answer_codes.labels(self._carrier, name).inc(number)

    def learn(self, hits: Mapping[str, int]) -> None:
        """Forms of ids and how many receipts found their submission by each, and under "" how many receipts there were.

        A form is believed when it holds for most receipts, and no other for many: a number may be another message's in
        another spelling.
        """
        received = hits.get("", 0)
        forms = {form: number for form, number in hits.items() if form}
        form, self._hits = max(forms.items(), key=lambda item: item[1], default=("", 0))
        others = sum(forms.values()) - self._hits
        believed = self._hits >= _LEARNT_FROM and self._hits >= 2 * others and 2 * self._hits >= received
        self.form = form if believed else ""

    def take_received(self) -> int:
        """How many receipts came since the last time, while no form was believed."""
        received, self._received = self._received, 0
        return received

    def respell(self, batch: Sequence[Receipt]) -> Sequence[Receipt]:
        """The receipts with ids as this carrier's submit answers have them."""
        if not self.form:
            self._received += len(batch)
            return batch
        made = []
        for receipt in batch:
            name = respell(receipt.carrier_message_id, self.form)
            same = name == receipt.carrier_message_id
            made.append(receipt if same else msgspec.structs.replace(receipt, carrier_message_id=name))
        return made

    def figures(self, now_ms: int) -> dict[str, Any]:
        """For the status."""
        while self._sent and self._sent[0][0] <= now_ms - WINDOW_MS:
            self._sent.popleft()
        times = sorted(took for at, took in self._times if at > now_ms - 60_000)
        return {
            "rate_now_per_s": round(sum(number for _, number in self._sent) * 1000 / WINDOW_MS, 1),
            "answer_p50_ms": _quantile(times, 0.5),
            "answer_p99_ms": _quantile(times, 0.99),
            "codes": dict(self._codes.most_common(20)),
            "message_ids": self.form or None,
            "message_ids_hits": self._hits,
        }


def _quantile(times: Sequence[int], part: float) -> int | None:
    return times[min(len(times) - 1, int(len(times) * part))] if times else None
