"""Plans checked with the providers of this installation."""

import pytest

from gateway.embedded.sample_plan import sample
from gateway.provider import Reports, SettingsError
from gateway.provider_modules import check_whole, known, open_provider

PLAN = sample("127.0.0.1", 2775, "/nowhere/password")


def test_smpp_is_known_and_private_modules_are_not() -> None:
    assert "smpp" in known()
    assert not [name for name in known() if name.startswith("_")]


def test_settings_are_accepted_though_the_secrets_are_elsewhere() -> None:
    assert check_whole(PLAN).problems == []


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        ("port = 2775", "port = 0", "/carrier/0/settings/port"),
        ("window = 500", "windows = 500", "/carrier/0/settings/windows"),
        ('system_id = "sandbox", ', "", "/carrier/0/settings"),
    ],
)
def test_settings_that_the_provider_refuses_are_told_with_their_line(old: str, new: str, pointer: str) -> None:
    checked = check_whole(PLAN.replace(old, new))
    assert checked.plan is None
    (problem,) = checked.problems
    assert (problem.code, problem.pointer) == ("wrong_settings", pointer)
    assert PLAN.splitlines()[problem.line - 1].startswith("settings = ")
    assert "sandbox" in problem.sentence


def test_a_provider_that_is_not_installed_is_told() -> None:
    checked = check_whole(PLAN.replace('"smpp"', '"pigeon"'))
    assert [p.code for p in checked.problems] == ["unknown_provider"]
    with pytest.raises(SettingsError, match="no provider `pigeon`"):
        open_provider("a", "pigeon", {}, Reports(print, _never, _never, print))


async def _never(_: object) -> None:
    raise AssertionError("a provider that was not started reports nothing")
