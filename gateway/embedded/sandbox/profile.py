"""How the sandbox behaves, as data: delays, codes, limits, forms, and cases for some numbers or texts.

In: TOML or a mapping. Out: a `Profile`, and for one message its `Fate`. Pure; randomness is handed in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.embedded.sandbox import refusals
from gateway.embedded.sandbox.forms import PLAIN_IDS, PLAIN_RECEIPT, Ids, ReceiptForm, Word
from gateway.embedded.sandbox.refusals import ProfileError
from gateway.embedded.sandbox.rules import PLAIN_LINKS, PLAIN_SUBMITS, PLAIN_WEB, Links, Submits, Web
from gateway.embedded.sandbox.spread import Delay, Spread
from gateway.plan.problems import close_to

QUEUE_FULL: Final = 0x14

Share = Annotated[float, Meta(ge=0, le=1)]
Status = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Kind = Literal["transceiver", "transmitter", "receiver"]

__all__ = ["Choice", "Fate", "Profile", "ProfileError", "make_profile", "read_profile", "shipped_names"]


class Fate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to one message. Fields left out of a case are the profile's own."""

    status: Annotated[
        Status, Meta(description="command_status of the answer; not 0: refused, and there is no receipt")
    ] = 0
    answered: Annotated[bool, Meta(description="false: silence, though the message is taken when `status` is 0")] = True
    answer_twice: Annotated[bool, Meta(description="whether the answer comes twice")] = False
    answer_delay_ms: Annotated[Delay, Meta(description="how long the answer takes")] = 0.0
    no_id: Annotated[bool, Meta(description="whether the answer has an empty message id; no receipt follows")] = False
    receipts: Annotated[int, Meta(ge=0, le=10, description="how many of each receipt; 0: lost, 2: doubled")] = 1
    receipt_delay_s: Annotated[Delay, Meta(description="from the answer to the last receipt")] = 0.0
    early: Annotated[
        bool, Meta(description="whether that counts from the submit, and a receipt may come before the answer")
    ] = False
    stat: Annotated[Word, Meta(description="how the message ends")] = "DELIVRD"
    err: Annotated[str, Meta(max_length=8, pattern="^[!-~]*$", description="the error code of the receipt")] = "000"
    steps: Annotated[
        tuple[Word, ...], Meta(description='states that are reported on the way, such as ["ACCEPTD", "ENROUTE"]')
    ] = ()
    then: Annotated[
        str, Meta(max_length=15, pattern="^[!-~]*$", description="a state that is reported after the last one")
    ] = ""
    scrambled: Annotated[bool, Meta(description="whether a message's receipts come in any order")] = False

    @property
    def is_plain(self) -> bool:
        """Whether one answer and receipts that are all alike are all that follows."""
        drawn = isinstance(self.answer_delay_ms, Spread) or isinstance(self.receipt_delay_s, Spread)
        return not (drawn or self.answer_twice or self.no_id or self.early or self.steps or self.then)


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """For which messages a case is. Every condition given must hold; the first case that holds decides."""

    prefix: Annotated[str, Meta(pattern=r"^\+?[0-9]*$", description="how the recipient's number begins")] = ""
    suffix: Annotated[str, Meta(pattern="^[0-9]*$", description="how it ends")] = ""
    text: Annotated[str, Meta(description="what is somewhere in the text")] = ""
    share: Annotated[Share, Meta(description="share of those messages, 0 to 1, chosen at random")] = 1.0


