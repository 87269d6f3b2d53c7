"""Secrets that the plan refers to."""

from pathlib import Path

import pytest

from gateway.credentials import CredentialError, resolve, unreadable


def test_references_are_replaced_wherever_they_stand_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p@ss word\n")
    settings = {
        "host": "h",
        "port": 2775,
        "password": {"file": str(tmp_path / "secret")},
        "tls": {"key": {"env": "KEY"}, "on": True},
        "list": [{"token": {"env": "TOKEN"}}],
    }
    kept = str(settings)
    assert resolve(settings, {"KEY": "k", "TOKEN": "t"}) == {
        "host": "h",
        "port": 2775,
        "password": "p@ss word",
        "tls": {"key": "k", "on": True},
        "list": [{"token": "t"}],
    }
    assert str(settings) == kept


@pytest.mark.parametrize(
    ("content", "secret"), [("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a "), ("пароль", "пароль")]
)
def test_only_one_newline_at_the_end_of_a_file_is_not_part_of_the_secret(
    tmp_path: Path, content: str, secret: str
) -> None:
    (tmp_path / "s").write_bytes(content.encode())
    assert resolve({"password": {"file": str(tmp_path / "s")}}) == {"password": secret}


def test_everything_that_cannot_be_read_is_told_with_its_place_and_never_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    settings = {
        "a": {"env": "UNSET"},
        "b": {"file": str(tmp_path / "absent")},
        "c": {"file": str(tmp_path / "empty")},
        "d": {"file": str(tmp_path / "large")},
        "e": [{"f": {"file": str(tmp_path / "binary")}}],
        "fine": {"env": "SET"},
    }
    found = unreadable(settings, {"SET": "1"})
    assert [e.pointer for e in found] == ["/a", "/b", "/c", "/d", "/e/0/f"]
    words = ["UNSET is not set", "No such file", "is empty", "larger than", "not UTF-8"]
    assert all(word in e.sentence for word, e in zip(words, found, strict=True))
    with pytest.raises(CredentialError, match="/a: The environment variable UNSET"):
        resolve(settings, {"SET": "1"})
    assert "xxxx" not in repr(found)


def test_a_file_without_a_slash_is_one_that_systemd_passed_on(tmp_path: Path) -> None:
    (tmp_path / "carriers_north").write_text("secret\n")
    settings = {"password": {"file": "carriers_north"}}
    assert resolve(settings, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == {"password": "secret"}
    (tmp_path / "elsewhere").write_text("other")
    absolute = {"password": {"file": str(tmp_path / "elsewhere")}}
    assert resolve(absolute, {"CREDENTIALS_DIRECTORY": "/nowhere"}) == {"password": "other"}
