"""The registry of senders: what it allows where, and what it says of those that it does not know."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.message import CLASSES
from gateway.plan.document import Operator, Plan, Sender
from gateway.plan.senders import FREE, Senders, Standing

OWN = (Operator(name="mts", aliases=("MTS PJSC",)), Operator(name="tele2"))


def registry(*rows: Sender, imported: tuple[Sender, ...] = ()) -> Senders:
    return Senders(Plan(operators=OWN, senders=rows), imported)


def ask(
    senders: Senders,
    sender: str = "BANK",
    carrier: str = "a",
    operator: str = "mts",
    klass: str = "otp",
    client: str = "bank",
) -> Standing:
    return senders.allowed(sender, carrier, operator, klass, client)


def test_without_a_registry_every_sender_is_free() -> None:
    assert registry().is_empty and ask(registry()) == FREE


def test_a_sender_without_a_row_is_unregistered_only_where_the_registry_is_kept() -> None:
    senders = registry(Sender(name="SHOP", carriers=("a",), operators=("mts",)))
    here = ask(senders)
    assert not here.allowed and here.state == "unregistered"
    assert here.reason == "Sender `BANK` is not registered at carrier `a` for operator `mts`."
    assert ask(senders, operator="tele2").state == "free"
    assert ask(senders, carrier="b").state == "free"
    assert ask(senders, "SHOP").state == "registered"
    assert ask(senders, "SHOP", operator="tele2").state == "free"


def test_a_row_without_places_registers_a_sender_everywhere_and_makes_the_registry_kept_everywhere() -> None:
    senders = registry(Sender(name="SHOP"))
    assert ask(senders, "SHOP").allowed
    assert not ask(senders).allowed
    assert not ask(senders, operator="").allowed


def test_a_blocked_row_alone_keeps_no_registry() -> None:
    senders = registry(Sender(name="SPAM", state="blocked"))
    assert ask(senders).state == "free"
    blocked = ask(senders, "SPAM")
    assert not blocked.allowed and blocked.state == "blocked" and "is blocked" in blocked.reason


def test_a_pending_sender_is_not_allowed_yet() -> None:
    pending = ask(registry(Sender(name="BANK", state="pending")))
    assert (pending.allowed, pending.state) == (False, "pending") and "not registered yet" in pending.reason


def test_the_exacter_row_decides_and_of_equals_that_of_the_plan_then_the_worse() -> None:
    everywhere = Sender(name="BANK")
    pending = Sender(name="BANK", operators=("mts",), state="pending")
    assert ask(registry(everywhere, pending)).state == "pending"
    assert ask(registry(everywhere, pending), operator="tele2").state == "registered"
    imported = (Sender(name="BANK", operators=("MTS PJSC",)),)
    assert ask(registry(pending, imported=imported)).state == "pending"
    assert ask(registry(imported=(*imported, pending))).state == "pending"
    assert ask(registry(imported=imported)).state == "registered"


def test_a_sender_of_one_client_or_class_is_not_there_for_others() -> None:
    senders = registry(Sender(name="BANK", clients=("bank",), classes=("otp", "alert")))
    assert ask(senders).allowed
    other = ask(senders, client="shop")
    assert not other.allowed and other.reason.endswith(
        "is registered at carrier `a` for operator `mts`, but not for this client."
    )
    bulk = ask(senders, klass="marketing")
    assert not bulk.allowed and bulk.reason.endswith("for alert, otp, not for marketing.")


def test_the_case_of_a_name_counts_and_the_reason_says_so() -> None:
    wrong = ask(registry(Sender(name="Bank")))
    assert not wrong.allowed and "`Bank` is written otherwise" in wrong.reason


def test_numbers_are_judged_only_by_rows_of_their_own() -> None:
    senders = registry(Sender(name="BANK"), Sender(name="900", state="blocked"))
    assert ask(senders, "1234").state == "free" and ask(senders, "+79160000000").state == "free"
    assert ask(senders, "900").state == "blocked"
    assert ask(senders, "").state == "free"


def some(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


rows = st.builds(
    Sender,
    name=st.sampled_from(["BANK", "SHOP"]),
    carriers=some(["a", "b"]),
    operators=some(["mts", "tele2"]),
    classes=some(CLASSES),
    clients=some(["bank", "shop"]),
    state=st.sampled_from(["registered", "pending", "blocked"]),
)


@given(st.lists(rows, max_size=6), st.data())
def test_what_is_allowed_is_what_reading_every_row_says(found: list[Sender], data: st.DataObject) -> None:
    senders = Senders(Plan(operators=OWN), found)
    places = st.tuples(st.sampled_from("ab"), st.sampled_from(["mts", "tele2", ""]))
    asks = st.tuples(
        st.sampled_from(["BANK", "SHOP"]), places, st.sampled_from(CLASSES), st.sampled_from(["bank", "x"])
    )
    for sender, (carrier, operator), klass, client in data.draw(st.lists(asks, max_size=6)):

        def is_here(row: Sender, carrier: str = carrier, operator: str = operator) -> bool:
            return carrier in (row.carriers or [carrier]) and operator in (row.operators or [operator])

        kept = any(is_here(row) and row.state != "blocked" for row in found)
        fitting = [
            row
            for row in found
            if row.name == sender
            and is_here(row)
            and klass in (row.classes or [klass])
            and client in (row.clients or [client])
        ]
        named = [(bool(r.operators), bool(r.carriers), bool(r.clients), bool(r.classes)) for r in fitting]
        best = max(((sum(n), n) for n in named), default=None)
        states = {row.state for row, n in zip(fitting, named, strict=True) if (sum(n), n) == best}
        standing = senders.allowed(sender, carrier, operator, klass, client)
        assert standing == senders.allowed(sender, carrier, operator, klass, client)
        assert standing.allowed == (states == {"registered"} if states else not kept)
        assert standing.allowed == (not standing.reason)