class Profile(Fate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The behaviour of one sandbox carrier. What it has from `Fate` holds for messages that no case takes."""

    about: Annotated[str, Meta(max_length=200, description="what it is like, in a sentence")] = ""
    cases: Annotated[tuple[dict[str, Any], ...], Meta(description="messages whose fate differs")] = ()
    throttle_per_s: Annotated[
        float, Meta(ge=0, description="parts a second and account, by a token bucket; 0: any number")
    ] = 0.0
    throttle_burst: Annotated[float, Meta(ge=0, description="size of the bucket; 0: a tenth of a second's worth")] = 0.0
    throttle_status: Annotated[Status, Meta(description="what a submit beyond it is answered with")] = 0x58
    window: Annotated[
        int, Meta(ge=0, description="unanswered submits of a bind; one more is answered with 0x14; 0: any number")
    ] = 0
    receipt_window: Annotated[
        int, Meta(ge=1, description="receipts of a bind without an answer; the rest waits here")
    ] = 10_000
    version: Annotated[
        Literal["3.3", "3.4"],
        Meta(description="of SMPP; 3.3 knows no transceivers and no optional parameters, in neither direction"),
    ] = "3.4"
    binds: Annotated[tuple[Kind, ...], Meta(description="kinds that are allowed")] = (
        "transceiver",
        "transmitter",
        "receiver",
    )
    query: Annotated[bool, Meta(description="whether it answers query_sm")] = False
    cancel: Annotated[bool, Meta(description="whether it answers cancel_sm")] = False
    bind_status: Annotated[Status, Meta(description="not 0: every bind is refused with it")] = 0
    ids: Annotated[Ids, Meta(description="how message ids look")] = PLAIN_IDS
    receipt: Annotated[ReceiptForm, Meta(description="what a receipt looks like")] = PLAIN_RECEIPT
    submits: Annotated[Submits, Meta(description="what of a submit it understands")] = PLAIN_SUBMITS
    links: Annotated[Links, Meta(description="what happens to connections")] = PLAIN_LINKS
    web: Annotated[Web, Meta(description="habits of its HTTP side")] = PLAIN_WEB
    magic: Annotated[
        bool, Meta(description="whether magic numbers have their own fates; a case that refuses comes before them")
    ] = True
    magic_speed: Annotated[float, Meta(gt=0, le=1000, description="how much faster than real their seconds pass")] = 1.0
    watch: Annotated[
        str, Meta(description="prefix of recipients that are shown even by a sandbox that keeps nothing")
    ] = ""

    def fate(self) -> Fate:
        """The fate of a message that no case takes."""
        return Fate(**{f: getattr(self, f) for f in Fate.__struct_fields__})


class Choice:
    """Chooses the fate of one message. Made once for each profile. Raises ProfileError for a case that cannot be."""

    def __init__(self, profile: Profile) -> None:
        self.default = profile.fate()
        self.throttled = refusal(self.default, profile.throttle_status)
        self.full = refusal(self.default, QUEUE_FULL)
        self.submits, self.receipt = profile.submits, profile.receipt
        if profile.version == "3.3":
            self.submits, self.receipt = _without_tlvs(profile.submits, profile.receipt)
        self._cases: Sequence[tuple[Condition, Fate]] = [
            _case(self.default, given, f"cases[{n}]") for n, given in enumerate(profile.cases)
        ]
        self.has_cases = bool(self._cases)
        self.delays = any(fate.answer_delay_ms for fate in (self.default, *(fate for _, fate in self._cases)))
        self.is_plain = (
            (profile.ids, profile.receipt, profile.version) == (PLAIN_IDS, PLAIN_RECEIPT, "3.4")
            and profile.submits.takes_all
            and not (profile.query or profile.cancel)
            and all(fate.is_plain for fate in (self.default, *(fate for _, fate in self._cases)))
        )

    def of(self, digits: str, text: str, random: float) -> Fate:
        """The fate of a message; `random` in [0, 1) is compared with the shares of cases one after another."""
        for case, fate in self._cases:
            if not (digits.startswith(case.prefix) and digits.endswith(case.suffix) and case.text in text):
                continue
            if random < case.share:
                return fate
            random = (random - case.share) / (1 - case.share)
        return self.default


def refusal(fate: Fate, status: int) -> Fate:
    """The same message refused with this status, and answered in any case."""
    return msgspec.structs.replace(fate, status=status, answered=True)


def _without_tlvs(submits: Submits, receipt: ReceiptForm) -> tuple[Submits, ReceiptForm]:
    """What is left of both in SMPP 3.3, which has no optional parameters."""
    return (
        msgspec.structs.replace(submits, tlvs="refuse"),
        msgspec.structs.replace(receipt, where="text", command="deliver_sm", echo=False, network_error=False),
    )


def _case(default: Fate, given: Mapping[str, Any], place: str) -> tuple[Condition, Fate]:
    conditions = {name: given[name] for name in Condition.__struct_fields__ if name in given}
    fate = {name: value for name, value in given.items() if name not in conditions}
    condition = refusals.read(conditions, Condition, place)
    condition = msgspec.structs.replace(condition, prefix=condition.prefix.lstrip("+"))
    return condition, refusals.read(msgspec.to_builtins(default) | fate, Fate, place, Condition.__struct_fields__)


def read_profile(source: str) -> Profile:
    """The profile of a TOML file, or one that ships under this name. Raises ProfileError."""
    try:
        return make_profile(tomllib.loads(profile_text(source)))
    except tomllib.TOMLDecodeError as e:
        raise ProfileError(f"{source}: not valid TOML: {e}") from e
    except ProfileError as e:
        raise ProfileError(f"{source}: {e}" if not str(e).startswith(source) else str(e)) from e


def profile_text(source: str) -> str:
    """What the file or the shipped profile says. Raises ProfileError."""
    path = Path(source)
    shipped = _folder() / f"{source}.toml"
    try:
        if path.suffix != ".toml" and not path.exists() and shipped.is_file():
            return shipped.read_text("utf-8")
        return path.read_text("utf-8")
    except OSError as e:
        hint = close_to(source, shipped_names())
        raise ProfileError(
            f"{source}: cannot be read: {e.strerror}; shipped are {', '.join(shipped_names())}.{hint}"
        ) from e
    except UnicodeDecodeError as e:
        raise ProfileError(f"{source}: not valid TOML: {e}") from e


def shipped_names() -> list[str]:
    """Names of the profiles that ship with Sluice."""
    return sorted(f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml"))


def _folder() -> Traversable:
    return resources.files(__package__) / "profiles"


def make_profile(values: Mapping[str, Any], onto: Profile | None = None) -> Profile:
    """`onto` (else the defaults) with these fields changed; tables are changed field by field. Raises ProfileError."""
    base: dict[str, Any] = msgspec.to_builtins(onto) if onto is not None else {}
    for name, value in values.items():
        known = base.get(name)
        merges = isinstance(known, dict) and isinstance(value, Mapping) and name in _TABLES
        base[name] = {**known, **value} if merges and isinstance(known, dict) else value
    profile = refusals.read(base, Profile)
    Choice(profile)
    return profile


_TABLES: Final = frozenset({"ids", "receipt", "submits", "links", "web"})
