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
    return check(text, {"smpp"}).problems


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


def test_a_good_plan_has_no_problems() -> None:
    checked = check(GOOD, {"smpp"})
    assert checked.problems == []
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
    ('[[rate]]\ncarrier = "alpha"\nprice = "2.15"', "", "no_rate", 'carriers = ["beta"', "no rate for class `otp`"),
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
    assert [(p.code, p.severity) for p in checked.problems] == [("unused_carrier", "warning"), ("no_rest", "warning")]
    assert checked.plan is not None


def test_the_good_plan_is_toml_as_the_standard_library_reads_it() -> None:
    assert set(tomllib.loads(GOOD)) == {"defaults", "carrier", "operator", "rate", "route"}
