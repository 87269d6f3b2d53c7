"""What `diff` says about two plans."""

from gateway.embedded.sample_plan import sample
from gateway.plan.difference import Change, difference
from gateway.plan.document import Plan
from gateway.plan.parse import parse

SAMPLE = sample("127.0.0.1", 2775, "/run/secret")


def plan(text: str) -> Plan:
    parsed = parse(text)
    assert isinstance(parsed, Plan), parsed
    return parsed


def changes(old: str, new: str) -> list[Change]:
    assert old in SAMPLE
    return difference(plan(SAMPLE), plan(SAMPLE.replace(old, new, 1)))


def test_comments_and_spaces_are_no_difference() -> None:
    assert changes("# A carrier is", "# Something else is") == []


def test_one_changed_setting_is_one_change_with_both_values() -> None:
    assert changes("port = 2775", "port = 2776") == [
        Change("changed", "carrier", "sandbox", "settings.port", 2775, 2776)
    ]
    assert changes("otp = 50", "otp = 40") == [Change("changed", "defaults", "", "shares.otp", 50, 40)]


def test_a_field_that_appears_or_goes_has_one_value() -> None:
    assert changes("# rate_per_s = 500", "rate_per_s = 500 #") == [
        Change("changed", "carrier", "sandbox", "rate_per_s", None, 500.0)
    ]
    assert changes('classes = ["otp", "alert"]', "") == [
        Change("changed", "route", "urgent", "classes", ("otp", "alert"), None)
    ]


def test_rates_are_known_by_what_they_are_for() -> None:
    assert changes('"2.15"', '"2.00"') == [Change("changed", "rate", "sandbox mts *", "price", "2.15", "2.00")]
    assert [(c.kind, c.name) for c in changes('operator = "tele2"', 'operator = "tele2"\nclass = "otp"')] == [
        ("removed", "sandbox tele2 *"),
        ("added", "sandbox tele2 otp"),
    ]


def test_an_entry_that_is_renamed_goes_and_comes() -> None:
    found = changes('name = "abroad"', 'name = "world"')
    assert [(c.kind, c.table, c.name) for c in found] == [("removed", "route", "abroad"), ("added", "route", "world")]
    assert found[1].after == {"name": "world", "carriers": ("sandbox",)}


def test_routes_in_another_order_are_a_change() -> None:
    first, second = '"urgent"\nclasses = ["otp", "alert"]', '"russia"\ncountries = ["RU"]'
    text = SAMPLE.replace(first, "@").replace(second, first).replace("@", second)
    assert difference(plan(SAMPLE), plan(text)) == [
        Change("changed", "route", "", "order", ["urgent", "russia", "abroad"], ["russia", "urgent", "abroad"])
    ]


def test_from_nothing_everything_is_added() -> None:
    assert {(c.kind, c.table) for c in difference(Plan(), plan(SAMPLE)) if c.table != "defaults"} == {
        ("added", table) for table in ("carrier", "operator", "rate", "route")
    }


def test_entries_without_names_are_known_by_what_they_are_for() -> None:
    more = """
[currencies]
EUR = "98"
[stop_words]
stop = ["STOP"]
[lookup]
url = "https://h/{number}"
answer = "/op"
[[limit]]
carrier = "sandbox"
operator = "*"
parts = 5
per = "second"
[[budget]]
client = "shop"
amount = "5"
per = "day"
[[window]]
name = "day"
from = "09:00"
until = "21:00"
[[sender]]
name = "BANK"
carriers = ["sandbox"]
[[inbound]]
client = "shop"
"""
    added = difference(plan(SAMPLE), plan(SAMPLE + more))
    assert [(c.table, c.name) for c in added if c.kind == "added"] == [
        ("lookup", ""),
        ("sender", "BANK sandbox"),
        ("limit", "carrier sandbox operator * per second"),
        ("budget", "client shop per day"),
        ("window", "day"),
        ("inbound", "*"),
    ]
    assert [(c.table, c.field) for c in added if c.kind == "changed"] == [("currencies", "EUR"), ("stop_words", "stop")]
    assert difference(plan(SAMPLE + more), plan(SAMPLE + more.replace("parts = 5", "parts = 6"))) == [
        Change("changed", "limit", "carrier sandbox operator * per second", "parts", 5, 6)
    ]
