"""What a carrier's answer means for the messages of its request.

In: an answer and how many messages were asked about. Out: one `Outcome` each. The carrier's own table of errors decides
first, then the rule of success, then the status. An answer that nobody can read after a success status is `uncertain`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from gateway.provider import RULES, Outcome, Reason, accepted, deferred, refused, uncertain
from providers._web.pointer import as_text
from providers._web.reading import Fault, reason
from providers._web.settings import ErrorRule, Place, Statuses, Success, WebSettings
from providers._web.spots import (
    UNREADABLE,
    Answer,
    compile_spot,
    pattern,
    pointer,
    reads_json,
    words,
)

LONGEST_PAUSE_S: Final = 3600.0
_DOUBT: Final = frozenset({Reason.UNCERTAIN, Reason.NO_ANSWER, Reason.DISCONNECTED})
_BY_STATUS: Final = {
    400: Reason.CARRIER_ERROR,
    401: Reason.UNAUTHORIZED,
    402: Reason.NO_CREDIT,
    403: Reason.UNAUTHORIZED,
    407: Reason.UNAUTHORIZED,
    408: Reason.TEMPORARY,
    425: Reason.TEMPORARY,
    429: Reason.THROTTLED,
    500: Reason.TEMPORARY,
    502: Reason.TEMPORARY,
    503: Reason.TEMPORARY,
    504: Reason.TEMPORARY,
}
"""What a status means that neither `errors` nor `uncertain` names; others from 505 on are in doubt, the rest refuse."""


class AnswerReader:
    """Reads one carrier's answers. Raises Fault for settings that cannot work."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._rules = [_Rule(rule, index) for index, rule in enumerate(settings.errors)]
        self._uncertain = _statuses(settings.uncertain)
        self._whole = _Part(settings.success, settings.message_id, settings.error_code, "")
        batch = settings.batch
        self._results = self._match = None
        if batch is not None:
            self._each = _Part(batch.success or Success(), batch.message_id, batch.error_code, "batch.", inside=True)
            self._results = pointer(batch.results, "batch.results")
            self._match = pointer(batch.match, "batch.match") if batch.match else None

    def read(self, answer: Answer, references: Sequence[str]) -> list[Outcome]:
        """One outcome for each of the messages, named by our references, in their order."""
        if self._results is None:
            return [self._read(self._whole, answer, None, reference) for reference in references]
        if not self._whole.matches(answer.status):
            return [self._read(self._whole, answer, None, "")] * len(references)
        results = self._results.find(answer.document)
        if not isinstance(results, list):
            return [self._read(self._whole, answer, None, "", listless=True)] * len(references)
        return [
            uncertain(Reason.UNCERTAIN, "no result")
            if result is None
            else self._read(self._each, answer, result, reference)
            for result, reference in zip(self._in_order(results, references), references, strict=True)
        ]

    def _in_order(self, results: list[Any], references: Sequence[str]) -> list[Any]:
        if self._match is None:
            # Fewer or more results than messages: nobody can tell whose they are.
            return results if len(results) == len(references) else [None] * len(references)
        by_reference = {self._match.text_at(result): result for result in results}
        return [by_reference.get(reference) for reference in references]

    def _read(self, part: _Part, answer: Answer, result: Any, reference: str, listless: bool = False) -> Outcome:
        code = part.error_code(answer, result) if part.error_code else ""
        good = part.matches(answer.status)
        if good and part.word is not None and not listless:
            word = part.word(answer, result)
            if word in part.words:
                return accepted(part.message_id(answer, result) if part.message_id else reference if part.ours else "")
            good, code = False, code or word
        for rule in self._rules:
            if rule.holds(answer, code):
                return self._outcome(rule.reason, rule.after_s or _retry_after(answer), code or str(answer.status))
        if answer.status in self._uncertain:
            return uncertain(Reason.UNCERTAIN, code or str(answer.status))
        if part.matches(answer.status):
            return self._after_success(part, answer, result, reference, code, good and not listless)
        why = _BY_STATUS.get(answer.status, Reason.UNCERTAIN if answer.status > 504 else Reason.CARRIER_ERROR)
        return self._outcome(why, _retry_after(answer), code or str(answer.status))

    def _after_success(
        self, part: _Part, answer: Answer, result: Any, reference: str, code: str, good: bool
    ) -> Outcome:
        """The status says yes, and no rule says no. A code that no rule names still means no."""
        unreadable = part.reads_json and result is None and answer.document is UNREADABLE
        if good and not code:
            if part.ours or part.message_id is None:
                return accepted(reference if part.ours else "")
            if found := part.message_id(answer, result):
                return accepted(found)
        if unreadable or not code:
            return uncertain(Reason.UNCERTAIN, f"{answer.status} unreadable" if unreadable else str(answer.status))
        return refused(Reason.CARRIER_ERROR, code)

    def _outcome(self, why: Reason, after_s: float, code: str) -> Outcome:
        if why in _DOUBT:
            return uncertain(why, code)
        return deferred(why, after_s, code) if RULES[why].retry else refused(why, code)


class _Part:
    """The rules for a whole answer, or for one result of a batch."""

    def __init__(
        self, success: Success, message_id: Place | None, error_code: Place | None, prefix: str, inside: bool = False
    ) -> None:
        if success.at is not None and not success.words:
            raise Fault(f"{prefix}success.words", "is needed with `at`: the words that mean yes")
        if success.words and success.at is None:
            raise Fault(f"{prefix}success.at", "is needed with `words`: where one of them stands")
        self.statuses = _statuses(success.status)
        self.ours = message_id == "reference"
        self.message_id = None if self.ours else compile_spot(message_id, f"{prefix}message_id", inside)
        self.error_code = compile_spot(error_code, f"{prefix}error_code", inside)
        self.word = compile_spot(success.at, f"{prefix}success.at", inside)
        self.words = words(success.words)
        self.reads_json = inside or reads_json(success.at, None if self.ours else message_id)

    def matches(self, status: int) -> bool:
        """Whether the status is one of success."""
        return status in self.statuses


class _Rule:
    """One line of the table of errors."""

    def __init__(self, rule: ErrorRule, index: int) -> None:
        name = f"errors[{index}]"
        self._statuses = _statuses(rule.status)
        self._codes = words(rule.code)
        self._pattern = pattern(rule.pattern, f"{name}.pattern") if rule.pattern else None
        self.reason = reason(rule.reason, f"{name}.reason")
        self.after_s = rule.after_s

    def holds(self, answer: Answer, code: str) -> bool:
        """Whether every condition that is given holds."""
        return (
            (not self._statuses or answer.status in self._statuses)
            and (not self._codes or code in self._codes)
            and (self._pattern is None or self._pattern.search(answer.text[:16_384]) is not None)
        )


def _statuses(given: Statuses) -> frozenset[int]:
    found: set[int] = set()
    for word in given:
        if isinstance(word, str) and word.endswith("xx"):
            found.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        else:
            found.add(int(word))
    return frozenset(found)


def _retry_after(answer: Answer) -> float:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a moment; 0 for none."""
    given = as_text(answer.headers.get("retry-after")).strip()
    if not given:
        return 0.0
    try:
        wait_s = (
            float(given)
            if given.isascii() and given.isdigit()
            else (parsedate_to_datetime(given).timestamp() - time.time())
        )
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), LONGEST_PAUSE_S)
