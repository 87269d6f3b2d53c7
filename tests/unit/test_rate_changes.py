"""What a new price list or registry changes, told before anybody activates it."""

from gateway.plan.document import Carrier, Defaults, Operator, Plan, Rate, Sender, Step
from gateway.plan.months import moment_ms
from gateway.plan.rates import Rates
from gateway.sheets import sender_changes
from gateway.sheets.changes import Money, compare
from gateway.sheets.month import Ladder, ladders

NOW_MS = moment_ms("2026-12-10", "Europe/Moscow")
PLAN = Plan(
    Defaults(currency="RUB"),
    carriers=(
        Carrier(name="north", provider="smpp", classes=("otp", "alert", "marketing")),
        Carrier(name="east", provider="smpp", classes=("otp",)),
        Carrier(name="trial", provider="sandbox", sandbox=True),
    ),
    operators=(
        Operator(name="mts", prefixes=("7916",), aliases=("ПАО «МТС»",)),
        Operator(name="tele2", prefixes=("7977",)),
    ),
    rates=(Rate(carrier="east", price="3.00"),),
    currencies={"EUR": "100"},
)


def test_prices_up_and_down_new_and_gone_are_counted_by_carrier_operator_and_class() -> None:
    before = [
        Rate(carrier="north", operator="mts", klass="otp", price="2.00"),
        Rate(carrier="north", operator="tele2", klass="otp", price="2.00"),
        Rate(carrier="north", operator="mts", klass="alert", price="1"),
    ]
    after = [
        Rate(carrier="north", operator="ПАО «МТС»", klass="otp", price="2.50"),
        Rate(carrier="north", operator="tele2", klass="otp", price="0.018", currency="EUR"),
        Rate(carrier="north", operator="tele2", klass="marketing", price="1"),
    ]
    found = compare(PLAN, before, after, NOW_MS)
    assert (found.rows, found.up, found.down, found.new, found.gone) == (3, 1, 1, 1, 1)
    first, second, third, fourth = found.biggest
    assert (first.klass, first.before, first.after) == ("alert", "1.00", None)
    assert (second.operator, second.before, second.after, second.percent) == ("mts", "2.00", "2.50", 25.0)
    assert (third.before, third.after, third.percent) == ("2.00 RUB", "0.018 EUR", -10.0)
    assert (fourth.klass, fourth.before) == ("marketing", None)
    assert found.without_price == (("north", "mts"), ("north", "tele2")) and found.money is None


def test_what_does_nothing_is_told() -> None:
    after = [
        Rate(carrier="north", operator="mts", price="2"),
        Rate(carrier="north", operator="Kcell", price="2"),
        Rate(carrier="south", price="2"),
        Rate(carrier="east", price="1"),
        Rate(carrier="east", operator="mts", price="1", currency="KZT"),
        Rate(carrier="north", operator="tele2", price="2", valid_from="2027-01-01"),
    ]
    found = compare(PLAN, [], after, NOW_MS)
    assert found.unknown_operators == ("Kcell",) and found.unknown_carriers == ("south",)
    assert found.hidden == 1 and found.not_comparable == ("KZT",) and found.later == 1
    assert found.without_price == (("north", "tele2"),)


def test_prefixes_that_change_are_shown_as_prefixes() -> None:
    before, after = (
        [Rate(carrier="north", prefix="7999", price="1")],
        [Rate(carrier="north", prefix="7999", price="2")],
    )
    found = compare(PLAN, before, after, NOW_MS)
    assert {(change.operator, change.percent) for change in found.biggest} == {("+7999", 100.0)}
    assert found.up == 3


def test_the_effect_in_money_is_that_of_last_weeks_parts() -> None:
    before = [Rate(carrier="north", price="2.00", ladder=(Step(over=5, price="1"),))]
    after = [Rate(carrier="north", price="0.025", currency="EUR")]
    sent = {("north", "mts", "otp"): 100, ("east", "mts", "otp"): 10, ("gone", "mts", "otp"): 7}
    found = compare(PLAN, before, after, NOW_MS, sent)
    assert found.money == Money("RUB", 110, "230.00", "280.00", "+50.00")
    assert found.biggest[0].parts == 100
    cheaper = compare(PLAN, after, before, NOW_MS, sent)
    assert cheaper.money is not None and cheaper.money.difference == "-50.00"


def test_ladders_say_where_the_month_stands_and_what_the_invoice_would_be() -> None:
    steps = (Step(over=100, price="1.50"), Step(over=1000, price="1.00"))
    rows = [
        Rate(carrier="north", operator="mts", price="2", ladder=steps),
        Rate(carrier="north", operator="mts", price="9", ladder=steps, valid_from="2027-01-01"),
        Rate(carrier="north", klass="otp", price="2", ladder=steps, ladder_kind="whole_month"),
        Rate(carrier="north", operator="tele2", price="2"),
    ]
    sent = {("north", "mts", ""): 150, ("north", "", "otp"): 1500}
    every_class, whole = ladders(Rates(PLAN, rows), NOW_MS, lambda *key: sent.get(key, 0))[::-1]
    assert every_class == Ladder("north", "mts", "", "marginal", 150, "1.50", "RUB", 1000, "1.00", "275.00")
    assert whole == Ladder("north", "", "otp", "whole_month", 1500, "1.00", "RUB", None, None, "1500.00")


def test_a_registry_says_what_is_new_gone_and_in_another_state() -> None:
    before = [Sender(name="BANK", operators=("mts", "tele2")), Sender(name="SHOP")]
    after = [
        Sender(name="BANK", operators=("tele2", "mts"), state="blocked"),
        Sender(name="NEW", operators=("Kcell",), carriers=("south",)),
    ]
    found = sender_changes.compare(PLAN, before, after)
    assert (found.rows, found.new, found.gone, found.changed) == (2, 1, 1, 1)
    assert found.unknown_operators == ("Kcell",) and found.unknown_carriers == ("south",)


def test_a_registry_of_one_carrier_replaces_only_its_own_rows() -> None:
    kept = [Sender(name="A", carriers=("north",)), Sender(name="B", carriers=("east",)), Sender(name="C")]
    new = [Sender(name="D"), Sender(name="E", carriers=("east", "north"))]
    assert sender_changes.merged(kept, new, "north") == (
        Sender(name="B", carriers=("east",)),
        Sender(name="C"),
        Sender(name="D", carriers=("north",)),
        Sender(name="E", carriers=("east", "north")),
    )
    assert sender_changes.merged(kept, new, "") == tuple(new)
