"""Carriers by name speak as their golden files say: requests byte for byte, answers, reports, statuses, balances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.provider import CallbackRefusedError
from providers._web import page
from tests import golden_carriers as golden


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(path, case, id=f"{path.stem}-{case.get('why', number)}")
        for path in golden.FILES
        for number, case in enumerate(golden.read(path).get(kind, []))
    ]


def provider(path: Path) -> Any:
    return golden.opened(golden.read(path), path.stem)


def test_every_carrier_by_name_has_its_golden_file() -> None:
    assert set(page.BY_NAME) <= {path.stem for path in golden.FOLDER.iterdir()}


@pytest.mark.parametrize(("path", "case"), cases("request"))
def test_a_request_is_byte_for_byte_what_the_file_says(path: Path, case: dict[str, Any]) -> None:
    assert golden.request(provider(path), case) == case["is"]


@pytest.mark.parametrize(("path", "case"), cases("answer"))
def test_an_answer_means_what_the_file_says(path: Path, case: dict[str, Any]) -> None:
    assert golden.outcome(provider(path), case) == case["outcome"]


@pytest.mark.parametrize(("path", "case"), cases("callback"))
def test_a_report_means_what_the_file_says(path: Path, case: dict[str, Any]) -> None:
    said = golden.callback(provider(path), case)
    assert [golden.words_of(receipt) for receipt in said.receipts] == case.get("receipts", [])
    assert [golden.words_of_inbound(message) for message in said.inbound] == case.get("inbound", [])
    assert [(n.carrier_message_id, n.recipient) for n in said.nudges] == [tuple(n) for n in case.get("nudges", [])]
    assert (said.status, said.body.decode()) == (200, case.get("reply", ""))


@pytest.mark.parametrize(("path", "case"), cases("refused"))
def test_a_report_without_its_proof_is_refused(path: Path, case: dict[str, Any]) -> None:
    with pytest.raises(CallbackRefusedError) as caught:
        golden.callback(provider(path), case)
    assert caught.value.status == case["status"]


@pytest.mark.parametrize(("path", "case"), cases("question"))
def test_a_question_is_what_the_file_says_and_so_is_its_answer(path: Path, case: dict[str, Any]) -> None:
    asked, receipts = golden.question(provider(path), case)
    assert asked == case["is"]
    assert receipts == case["receipts"]


@pytest.mark.parametrize(("path", "case"), cases("balance"))
def test_a_balance_is_read(path: Path, case: dict[str, Any]) -> None:
    made = provider(path)
    made._purse.read(golden.answer(case))
    assert (made.balance.amount if made.balance is not None else None) == case.get("amount")


@pytest.mark.parametrize("path", golden.FILES, ids=lambda path: path.stem)
def test_a_secret_is_in_no_repr(path: Path) -> None:
    made, given = provider(path), golden.read(path)["settings"]
    secrets = [value for name, value in given.items() if name in golden.SECRETS]
    assert secrets
    shown = repr(made) + repr(vars(made)) + repr(made._settings)
    assert not [secret for secret in secrets if secret in shown]
