"""`/v1/numbers`: whose a number is and how that is known, and which operators of the datasets the plan does not know.

In: a number. Out: everything that is known of it in this process. Never: a message, a client's data.
"""

from __future__ import annotations

import asyncio

from gateway.api import call, query
from gateway.api.call import Answer, Call
from gateway.api.dataset_documents import NumberView, RangeView, Unmapped, UnmappedView
from gateway.api.problems import Code, Problem, problem
from gateway.numbering.directory import Directory
from gateway.numbering.ranges import Record
from gateway.text import numbers


async def show(c: Call) -> Answer:
    """All that is known of a number."""
    try:
        number = numbers.parse(c.params["number"], c.gate.settings.default_region)
    except numbers.NumberError as e:
        return problem(Code(e.code), e.sentence)
    return call.answer(number_view(_directory(c), number))


async def list_unmapped(c: Call) -> Answer:
    """Operators that the plan has no name for."""
    if wrong := query.known_only(c.request.query, ("limit",)):
        return wrong
    limit = query.limit(c.request.query)
    if isinstance(limit, Problem):
        return limit
    found = await asyncio.to_thread(_directory(c).unmapped)
    return call.answer(Unmapped([UnmappedView(u.kind, u.name, u.country, u.count) for u in found[:limit]]))


def number_view(directory: Directory, number: str) -> NumberView:
    """A number as the API and the command show it."""
    known = directory.known(number)
    whose = known.whose
    return NumberView(
        number=number,
        operator=whose.operator if whose else "",
        country=whose.country if whose else "",
        region=whose.region if whose else "",
        zones=whose.zones if whose else (),
        source=whose.source if whose else "",
        ported=known.ported,
        plan=known.plan,
        numbers=_range(known.numbers),
        phonenumbers=_range(known.phonenumbers),
    )


def _range(record: Record | None) -> RangeView | None:
    if record is None:
        return None
    return RangeView(record.operator, record.country, record.region, record.zones, record.mcc_mnc)


def _directory(c: Call) -> Directory:
    """Of the plan in use; before the first, one that knows no operator."""
    plan = c.gate.plan()
    return plan.directory if plan is not None and isinstance(plan.directory, Directory) else Directory(())
