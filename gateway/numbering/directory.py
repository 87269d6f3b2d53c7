"""Whose number it is, out of all that is known: ported numbers, the plan's own prefixes, the numbering plan, the world.

In: a plan's operators and the tables. Out: `Whose`. What sources call an operator is matched with the plan's operators
once, when either changes; a lookup costs two bisections. Pure: the same tables and the same number, the same answer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from typing import Final, Literal

import msgspec

from gateway.numbering import world
from gateway.numbering.names import comparable
from gateway.numbering.ported import SHIFT, Ported
from gateway.numbering.ported import compiled as ported_table
from gateway.numbering.ranges import BUCKET, DIGITS, NOTHING, Ranges, Record, compiled, fill_up
from gateway.plan.document import Operator
from gateway.plan.numbering import Numbering, expand
from gateway.plan.surroundings import Whose

_MASK: Final = (1 << SHIFT) - 1
_MAX_REMEMBERED: Final = 100_000
_HEAD: Final = 8
_BLOCK: Final = 10 ** (DIGITS + 1 - _HEAD)
"""Numbers whose first characters, plus included, are the same: a block, mostly all of one network."""


class Unmapped(msgspec.Struct, frozen=True):
    """A name of a source that is no operator of the plan, neither by name nor by alias nor by MCC and MNC."""

    kind: str
    """`numbers` or `ported`: the dataset."""
    name: str
    country: str
    count: int
    """Ranges of the numbering plan, or ported numbers."""


class Known(msgspec.Struct, frozen=True):
    """All that is known of one number; None and "": that source does not know it."""

    whose: Whose | None
    ported: str
    """The name in the registry of ported numbers."""
    plan: str
    """The plan's operator with the longest prefix, its rest included."""
    numbers: Record | None
    phonenumbers: Record | None


class Tables(msgspec.Struct, frozen=True):
    """What was imported; None: nothing was."""

    numbers: Ranges | None = None
    ported: Ported | None = None


NO_TABLES: Final = Tables()


class Directory:
    """The answer for every number. Immutable but for what it remembers, which is bounded.

    Its tables are made when it is first asked, a tenth of a second of work: processes that ask nobody do without, and
    `prepare` does it in a thread.
    """

    def __init__(self, operators: Iterable[Operator], tables: Tables = NO_TABLES) -> None:
        self._operators, self._tables = tuple(operators), tables

    @cached_property
    def _joined(self) -> _Joined:
        return _Joined(self._operators, self._tables)

    def prepare(self) -> None:
        """Make the tables now. In any thread."""
        assert self._joined is not None

    def find(self, to: str) -> Whose | None:
        """The network of an E.164 number with its plus; None when nothing at all covers it."""
        return self._joined.find(to)

    def told(self, to: str, name: str) -> Whose | None:
        """The network of a number when a lookup has just said who has it, by name or MCC-MNC."""
        return self._joined.told(to, name)

    def known(self, to: str) -> Known:
        """Everything that is known of a number, for people."""
        return self._joined.known(to)

    def unmapped(self) -> list[Unmapped]:
        """Names that the plan does not know, the most frequent first. Reads all ranges: not for the event loop."""
        return self._joined.unmapped()


