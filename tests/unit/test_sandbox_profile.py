"""The sandbox's profile: data in, one fate a message out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.embedded.sandbox.profile import Choice, ProfileError, make_profile, read_profile, shipped_names


def test_a_message_that_no_case_takes_has_the_profiles_own_fate() -> None:
    choice = Choice(make_profile({"receipt_delay_s": 2, "err": "007", "cases": [{"suffix": "1", "status": 8}]}))
    fate = choice.of("79161234562", "hello", 0.0)
    assert (fate.status, fate.receipt_delay_s, fate.err) == (0, 2.0, "007")


def test_the_first_case_that_holds_decides_and_leaves_the_rest_of_the_fate_alone() -> None:
    cases = [
        {"prefix": "7916", "text": "stop", "stat": "UNDELIV"},
        {"prefix": "7916", "status": 0x58},
        {"suffix": "4567", "status": 0x14},
    ]
    choice = Choice(make_profile({"receipt_delay_s": 3, "cases": cases}))
    assert choice.of("79161234567", "please stop it", 0.0).stat == "UNDELIV"
    assert choice.of("79161234567", "please stop it", 0.0).receipt_delay_s == 3
    assert choice.of("79161234567", "go on", 0.0).status == 0x58
    assert choice.of("79991234567", "go on", 0.0).status == 0x14


def test_shares_of_several_cases_are_parts_of_all_messages_that_they_take() -> None:
    cases = [{"share": 0.5, "status": 1}, {"share": 0.5, "status": 2}]
    choice = Choice(make_profile({"cases": cases}))
    statuses = [choice.of("7", "", i / 100).status for i in range(100)]
    assert [statuses.count(n) for n in (1, 2, 0)] == [50, 25, 25]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"answer_delay_ms": -1}, "answer_delay_ms"),
        ({"nonsense": 1}, "nonsense"),
        ({"cases": [{"share": 2}]}, "cases[0].share"),
        ({"cases": [{"stat": "two words"}]}, "stat"),
        ({"stat": ""}, "stat"),
        ({"answer_delays_ms": 5}, "answer_delays_ms: no such field. Did you mean `answer_delay_ms`?"),
        ({"receipt": {"datse": "zeros"}}, "receipt.datse: no such field. Did you mean `dates`?"),
        ({"receipt": {"timezone": "Mars"}}, "receipt: `Mars` is not a time zone such as Europe/Moscow"),
        ({"cases": [{}, {"statt": "X"}]}, "cases[1].statt: no such field. Did you mean `stat`?"),
        ({"cases": [{"prefix": "seven"}]}, "cases[0].prefix"),
        ({"binds": ["receivers"]}, "binds[0]"),
        ({"links": {"ends_by": "fire"}}, "it is: how: unbind: the carrier asks for it"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_its_place(values: dict[str, object], place: str) -> None:
    with pytest.raises(ProfileError) as refusal:
        make_profile(values)
    assert place in str(refusal.value)


def test_changed_fields_leave_the_others_as_they_were() -> None:
    profile = make_profile({"receipt_delay_s": 2, "cases": [{"suffix": "1", "status": 8}]})
    changed = make_profile({"receipt_delay_s": 5}, profile)
    assert (changed.receipt_delay_s, changed.cases) == (5.0, profile.cases)


def test_a_table_is_changed_field_by_field_and_a_list_as_a_whole() -> None:
    profile = make_profile({"links": {"lives_s": 5, "ends_by": "reset"}, "cases": [{"suffix": "1", "status": 8}]})
    changed = make_profile({"links": {"lives_s": 9}, "cases": []}, profile)
    assert (changed.links.lives_s, changed.links.ends_by, changed.cases) == (9.0, "reset", ())


def test_a_plus_before_the_digits_of_a_prefix_means_nothing() -> None:
    choice = Choice(make_profile({"cases": [{"prefix": "+7916", "status": 8}]}))
    assert choice.of("79161234567", "", 0.0).status == 8


def test_only_what_is_alike_for_all_messages_goes_the_fast_way() -> None:
    for values in ({}, {"cases": [{"share": 0.5, "status": 8}]}, {"throttle_per_s": 5}, {"links": {"lives_s": 5}}):
        assert Choice(make_profile(values)).is_plain
    for values in ({"early": True}, {"ids": {"bits": 32}}, {"version": "3.3"}, {"cases": [{"steps": ["ACCEPTD"]}]}):
        assert not Choice(make_profile(values)).is_plain


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_can_be_read(name: str) -> None:
    assert read_profile(name)


def test_a_profile_comes_from_a_file_and_a_wrong_one_names_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("receipt_delay_s = 4\n")
    assert read_profile(str(path)).receipt_delay_s == 4
    path.write_text("receipt_delay_s = = 4\n")
    with pytest.raises(ProfileError, match=r"mine\.toml: not valid TOML"):
        read_profile(str(path))
    path.write_text("window = -4\n")
    with pytest.raises(ProfileError, match=r"mine\.toml: .*window"):
        read_profile(str(path))
    with pytest.raises(ProfileError, match=r"shipped are .*endings.*Did you mean `throttled`"):
        read_profile("throtled")
