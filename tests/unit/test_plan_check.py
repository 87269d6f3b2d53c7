"""What `check` says to plans that people get wrong."""

import tomllib

import pytest

from gateway.plan.check import check
from gateway.plan.document import Plan
from gateway.plan.parse import parse
from gateway.plan.problems import Problem

GOOD = """
[defaults]
currency = "RUB"
shares = { otp = 60, marketing = 0 }

[[carrier]]
name = "alpha"
provider = "smpp"
rate_per_s = 200
shares = { otp = 40 }
settings = { host = "smsc.example", port = 2775, system_id = "us", password = { env = "ALPHA_PASSWORD" } }

[[carrier]]
name = "beta"
provider = "smpp"
classes = ["otp", "alert", "transactional"]
settings = { host = "smsc.example", port = 2776, password = { file = "/run/secrets/beta" } }

[[operator]]
name = "mts"
country = "RU"
mcc_mnc = "25001"
prefixes = ["7910-7919", "+7980"]

[[operator]]
name = "rest"
prefixes = [""]

[[rate]]
carrier = "alpha"
price = "2.15"

[[rate]]
carrier = "beta"
operator = "mts"
class = "otp"
price = "1"
currency = "EUR"

[[rate]]
carrier = "beta"
price = "3.000001"

[[route]]
name = "mts"
operators = ["mts"]
classes = ["otp"]
carriers = ["beta", "alpha"]

[[route]]
name = "all"
carriers = ["alpha"]
"""


def problems(text: str) -> list[Problem]:
    """What is wrong; the good plan has a route with one carrier on purpose."""
    return [p for p in check(text, {"smpp"}).problems if p.code != "no_fallback"]


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


def test_a_good_plan_has_no_problems() -> None:
    checked = check(GOOD, {"smpp"})
    assert [p.code for p in checked.problems] == ["no_fallback"]
    assert checked.plan == parse(GOOD)


def test_shares_come_from_the_carrier_then_the_defaults_then_the_gateway() -> None:
    plan = check(GOOD).plan
    assert isinstance(plan, Plan)
    alpha, beta = plan.carriers
    assert plan.shares_of(alpha) == {"otp": 40, "alert": 20, "transactional": 20, "marketing": 0}
    assert plan.shares_of(beta) == {"otp": 60, "alert": 20, "transactional": 20, "marketing": 0}


