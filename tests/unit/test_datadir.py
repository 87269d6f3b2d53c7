"""The data directory of `sluice up`, and the addresses that it is given."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.embedded import address, datadir
from gateway.embedded.child import StartError
from gateway.embedded.datadir import DataDir, short_directory


def test_a_new_directory_is_private_and_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        directory = DataDir.open(tmp_path / "a" / "data")
        assert directory.path.stat().st_mode & 0o777 == 0o700
        directory.write_private(directory.client_env, "SLUICE_KEY=x\n")
        assert directory.client_env.stat().st_mode & 0o777 == 0o600
        directory.close()


def test_a_second_start_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    first = DataDir.open(tmp_path / "data")
    first.hold("`sluice up` on http://127.0.0.1:8080")
    with pytest.raises(StartError, match=r"data is in use by `sluice up` on http://127\.0\.0\.1:8080"):
        DataDir.open(tmp_path / "data")
    first.close()
    DataDir.open(tmp_path / "data").close()


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    mode = tmp_path.stat().st_mode
    with pytest.raises(StartError, match="not empty and no data directory"):
        DataDir.open(tmp_path)
    assert tmp_path.stat().st_mode == mode
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_path_that_cannot_be_a_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be the data directory: Not a directory"):
        DataDir.open(tmp_path / "file" / "data")


def test_a_full_disk_is_told_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadir, "free_bytes", lambda _: 5 << 20)
    with pytest.raises(StartError, match=r"the disk of .* is full: 5 MB free, at least 256 MB are needed"):
        DataDir.open(tmp_path / "data")
    monkeypatch.undo()
    DataDir.open(tmp_path / "data").close()


def test_sockets_of_a_deep_directory_get_a_short_place_that_is_always_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    short = short_directory(deep / "run")
    assert len(str(short)) < 80
    assert short_directory(deep / "run") == short
    short.chmod(0o777)
    with pytest.raises(StartError, match="belongs to somebody else"):
        short_directory(deep / "run")
    short.rmdir()


def test_a_log_that_grew_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = DataDir.open(tmp_path / "data")
    directory.log("gateway").write_text("x" * 100)
    directory.close()
    monkeypatch.setattr(datadir, "LOG_BYTES", 50)
    directory = DataDir.open(tmp_path / "data")
    assert [p.name for p in directory.logs.iterdir()] == ["gateway.log.1"]
    directory.close()


def test_a_taken_port_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "RELEASE_S", 0.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StartError, match="is taken by another program: choose another with --listen"):
            address.check_free(place)
    address.check_free(place)


@pytest.mark.parametrize("text", ["8080", "127.0.0.1:", ":8080", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_is_no_address_is_told_with_an_example(text: str) -> None:
    with pytest.raises(StartError, match=r"give HOST:PORT, for example 127\.0\.0\.1:8080"):
        address.check_free(text)


@pytest.mark.parametrize(
    ("place", "words"),
    [("nohost.invalid:8080", "there is no host `nohost.invalid`"), ("192.0.2.1:8080", "cannot listen there: ")],
)
def test_an_address_that_is_not_ours_is_told(place: str, words: str) -> None:
    with pytest.raises(StartError, match=words):
        address.check_free(place)


def test_clients_get_a_url_that_they_can_connect_to() -> None:
    assert address.reachable("http://0.0.0.0:8080") == "http://127.0.0.1:8080"
    assert address.reachable("http://[::]:8080") == "http://[::1]:8080"
    assert address.reachable("http://10.0.0.1:8080") == "http://10.0.0.1:8080"
