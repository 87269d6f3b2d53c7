"""`sluice carriers check NAME --to NUMBER` against the sandbox's profiles: what each hides is found out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.carrier_check import _phone_of
from gateway.embedded.sandbox.profile import make_profile, read_profile, shipped_names
from gateway.embedded.sandbox.server import Sandbox
from gateway.embedded.sandbox.smsc import Smsc
from providers.smpp.examine import Wanted, examine
from providers.smpp.findings import Findings

NUMBER = "+79161234567"
QUICK: dict[str, Any] = {"answer_delay_ms": 5, "receipt_delay_s": 0.2, "cases": [], "steps": [], "magic": False}
"""What the profiles hide stays; that they are slow and lossy has its own tests."""

HIDDEN: dict[str, dict[str, Any]] = {
    "chaos": {},
    "clean": {},
    "choppy": {},
    "endings": {},
    "flaky": {},
    "half-open": {},
    "slow": {},
    "throttled": {},
    "grey-route": {"message_ids": "hex", "receipt_timezone": "Asia/Hong_Kong", "receipts_for": "last"},
    "legacy-3.3": {
        "interface_version": "3.3", "gsm7_alphabet": "latin1", "message_ids": "hex_lower",
        "receipt_timezone": "Europe/Moscow", "receipts_for": "first", "window": 10,
    },
    "pair-only": {"bind_mode": "pair", "concatenation": "sar", "receipt_timezone": "Europe/Berlin"},
    "unruly-receipts": {"message_ids": "padded_12"},
}  # fmt: skip
SHAPES = {
    "pair-only": "text in message_payload",
    "unruly-receipts": "parameters alone by data_sm",
    "grey-route": "text by",
}


@asynccontextmanager
async def sandbox(name: str, **more: Any) -> AsyncIterator[Sandbox]:
    smsc = Smsc({"me": "secret"}, make_profile(QUICK | more, read_profile(name)))
    smsc.take_ids(0xABC00)  # hexadecimal ids have a letter from here on: without one nothing tells their case
    made = Sandbox(smsc)
    await made.open(("127.0.0.1", 0), ("127.0.0.1", 0))
    yield made
    await made.close()


async def found_at(made: Sandbox, tell: Callable[[str], None] = lambda line: None, **wanted: Any) -> Findings:
    host, _, port = made.smpp.rpartition(":")
    table = {"host": host, "port": int(port), "system_id": "me", "password": "secret", "window": 100}
    given = {"wait_s": 15.0} | wanted
    return await examine("north", table, Wanted(NUMBER, "Sluice", **given), _phone_of(made.control, NUMBER), tell)


def zone_free(settings: dict[str, Any]) -> dict[str, Any]:
    """Zones move with the season: another one may stand for the same offset."""
    return {name: value for name, value in settings.items() if name != "receipt_timezone"}


@pytest.mark.parametrize("name", sorted(HIDDEN))
async def test_what_a_profile_hides_is_found_out(name: str) -> None:
    async with sandbox(name) as made:
        found = await found_at(made, flood=400 if name == "legacy-3.3" else 0)
    assert not found.trouble
    assert zone_free(found.settings) == zone_free(HIDDEN[name])
    lines = dict(found.lines)
    assert HIDDEN[name].get("receipt_timezone", "UTC") in lines["receipt dates"] or name == "unruly-receipts"
    assert SHAPES.get(name, "") in lines["receipts"]


def test_every_profile_that_ships_is_examined() -> None:
    assert set(HIDDEN) == set(shipped_names())


async def test_the_rate_that_a_carrier_takes_is_measured_on_demand() -> None:
    rates = []
    for _ in range(3):  # on a machine that has no time for either side less than the carrier takes is found
        async with sandbox("throttled", answer_delay_ms=20) as made:
            found = await found_at(made, flood=500)
        assert found.rate_per_s is not None and found.rate_per_s <= 55
        rates.append(found.rate_per_s)
        if found.rate_per_s >= 45:
            break
    assert max(rates) >= 45


async def test_a_carrier_that_cannot_be_bound_to_says_why() -> None:
    async with sandbox("clean", bind_status=0x0E) as made:
        found = await found_at(made)
    assert "0x0E" in found.trouble


async def test_a_carrier_that_ends_links_and_is_away_is_waited_for() -> None:
    links = {"lives_submits": 4, "ends_by": "reset", "away_s": 1.0}
    async with sandbox("clean", links=links) as made:
        found = await found_at(made)
    assert not found.trouble and not found.settings and "times meanwhile" in dict(found.lines)["links"]


async def test_one_way_of_long_messages_is_enough_to_tell_which_parts_have_receipts() -> None:
    shape = {"submits": {"concatenation": ["udh16"]}, "receipt": {"parts": "last"}}
    async with sandbox("clean", **shape) as made:
        found = await found_at(made)
    assert found.settings == {"concatenation": "udh16", "receipts_for": "last"}


async def test_receipts_without_their_flag_are_found_by_their_text() -> None:
    async with sandbox("clean", receipt={"esm_class": 0, "where": "text"}) as made:
        found = await found_at(made)
    assert found.settings["unflagged_receipts"] is True and "text by deliver_sm" in dict(found.lines)["receipts"]


async def test_query_and_cancel_are_found_where_they_are_answered() -> None:
    async with sandbox("clean", query=True, cancel=True) as made:
        found = await found_at(made)
    assert (found.settings["query"], found.settings["cancel"]) == (True, True)


PLAN = """
[[carrier]]
name = "north"
provider = "smpp"
[carrier.settings]
host = "127.0.0.1"
port = {port}
system_id = "me"
password = {{ env = "NORTH_PASSWORD" }}
"""


async def test_the_command_prints_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORTH_PASSWORD", "secret")
    async with sandbox("pair-only") as made:
        (tmp_path / "plan.toml").write_text(PLAN.format(port=made.smpp.rpartition(":")[2]))
        argv = ["carriers", "check", "north", "--to", NUMBER, "--plan", str(tmp_path / "plan.toml")]
        argv += ["--control", made.control, "--wait", "10"]
        shown = await asyncio.to_thread(CliRunner().invoke, main, argv)
        told = await asyncio.to_thread(CliRunner().invoke, main, [*argv, "--json"])
        other = await asyncio.to_thread(CliRunner().invoke, main, [*argv[:2], "south", *argv[3:]])
    assert shown.exit_code == 0 and 'bind_mode = "pair"' in shown.stdout and "secret" not in shown.stdout
    assert json.loads(told.stdout)["settings"]["concatenation"] == "sar"
    assert other.exit_code == 1 and "north" in other.output