WRONG = [
    # what is changed, to what, code, words where its line begins (after the change), a part of the sentence
    ('currency = "RUB"', 'currency = "rub"', "wrong_value", 'currency = "rub"', "three capital letters"),
    ('name = "alpha"', 'name = "al pha"', "wrong_value", 'name = "al pha"', "up to 40 letters"),
    ('name = "alpha"\n', "", "missing_field", "[[carrier]]", "has no `name`"),
    ("rate_per_s = 200", "rate_per_s = 0", "wrong_value", "rate_per_s", "more than 0"),
    ("rate_per_s = 200", "rate_per_sec = 200", "unknown_field", "rate_per_sec", "Did you mean `rate_per_s`?"),
    ('provider = "smpp"\nrate', 'provider = "smp"\nrate', "unknown_provider", 'provider = "smp"', "known are smpp"),
    ("{ otp = 40 }", "{ otp = 90 }", "shares_over_100", "shares = { otp = 90", "130 percent"),
    ("{ otp = 40 }", "{ opt = 40 }", "wrong_value", "shares = { opt", "percent by class"),
    ('{ env = "ALPHA_PASSWORD" }', '"hunter2"', "secret_literal", "settings = { host", '{ env = "NAME" }'),
    ('{ env = "ALPHA_PASSWORD" }', "12345", "secret_literal", "settings = { host", '{ env = "NAME" }'),
    ('{ env = "ALPHA_PASSWORD" }', '{ env = "" }', "wrong_value", "settings = { host", "refers to nothing"),
    ('{ env = "ALPHA_PASSWORD" }', '{ envv = "A" }', "secret_literal", "settings = { host", "must not stand"),
    ("port = 2775", 'url = "http://me:pw@h/"', "secret_literal", "settings = { host", "`url` holds a password"),
    ("port = 2775", 'tls = [{ api_key = "k" }]', "secret_literal", "settings = { host", "`api_key`"),
    ('"transactional"]', '"promo"]', "wrong_value", "classes = ", "a list out of otp, alert"),
    ('"7910-7919"', '"7919-7910"', "wrong_prefix", "prefixes = ", "the smaller first"),
    ('"7910-7919"', '"7910-792"', "wrong_prefix", "prefixes = ", "one length"),
    ('"7910-7919"', '"7900000-7999999"', "wrong_prefix", "prefixes = ", "more than 10000"),
    ('"7910-7919"', '"7 910"', "wrong_value", "prefixes = ", "a list of prefixes or ranges"),
    ('[""]', '["7915"]', "duplicate_prefix", 'prefixes = ["7915"]', "belongs to operator `mts`"),
    ('name = "rest"', 'name = "mts"', "duplicate_name", 'name = "mts"\nprefixes = [""]', "rename"),
    ('name = "beta"', 'name = "alpha"', "duplicate_name", 'name = "alpha"\nprovider = "smpp"\nclasses', "rename"),
    ('name = "all"', 'name = "mts"', "duplicate_name", 'name = "mts"\ncarriers', "rename"),
    ('price = "2.15"', "price = 2.15", "wrong_value", "price = 2.15", "a decimal in quotes"),
    ('price = "2.15"', 'price = "2,15"', "wrong_value", 'price = "2,15"', "a decimal in quotes"),
    ('price = "2.15"', 'price = "-1"', "wrong_value", 'price = "-1"', "a decimal in quotes"),
    ('price = "2.15"', 'price = "0.0000001"', "wrong_value", 'price = "0.0', "a decimal in quotes"),
    ('carrier = "alpha"', 'carrier = "alfa"', "unknown_name", 'carrier = "alfa"', "Did you mean `alpha`?"),
    ('operator = "mts"', 'operator = "mtc"', "unknown_name", 'operator = "mtc"', "No operator is called `mtc`"),
    ('operator = "mts"\nclass = "otp"\n', "", "duplicate_rate", "[[rate]]\ncarrier = \"beta\"\nprice = \"3", "already"),
    ('currency = "RUB"\n', "", "no_currency", "[[rate]]", "no `currency`"),
    ('["beta", "alpha"]', '["beta", "gamma"]', "unknown_name", 'carriers = ["beta"', "No carrier is called `gamma`"),
    ('["beta", "alpha"]', '["beta", "beta"]', "duplicate_name", 'carriers = ["beta"', "twice"),
    ('operators = ["mts"]', 'operators = ["mtc"]', "unknown_name", "operators = ", "Did you mean `mts`?"),
    ('operators = ["mts"]', 'countries = ["KZ"]', "unknown_name", "countries = ", "No operator's country"),
    ('name = "all"\n', 'name = "all"\nclasses = ["otp"]\n', "no_route", "[[route]]", "`alert`, `marketing`"),
    ('operators = ["mts"]\nclasses = ["otp"]\n', "", "unreachable_route", '[[route]]\nname = "all"', "never gets"),
    ('["alpha"]\n', '["beta"]\nclasses = ["marketing"]\n', "useless_carrier", 'carriers = ["beta"]', "takes no class"),
    ('price = "2.15"', 'price = "2.15"\nladder = [{ over = 9, price = "1" }, { over = 5, price = "1" }]',
     "ladder_order",
     "ladder = ", "go up"),
    ('price = "2.15"', 'price = "2.15"\nladder = [{ above = 9, price = "1" }]', "wrong_value", "ladder",
     "list of steps"),
    ('price = "2.15"', 'price = "2.15"\nvalid_from = "2026-13-01"', "wrong_value", "valid_from", "no such day"),
    ('price = "2.15"', 'price = "2.15"\nvalid_from = "tomorrow"', "wrong_value", "valid_from", "a day such as"),
    ('class = "otp"', 'prefix = "7916"', "rate_for_two", "prefix = ", "not for both"),
    ('mcc_mnc = "25001"\nprefixes = ["7910-7919", "+7980"]', "", "operator_without_numbers",
     '[[operator]]\nname = "mts"', "aliases"),
    ('[defaults]', '[defaults]\ntimezone = "Europe/Muscovy"', "unknown_zone", "timezone", "Europe/Moscow"),
    ('[defaults]', '[currencies]\nEUR = "98"\nRUB = "1"\n[defaults]', "own_currency", "RUB = ", "leave it out"),
    ('[defaults]', '[currencies]\nEUR = 98\n[defaults]', "wrong_value", "EUR = ", 'EUR = "98.5"'),
    ('["beta", "alpha"]', '["beta", "alpha"]\nstrategy = "cheapest"', "no_exchange_rate", 'currency = "EUR"',
     "one EUR"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nstrategy = "best"', "wrong_value", "strategy", "best_value"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nstrategy = "sticky"\nweights = { alpha = 0, beta = 0 }', "no_weight",
     "weights", "at least one"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nstrategy = "sticky"\nweights = { alfa = 1 }', "unknown_name", "weights",
     "Did you mean `alpha`?"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nmin_parts = 3\nmax_parts = 2', "impossible_condition", "min_parts",
     "No mess"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nhours = "09:00-09:00"', "impossible_condition", "hours", "whole day"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nhours = "9-21"', "wrong_value", "hours", "22:00-06:00"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nunregistered = "replace"', "no_sender", "unregistered", "write `sender`"),
    ('["beta", "alpha"]', '["beta", "alpha"]\nunregistered = "replace"\nsender = "ELEVENPLUS12"', "wrong_value",
     "sender = ",
     "11 characters"),
    ('[[rate]]', '[[limit]]\nparts = 5\n[[rate]]', "no_measure", "[[limit]]", "`in_flight`"),
    ('[[rate]]', '[[limit]]\nparts = 5\nper = "day"\n[[rate]]', "limits_nothing", "[[limit]]", "write a carrier"),
    ('[[rate]]', '[[limit]]\nparts = 5\nper = "week"\ntag = "*"\n[[rate]]', "wrong_value", "per = ", "second, minute"),
    ('[[rate]]', '[[limit]]\nparts = 5\nper = "day"\nin_flight = 1\n[[rate]]', "two_limits", "in_flight", "two limits"),
    ('[[rate]]', '[[limit]]\nparts = 5\nper = "day"\noperator = "mtc"\n[[rate]]', "unknown_name", "operator = \"mtc",
     "`mts`"),
    ('[[rate]]', 2 * '[[limit]]\nparts = 5\nper = "day"\ntag = "*"\n' + '[[rate]]', "duplicate_limit",
     "[[limit]]\nparts = 5\nper "
     '= "day"\ntag = "*"\n[[rate]]', "already"),
    ('[[rate]]', '[[budget]]\namount = "5"\nper = "day"\n[[rate]]', "limits_nothing", "[[budget]]", "names nobody"),
    ('[[rate]]', '[[budget]]\namount = "5"\nper = "day"\ntag = "x"\ncurrency = "USD"\n[[rate]]', "no_exchange_rate",
     'currency = "USD"', "one USD"),
    ('[[rate]]', '[[window]]\nname = "w"\nfrom = "09:00"\nuntil = "09:00"\n[[rate]]', "impossible_condition", "until",
     "ever"),
    ('[[rate]]', '[[window]]\nname = "w"\nfrom = "9:00"\nuntil = "21:00"\n[[rate]]', "wrong_value", "from = ",
     "a time of day"),
    ('[[rate]]', '[[window]]\nname = "w"\nfrom = "09:00"\nuntil = "21:00"\nzone = "MSK"\n[[rate]]', "unknown_zone",
     "zone",
     "Europe/Moscow"),
    ('[[rate]]', '[[sender]]\nname = "BANK"\ncarriers = ["alfa"]\n[[rate]]', "unknown_name", 'carriers = ["alfa"]',
     "`alpha`?"),
    ('[[rate]]', '[lookup]\nurl = "https://h/"\nanswer = "/a"\n[[rate]]', "wrong_value", "url", "{number}"),
    ('[[rate]]', '[lookup]\nurl = "https://h/{number}"\nanswer = "/a"\nbudget = "5"\n[[rate]]', "no_price", "budget",
     "`price`"),
    ('[[rate]]', '[lookup]\nurl = "https://h/{number}"\nanswer = "/a"\nheaders = { token = "x" }\n[[rate]]',
     "secret_literal",
     "headers", "must not stand"),
    ('[[rate]]', '[[inbound]]\nclient = "a"\n[[inbound]]\nclient = "b"\nkeyword = "hi"\n[[rate]]', "unreachable_rule",
     '[[inbound]]\nclient = "b"', "An earlier rule"),
    ("[defaults]", "[default]", "unknown_field", "[default]", "Did you mean `defaults`?"),
    ("[[route]]", "[[route]", "not_toml", "[[route]\n", "This is not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "where", "words"), WRONG, ids=[f"{w[2]} {w[1]!r}" for w in WRONG])
def test_each_mistake_is_told_with_its_line_its_code_and_what_would_be_right(
    old: str, new: str, code: str, where: str, words: str
) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    found = [p for p in problems(text) if p.code == code]
    assert found, problems(text)
    assert line_of(text, where) in [p.line for p in found]
    assert any(words in p.sentence for p in found), found
    assert check(text, {"smpp"}).plan is None


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace('"2.15"', "2.15").replace('"RUB"', '"R"').replace("rate_per_s", "rat")
    assert [p.code for p in problems(text)] == ["wrong_value", "unknown_field", "wrong_value"]
    assert [p.line for p in problems(text)] == sorted(p.line for p in problems(text))


def test_a_secret_never_appears_in_what_is_said_about_it() -> None:
    text = GOOD.replace('{ env = "ALPHA_PASSWORD" }', '"hunter2"').replace("port = 2775", 'url = "ftp://a:hunter2@h"')
    assert len(problems(text)) == 2
    assert "hunter2" not in repr(problems(text))


@pytest.mark.parametrize(("table", "name"), [("carrier", "carrier"), ("route", "route"), ("defaults", "defaults")])
def test_a_table_that_is_something_else_is_told(table: str, name: str) -> None:
    text = f"{table} = 5"
    assert [(p.code, p.line) for p in problems(text)] == [("wrong_type", 1)]
    assert [p.code for p in problems("carrier = [5]")] == ["wrong_type"]


def test_an_empty_plan_is_told_that_it_routes_nothing() -> None:
    assert [p.code for p in problems("")] == ["no_operator"]


def test_a_route_without_carriers_refuses_on_purpose_and_is_no_problem() -> None:
    text = GOOD.replace('name = "all"', 'name = "all"\nclasses = ["otp", "alert", "transactional"]')
    assert [p.code for p in problems(text)] == ["no_route"]
    assert problems(text + '\n[[route]]\nname = "none"\ncarriers = []\n') == []


def test_a_route_for_one_client_neither_hides_nor_replaces_a_route_for_all() -> None:
    first, rest = GOOD.split("[[route]]", 1)
    vip = '[[route]]\nname = "vip"\nclients = ["shop"]\ncarriers = ["alpha"]\n\n'
    assert problems(f"{first}{vip}[[route]]{rest}") == []
    assert [p.code for p in problems(GOOD + vip)] == ["unreachable_route"]
    assert [p.code for p in problems(first + vip)][-1:] == ["no_route"]


def test_oddities_that_hurt_nobody_are_warnings_and_the_plan_is_good() -> None:
    text = GOOD.replace('prefixes = [""]', 'prefixes = ["4"]').replace('["beta", "alpha"]', '["alpha"]')
    checked = check(text, {"smpp"})
    found = [(p.code, p.severity) for p in checked.problems]
    assert found[:2] == [("unused_carrier", "warning"), ("no_rest", "warning")]
    assert checked.plan is not None


def test_a_carrier_without_a_rate_is_a_warning_because_a_rate_sheet_may_have_it() -> None:
    text = GOOD.replace('[[rate]]\ncarrier = "alpha"\nprice = "2.15"', "")
    checked = check(text, {"smpp"})
    found = [p for p in checked.problems if p.code == "no_rate"]
    assert checked.plan is not None and {p.severity for p in found} == {"warning"}
    assert line_of(text, 'carriers = ["beta"') in [p.line for p in found]
    assert any("no rate for class `otp`" in p.sentence and "rate sheet" in p.sentence for p in found)


def smells(text: str) -> list[tuple[str, int]]:
    checked = check(text, {"smpp"})
    assert checked.plan is not None, checked.problems
    return [(p.code, p.line) for p in checked.problems if p.code != "no_fallback"]


def test_a_route_with_one_carrier_has_no_fallback_where_another_could_do_it() -> None:
    line = line_of(GOOD, 'carriers = ["alpha"]')
    assert [(p.code, p.line) for p in check(GOOD).problems] == [("no_fallback", line)]
    assert check(GOOD.replace('["alpha"]', '["alpha", "beta"]')).problems == []


def test_a_sender_that_is_not_registered_where_its_route_leads_is_told() -> None:
    registered = '\n[[sender]]\nname = "BANK"\ncarriers = ["beta", "alpha"]\n'
    text = GOOD.replace('classes = ["otp"]', 'classes = ["otp"]\nsenders = ["BANK"]') + registered
    assert smells(text) == []
    found = smells(text.replace(registered, registered.replace('["beta", "alpha"]', '["beta"]')))
    assert found == [("unregistered_sender", line_of(text, '[[route]]\nname = "mts"'))]
    assert [code for code, _ in smells(text + 'state = "pending"\n')] == ["unregistered_sender"]


def test_conditions_beside_class_client_and_operator_hide_only_what_asks_as_much() -> None:
    first, second = "senders = ['A', 'B']", "senders = ['B']"
    two = """
[[route]]
name = "one"
carriers = ["alpha"]
{}
[[route]]
name = "two"
carriers = ["alpha"]
{}
"""
    head, tail = GOOD.split('[[route]]\nname = "mts"')
    rest = '[[route]]\nname = "mts"' + tail

    def hidden(a: str, b: str) -> bool:
        return "unreachable_route" in [
            p.code for p in problems(head + two.format(a, b) + rest) if "`two`" in p.sentence
        ]

    assert hidden(first, second)
    assert not hidden(second, first)
    assert not hidden("senders = ['B']", "tags = ['B']")
    assert hidden("tags = ['x']", "tags = ['x']\nsenders = ['B']")
    assert hidden("prefixes = ['79']", "prefixes = ['7916', '7917']")
    assert not hidden("prefixes = ['7916']", "prefixes = ['79']")
    assert hidden("max_parts = 3", "min_parts = 2\nmax_parts = 3")
    assert not hidden("min_parts = 2", "")
    assert not hidden("percent = 10", "percent = 10")
    assert not hidden("hours = '09:00-21:00'", "")


def test_a_window_for_codes_and_weights_that_nothing_reads_are_smells() -> None:
    text = GOOD + '\n[[window]]\nname = "w"\nfrom = "09:00"\nuntil = "21:00"\nclasses = ["otp"]\n'
    assert [code for code, _ in smells(text)] == ["otp_waits"]
    assert [
        code for code, _ in smells(GOOD.replace('["beta", "alpha"]', '["beta", "alpha"]\nweights = { alpha = 2 }'))
    ] == ["unused_field"]


def test_the_good_plan_is_toml_as_the_standard_library_reads_it() -> None:
    assert set(tomllib.loads(GOOD)) == {"defaults", "carrier", "operator", "rate", "route"}


@pytest.mark.parametrize("number", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("field", ["rate_per_s = 200", "port = 2775"])
def test_a_number_without_an_end_is_refused_wherever_it_stands(number: str, field: str) -> None:
    found = parse(GOOD.replace(field, f"{field.partition(' ')[0]} = {number}"))
    assert isinstance(found, list)
    assert [p.code for p in found] == ["wrong_value"]
    assert "must be a number with an end" in found[0].sentence
    assert found[0].line == GOOD[: GOOD.index(field)].count("\n") + 1


@pytest.mark.parametrize("depth", [40, 150, 300, 500, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a=", "}")])
def test_a_plan_that_is_nested_too_deeply_is_refused_in_words(depth: int, opening: str, closing: str) -> None:
    found = parse(GOOD.replace("port = 2775", f"port = {opening * depth}1{closing * depth}"))
    assert isinstance(found, list) and len(found) == 1
    assert "nested too deeply" in found[0].sentence


@pytest.mark.parametrize("digits", [20, 5000])
def test_a_number_that_no_plan_can_hold_is_refused(digits: int) -> None:
    found = parse(GOOD.replace("port = 2775", f"port = {'9' * digits}"))
    assert isinstance(found, list) and len(found) == 1
    assert found[0].code == ("wrong_value" if digits == 20 else "not_toml")
