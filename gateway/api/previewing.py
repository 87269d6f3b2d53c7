"""What a message would be, and what each treatment of its text would make of it. Pure: the plan is an argument.

In: a checked message and the plan in use. Out: the document of `POST /v1/messages/preview`. Nothing is sent or kept.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from gateway.api import render
from gateway.api.documents import CostlyCharacter, Preview, Price, TreatedText, TreatmentName
from gateway.message import Message, Treatment
from gateway.plan.choice import Choice, Compiled
from gateway.plan.surroundings import Surroundings
from gateway.text import parts
from gateway.text.treatment import Costly, Treated, costly, treat

TREATMENTS: Final[Mapping[Treatment, TreatmentName]] = {
    Treatment.NONE: "none",
    Treatment.TYPOGRAPHY: "typography",
    Treatment.TRANSLITERATION: "transliteration",
}


def preview(m: Message, plan: Compiled | None, now_ms: int, waits_ms: int = 0) -> Preview:
    """The document. `plan` None: none is active, and neither route nor price can be told. `waits_ms`: until when the
    message would wait for its hours."""
    choice = plan.choose(m, Surroundings(now_ms=now_ms)) if plan is not None else None
    chosen = choice if isinstance(choice, Choice) else None
    results = {treatment: treat(m.text, treatment) for treatment in Treatment}
    sent = results[Treatment(chosen.treatment)] if chosen is not None else results[Treatment.NONE]
    return Preview(
        to=m.to,
        sender=(chosen.sender if chosen is not None else "") or m.sender,
        klass=m.klass,  # type: ignore[arg-type]
        encoding=sent.encoding,
        parts=sent.parts,
        characters=len(sent.text),
        part_texts=parts.split(sent.text, sent.encoding),
        validity_s=m.validity_s,
        send_at=render.time_of(m.send_at_ms) if m.send_at_ms else None,
        treatment=TREATMENTS[sent.done],
        route=(choice.route or None) if choice is not None else None,
        operator=(choice.operator or None) if choice is not None else None,
        carrier=chosen.carrier if chosen is not None else None,
        price=_price(sent, chosen),
        treatments=[_document(treatment, result, chosen) for treatment, result in results.items()],
        costly=[_character(c) for c in costly(m.text)],
        advice=_advice(results, sent),
        waits_until=render.time_of(waits_ms) if waits_ms else None,
    )


def _document(treatment: Treatment, result: Treated, choice: Choice | None) -> TreatedText:
    return TreatedText(
        treatment=TREATMENTS[treatment],
        changed=bool(result.done),
        encoding=result.encoding,
        parts=result.parts,
        characters=len(result.text),
        text=result.text,
        price=_price(result, choice),
    )


def _price(text: Treated, choice: Choice | None) -> Price | None:
    return None if choice is None else render.price(choice.price_micro * text.parts, choice.currency)


def _character(c: Costly) -> CostlyCharacter:
    return CostlyCharacter(
        character=c.character,
        name=unicodedata.name(c.character, f"U+{ord(c.character):04X}"),
        count=c.count,
        plain=c.plain,
        latin=c.latin,
    )


def _advice(results: dict[Treatment, Treated], sent: Treated) -> str | None:
    """What would make it cost less than it will; None: nothing that we know of."""
    best = min(results.values(), key=lambda r: r.parts)
    if best.parts >= sent.parts:
        return None
    saved = f"{_count(best.parts)} instead of {sent.parts}"
    if best.done == Treatment.TYPOGRAPHY and best.encoding == "gsm7":
        return f"Write it without the characters that `costly` names (each has its plain form there): {saved}."
    if best.done == Treatment.TYPOGRAPHY:
        return f"Write accented letters as one character each (Unicode NFC): {saved}."
    return f"Written in Latin letters it takes {saved}: send it so, or by a route that transliterates."


def _count(number: int) -> str:
    return "1 part" if number == 1 else f"{number} parts"
