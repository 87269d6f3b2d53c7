"""How the sandbox behaves, as data: delays, codes, limits, and cases for some numbers or texts.

In: TOML or a mapping. Out: a `Profile`, and for one message its `Fate`. Pure; randomness is handed in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

STATES = {
    "ENROUTE": 1,
    "DELIVRD": 2,
    "EXPIRED": 3,
    "DELETED": 4,
    "UNDELIV": 5,
    "ACCEPTD": 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
}
"""Receipt words (SMPP 3.4, appendix B) and their message_state (5.2.28). A word of a profile's own is UNKNOWN."""

QUEUE_FULL = 0x14

Delay = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Status = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class ProfileError(ValueError):
    """A profile cannot be used. The text names the place and says what would be right."""


class Fate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to one message. Fields left out of a case are the profile's own."""

    status: Status = 0  # command_status of the answer; not 0: refused, and no receipt
    answered: bool = True  # False: silence, though the message is taken when status is 0
    answer_delay_ms: Delay = 0.0
    receipts: Annotated[int, Meta(ge=0, le=10)] = 1  # how many; 0: lost, 2: doubled
    receipt_delay_s: Delay = 0.0  # counted from the answer
    stat: Annotated[str, Meta(min_length=1, max_length=15, pattern="^[!-~]+$")] = "DELIVRD"
    err: Annotated[str, Meta(max_length=8, pattern="^[!-~]*$")] = "000"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages whose fate differs. Every condition given must hold; the first case that holds decides."""

    prefix: str = ""  # of the recipient, digits without +
    suffix: str = ""
    text: str = ""  # somewhere in the text
    share: Share = 1.0  # of those messages, chosen at random
    status: Status | None = None
    answered: bool | None = None
    answer_delay_ms: Delay | None = None
    receipts: Annotated[int, Meta(ge=0, le=10)] | None = None
    receipt_delay_s: Delay | None = None
    stat: str | None = None
    err: str | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The behaviour of one sandbox carrier. The first seven fields are the fate of a message that no case takes."""

    status: Status = 0
    answered: bool = True
    answer_delay_ms: Delay = 0.0
    receipts: Annotated[int, Meta(ge=0, le=10)] = 1
    receipt_delay_s: Delay = 0.0
    stat: str = "DELIVRD"
    err: str = "000"
    cases: tuple[Case, ...] = ()
    throttle_per_s: Delay = 0.0  # submits a second and account before `throttle_status`; 0: any number
    throttle_burst: Delay = 0.0  # size of the bucket; 0: a tenth of a second's worth
    throttle_status: Status = 0x58
    window: Annotated[int, Meta(ge=0)] = 0  # unanswered submits a bind before 0x14 (queue full); 0: any number
    receipt_window: Annotated[int, Meta(ge=1)] = 10_000  # unacknowledged receipts a bind; the rest waits here
    binds: tuple[str, ...] = ("transceiver", "transmitter", "receiver")  # kinds that are allowed
    bind_status: Status = 0  # not 0: every bind is refused with it
    magic: bool = True  # whether magic numbers (magic.py) have their own fates; a case that refuses comes before them
    magic_speed: Annotated[float, Meta(gt=0, le=1000)] = 1.0  # how much faster than real their seconds pass
    watch: str = ""  # prefix of recipients that are shown even by a sandbox that keeps nothing

    def fate(self) -> Fate:
        """The fate of a message that no case takes."""
        return msgspec.convert({f: getattr(self, f) for f in Fate.__struct_fields__}, Fate)


class Choice:
    """Chooses the fate of one message. Made once for each profile."""

    def __init__(self, profile: Profile) -> None:
        self.default = profile.fate()
        self.throttled = _status(self.default, profile.throttle_status)
        self.full = _status(self.default, QUEUE_FULL)
        self._cases: Sequence[tuple[Case, Fate]] = [(case, _merge(self.default, case)) for case in profile.cases]
        self.has_cases = bool(self._cases)

    def of(self, digits: str, text: str, random: float) -> Fate:
        """The fate of a message; `random` in [0, 1) is compared with the shares of cases one after another."""
        for case, fate in self._cases:
            if not (digits.startswith(case.prefix) and digits.endswith(case.suffix) and case.text in text):
                continue
            if random < case.share:
                return fate
            random = (random - case.share) / (1 - case.share)
        return self.default


def _status(default: Fate, status: int) -> Fate:
    return msgspec.structs.replace(default, status=status, answered=True)


def _merge(default: Fate, case: Case) -> Fate:
    given = {f: v for f in Fate.__struct_fields__ if (v := getattr(case, f)) is not None}
    return msgspec.convert(msgspec.to_builtins(default) | given, Fate)


def read_profile(source: str) -> Profile:
    """The profile of a TOML file, or one that ships under this name. Raises ProfileError."""
    path = Path(source)
    shipped = resources.files(__package__) / "profiles" / f"{source}.toml"
    try:
        if path.suffix != ".toml" and not path.exists() and shipped.is_file():
            text = shipped.read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        return make_profile(tomllib.loads(text))
    except OSError as e:
        raise ProfileError(f"{source}: cannot be read: {e.strerror}; shipped are {', '.join(shipped_names())}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ProfileError(f"{source}: not valid TOML: {e}") from e
    except ProfileError as e:
        raise ProfileError(f"{source}: {e}") from e


def shipped_names() -> list[str]:
    """Names of the profiles that ship with Sluice."""
    folder = resources.files(__package__) / "profiles"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def make_profile(values: Mapping[str, Any], onto: Profile | None = None) -> Profile:
    """`onto` (else the defaults) with these fields changed. Raises ProfileError."""
    base = msgspec.to_builtins(onto) if onto is not None else {}
    try:
        profile = msgspec.convert(base | dict(values), Profile)
        Choice(profile)
    except msgspec.ValidationError as e:
        raise ProfileError(str(e)) from e
    return profile
