"""Stretches of values: in order, none left out, as wide as is wanted."""

from __future__ import annotations

from gateway.stats.stretches import FEW, Bounds, Stretches, first_of

VALUES = [((name,), messages) for name, messages in zip("abcdef", (50, 10, 10, 10, 10, 10), strict=True)]


def all_of(stretches: Stretches) -> list[str]:
    found = []
    while stretches.are_left:
        _, low, high = stretches.next()
        found.append(f"{low[0]}-{high[0]}")
    return found


def test_a_stretch_has_as_many_values_as_fit_and_one_at_least() -> None:
    assert all_of(Stretches(("tag",), VALUES, 4.0 * FEW)) == ["a-a", "b-c", "d-e", "f-f"]
    assert all_of(Stretches(("tag",), VALUES, FEW / 2)) == ["a-f"]
    assert all_of(Stretches(("tag",), [], 4.0 * FEW)) == []


def test_the_next_stretch_is_wider_when_much_was_lacking_but_never_too_wide() -> None:
    stretches = Stretches(("tag",), VALUES, 4.0 * FEW)
    assert stretches.next() == Bounds(("tag",), ("a",), ("a",))
    stretches.widen(100.0, 1.2 * FEW)
    assert stretches.next() == Bounds(("tag",), ("b",), ("d",))
    stretches.widen(100.0, 99.0 * FEW)
    assert stretches.next() == Bounds(("tag",), ("e",), ("f",))


def test_the_first_dimensions_are_those_of_a_table_with_few_rows() -> None:
    assert first_of(("client", "class", "carrier", "operator", "tag")) == ("client", "class", "carrier")
    assert first_of(("tag", "carrier", "operator")) == ("tag",)
    assert first_of(()) == ()
