"""What another plan would have done with messages that were sent."""

from gateway.embedded.sample_plan import sample
from gateway.plan.choice import Compiled
from gateway.plan.document import Plan
from gateway.plan.effect import Effect, Move, effect
from gateway.plan.parse import parse
from gateway.store.traffic import Sampled

HEAD = """
[defaults]
currency = "RUB"
[currencies]
EUR = "100"
[[carrier]]
name = "north"
provider = "smpp"
[[carrier]]
name = "south"
provider = "smpp"
[[operator]]
name = "mts"
prefixes = ["7916"]
[[operator]]
name = "rest"
prefixes = ["7"]
[[rate]]
carrier = "north"
price = "2"
[[rate]]
carrier = "south"
price = "0.01"
currency = "EUR"
"""
BEFORE = HEAD + '[[route]]\nname = "all"\ncarriers = ["north", "south"]\n'


def compiled(text: str) -> Compiled:
    plan = parse(text)
    assert isinstance(plan, Plan), plan
    return Compiled(plan, 1)


def sent(to: str, parts: int = 1, weight: float = 1.0, klass: str = "marketing") -> Sampled:
    return Sampled(1_795_300_000_000, to, klass, "shop", "S", "", "gsm7", parts, "north", weight)


MESSAGES = [sent("+79161234567", 2, 10.5), sent("+79161234568", 2, 10.5), sent("+79031234567", 1, 4.0, "otp")]


def of(after: str) -> Effect:
    return effect(compiled(BEFORE), compiled(after), MESSAGES)


def test_the_same_plan_moves_nothing_and_costs_the_same() -> None:
    found = of(BEFORE)
    assert (found.messages, found.moved, found.refused, found.moves) == (25, 0, 0, ())
    assert found.cost_before_micro == found.cost_after_micro == (21 * 2 + 4) * 2_000_000


def test_what_goes_elsewhere_is_told_with_its_volume_and_its_money_in_one_currency() -> None:
    found = of(
        HEAD
        + """
[[route]]
name = "mts"
operators = ["mts"]
carriers = ["south"]
[[route]]
name = "all"
carriers = ["north"]
"""
    )
    assert found.moves == (Move("marketing", "mts", "north", "south", "all", "mts", 21, 42, 84_000_000, 42_000_000),)
    assert (found.moved, found.currency) == (21, "RUB")
    assert found.cost_after_micro == 42_000_000 + 8_000_000


def test_a_price_that_changes_where_nothing_moves_is_told_too() -> None:
    found = of(BEFORE.replace('price = "2"', 'price = "1.5"'))
    assert [(m.before, m.after, m.cost_after_micro - m.cost_before_micro) for m in found.moves] == [
        ("north", "north", -21_000_000),
        ("north", "north", -2_000_000),
    ]
    assert found.moved == 0


def test_what_no_carrier_would_take_any_more_is_told() -> None:
    found = of(HEAD + '[[route]]\nname = "codes"\nclasses = ["otp"]\ncarriers = ["north"]\n')
    assert (found.refused, found.moved) == (21, 21)
    assert [(m.before, m.after) for m in found.moves] == [("north", "")]


def test_each_message_is_asked_about_at_the_time_when_it_was_accepted() -> None:
    night = '[[route]]\nname = "night"\nhours = "22:00-06:00"\ncarriers = ["south"]\n'
    after = compiled(HEAD + night + '[[route]]\nname = "all"\ncarriers = ["north", "south"]\n')
    midnight, noon = 1_795_300_000_000 // 86_400_000 * 86_400_000, 12 * 3_600_000
    messages = [
        Sampled(at, "+79161234567", "otp", "shop", "S", "", "gsm7", 1, "north") for at in (midnight, midnight + noon)
    ]
    assert effect(compiled(BEFORE), after, messages).moved == 1


def test_the_sample_plan_can_be_compared_with_itself() -> None:
    plan = compiled(sample("127.0.0.1", 2775, "/run/secret"))
    assert effect(plan, plan, MESSAGES).moves == ()
