"""What counts in which limit of a plan, and under which name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.plan.document import Limit, Plan
from gateway.plan.limits import Limits

FIELDS = ("carrier", "operator", "sender", "client", "tag", "klass")
NAMES = st.sampled_from(("a", "b", "a,b=c", "спб", "*"))
FACTS = st.tuples(
    st.sampled_from(("a", "b")),
    st.sampled_from(("a", "b", "")),
    st.sampled_from(("a", "b", "a,b=c")),
    st.sampled_from(("a", "b")),
    st.sampled_from(("a", "спб", "")),
    st.sampled_from(("otp", "marketing")),
)


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    given_fields = {name: draw(st.none() | NAMES) for name in FIELDS[1:5]}
    carrier = draw(st.none() | st.sampled_from(("a", "b")))
    klass = draw(st.none() | st.sampled_from(("otp", "marketing")))
    per = draw(st.sampled_from(("second", "day")))
    return Limit(parts=draw(st.integers(1, 9)), per=per, carrier=carrier, klass=klass, **given_fields)


def slowly(limit: Limit, facts: tuple[str, ...]) -> tuple[object, ...] | None:
    """What a limit counts a message in, as one would do it by hand; None: it does not count it."""
    counted: list[object] = [limit.per]
    for name, value in zip(FIELDS, facts, strict=True):
        wanted = getattr(limit, name)
        if wanted is None:
            continue
        if wanted == "*" and not value:
            return None
        if wanted not in ("*", value):
            return None
        counted.append((name, value))
    return tuple(counted)


@given(st.lists(limits(), max_size=6), FACTS)
def test_a_message_counts_in_what_names_it_and_each_of_a_star_by_itself(plan: list[Limit], facts: tuple) -> None:  # type: ignore[type-arg]
    found = Limits(Plan(limits=tuple(plan))).counts(*facts)
    wanted = {slowly(limit, facts) for limit in plan} - {None}
    assert len({count.key for count in found}) == len(wanted)


@given(st.lists(limits(), min_size=1, max_size=4), FACTS, FACTS)
def test_two_messages_share_a_name_only_where_they_share_what_is_counted(
    plan: list[Limit],
    one: tuple,  # type: ignore[type-arg]
    other: tuple,  # type: ignore[type-arg]
) -> None:
    made = Limits(Plan(limits=tuple(plan)))
    shared = {c.key for c in made.counts(*one)} & {c.key for c in made.counts(*other)}
    slow = {slowly(limit, one) for limit in plan} & {slowly(limit, other) for limit in plan} - {None}
    assert len(shared) == len(slow)


def test_a_limit_that_changes_its_size_goes_on_counting_where_it_was() -> None:
    before = Limits(Plan(limits=(Limit(parts=10, per="day", client="*"),))).counts("n", "o", "S", "shop", "", "otp")
    after = Limits(Plan(limits=(Limit(parts=99, per="day", client="*"),))).counts("n", "o", "S", "shop", "", "otp")
    assert before[0].key == after[0].key and before[0].mark == after[0].mark
    assert after[0].rule.parts == 99


def test_of_two_limits_for_the_same_the_smaller_one_holds() -> None:
    plan = Plan(limits=(Limit(parts=10, per="day", client="a"), Limit(parts=5, per="day", client="a")))
    assert [c.rule.parts for c in Limits(plan).counts("n", "o", "S", "a", "", "otp")] == [5]