class _Joined:
    """A plan's operators joined with the tables.

    Numbers of a block that no range, prefix or country divides are answered without a look into the tables.

    A site is what is known of a number but for its operator: a record of the numbering plan, or of the world.
    """

    def __init__(self, operators: tuple[Operator, ...], tables: Tables) -> None:
        self._operators = operators
        self._numbers, self._ported = tables.numbers or _no_ranges(), tables.ported or _no_ported()
        self._world = world.ranges()
        self._named = _Named(self._operators)
        self._rest = next((o for o in self._operators if "" in _expanded(o)), None)
        self._sites = [*self._numbers.records, *self._world.records]
        self._by_site = [self._of_site(site) for site in range(len(self._sites))]
        self._shared: dict[tuple[int, str], int] = {}
        self._answers: dict[tuple[int, int], Whose | None] = {}
        self._told: dict[tuple[str, int], Whose | None] = {}
        self._own = _prefixes(self._operators)
        self._divided = frozenset(p[:_HEAD] for end, table in self._own if end > _HEAD for p in table)
        self._blocks: dict[str, Whose | Literal[False]] = {}
        """Whose the numbers of a block are unless they were ported; False: not all are of one."""
        self.find: Final[Callable[[str], Whose | None]] = self._finder()

    def told(self, to: str, name: str) -> Whose | None:
        number = fill_up(to[1:])
        site = self._numbers.find(number) or self._site(to, number)
        key = name, site
        if key not in self._told:
            if len(self._told) >= _MAX_REMEMBERED:
                self._told.clear()
            record = self._sites[site]
            self._told[key] = self._made(self._named.find(name, record.country), record, "lookup")
        return self._told[key]

    def known(self, to: str) -> Known:
        number = fill_up(to[1:])
        place, name = self._numbers.find(number), self._ported.find(number)
        owner = Numbering(self._operators).operator(to)
        elsewhere = self._sites[self._site(to, number)]
        return Known(
            whose=self.find(to),
            ported=self._ported.names[name] if name >= 0 else "",
            plan=owner.name if owner else "",
            numbers=self._sites[place] if place else None,
            phonenumbers=None if elsewhere == NOTHING else elsewhere,
        )

    def unmapped(self) -> list[Unmapped]:
        unknown: Counter[tuple[str, str, str]] = Counter()
        for place, count in Counter(self._numbers.ids).items():
            record = self._sites[place]
            if record.operator and self._named.find(record.operator, record.country, record.mcc_mnc) is None:
                unknown["numbers", record.operator, record.country] += count
        for name, count in zip(self._ported.names, self._ported.counts, strict=True):
            if self._named.find(name, "") is None:
                unknown["ported", name, ""] += count
        return [Unmapped(*key, count) for key, count in unknown.most_common()]

    def _finder(self) -> Callable[[str], Whose | None]:
        starts, ids, index = self._numbers.starts, self._numbers.ids, self._numbers.index
        words, word_index = self._ported.words, self._ported.index
        own, site_of, by_site = self._own, self._site, self._by_site
        answer, answered = self._answer, self._answers.get
        has_ported, is_ported = bool(self._ported.names), self._ported.find
        blocks, measure = self._blocks, self._measure

        def find(to: str) -> Whose | None:
            known = blocks.get(to[:_HEAD])
            if known and not (has_ported and is_ported(int(to[1:16].ljust(DIGITS, "0"))) >= 0):
                return known
            number = int(to[1:16].ljust(DIGITS, "0"))
            bucket = number // BUCKET
            site = ids[bisect_right(starts, number, index[bucket], index[bucket + 1]) - 1] or site_of(to, number)
            word = words[bisect_left(words, number << SHIFT, word_index[bucket], word_index[bucket + 1])]
            if word >> SHIFT == number:
                owner = word & _MASK
                return answered((owner, site)) or answer(owner, site)
            whose = by_site[site]
            for end, table in own:
                if (found := table.get(to[:end])) is not None:
                    whose = answered((found, site)) or answer(found, site)
                    break
            if known is None:
                measure(to, whose)
            return whose

        return find

    def _measure(self, to: str, whose: Whose | None) -> None:
        """Remember whose a block is, after one of its numbers was found that was not ported."""
        if whose is None:
            return
        if len(self._blocks) >= _MAX_REMEMBERED:
            self._blocks.clear()
        head = to[:_HEAD]
        self._blocks[head] = whose if len(head) == _HEAD and self._is_one(head) else False

    def _is_one(self, head: str) -> bool:
        """Whether a block is the same for all tables: no prefix of the plan, range or country begins or ends inside."""
        first = fill_up(head[1:])
        last = first + _BLOCK - 1
        if head in self._divided or not self._numbers.is_piece(first, last):
            return False
        if self._numbers.find(first):
            return True
        shared = self._world.records[self._world.find(first)].country == world.SHARED
        return self._world.is_piece(first, last) and (not shared or world.is_of_area(head))

    def _site(self, to: str, number: int) -> int:
        """What is known of a number that was not imported."""
        place = self._world.find(number)
        site = len(self._numbers.records) + place
        if self._sites[site].country != world.SHARED:
            return site
        key = place, world.country_of(to)
        if key not in self._shared:
            self._sites.append(msgspec.structs.replace(self._sites[site], country=key[1]))
            self._shared[key] = len(self._sites) - 1
            self._by_site.append(self._of_site(len(self._sites) - 1))
        return self._shared[key]

    def _of_site(self, site: int) -> Whose | None:
        """The answer for numbers of a site of which nothing better is known."""
        record, imported = self._sites[site], site < len(self._numbers.records)
        operator = self._named.find(record.operator, record.country, record.mcc_mnc, sure=imported)
        return self._made(operator, record, "numbers" if imported else "phonenumbers")

    def _answer(self, owner: int, site: int) -> Whose | None:
        """`owner`: a name of the ported numbers, or below zero an operator of the plan."""
        if len(self._answers) >= _MAX_REMEMBERED:
            self._answers.clear()
        record = self._sites[site]
        if owner < 0:
            whose = self._made(self._operators[~owner], record, "plan")
        else:
            whose = self._made(self._named.find(self._ported.names[owner], record.country), record, "ported")
        self._answers[owner, site] = whose
        return whose

    def _made(self, operator: Operator | None, record: Record, source: str) -> Whose | None:
        """Without an operator the plan's rest has the number. None when nothing at all is known."""
        if operator is not None:
            return Whose(operator.name, operator.country or record.country, record.region, record.zones, source)
        if self._rest is not None:
            country = record.country or self._rest.country or ""
            return Whose(self._rest.name, country, record.region, record.zones, "rest")
        return None if record == NOTHING else Whose("", record.country, record.region, record.zones)


class _Named:
    """The plan's operators by what sources may call them."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self._by_name: dict[str, list[Operator]] = {}
        self._by_code = {o.mcc_mnc: o for o in operators if o.mcc_mnc}
        for operator in operators:
            for name in dict.fromkeys(comparable(text) for text in (operator.name, *operator.aliases)):
                self._by_name.setdefault(name, []).append(operator)

    def find(self, name: str, country: str, mcc_mnc: str = "", sure: bool = True) -> Operator | None:
        """The operator that a source means. With MCC and MNC by these, else by name: one of the same country before one
        that names none. `sure` False: names are trade names, which are alike in many countries, so the country counts.
        """
        code, _, rest = name.partition(" ")
        if code.isdigit():  # ported numbers have MCC and MNC before the name, or nothing else
            mcc_mnc, name = mcc_mnc or code, rest or name
        if (found := self._by_code.get(mcc_mnc)) is not None:
            return found
        named = self._by_name.get(comparable(name), ()) if name else ()
        for operator in named:
            if operator.country and operator.country == country:
                return operator
        if not sure:
            return None
        return next((o for o in named if not o.country or not country), None)


def _expanded(operator: Operator) -> Iterator[str]:
    """The operator's prefixes."""
    return (prefix for text in operator.prefixes for prefix in expand(text))


def _prefixes(operators: Sequence[Operator]) -> tuple[tuple[int, dict[str, int]], ...]:
    """By how much of a number decides, plus included, the longest first: which operator (inverted). Not the rest."""
    tables: dict[int, dict[str, int]] = {}
    for n, operator in enumerate(operators):
        for prefix in _expanded(operator):
            if prefix:
                tables.setdefault(1 + len(prefix), {})["+" + prefix] = ~n
    return tuple(sorted(tables.items(), reverse=True))


@cache
def _no_ranges() -> Ranges:
    return compiled((), [NOTHING])


@cache
def _no_ported() -> Ported:
    return ported_table((), [])
