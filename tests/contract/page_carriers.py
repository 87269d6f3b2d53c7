"""The provider that docs/adding-a-provider.md shows, and the page's carrier for the contract suite, out of the page.

In: the page. Out: a module `providers.acme`, and a class that the suite runs against it.
"""

from __future__ import annotations

import hashlib  # noqa: F401 - the page's code is without imports
import hmac  # noqa: F401
import json  # noqa: F401
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar  # noqa: F401

from tests.contract.carrier import Answer, Arrived, Delivery  # noqa: F401
from tests.contract.named_carriers import NamedCarrier
from tests.contract.web_peer import Asked  # noqa: F401

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text("utf-8")


@cache
def acme() -> ModuleType:
    """The page's provider."""
    made = sys.modules["providers.acme"] = ModuleType("providers.acme")
    exec(compile(_block('"""'), "providers/acme.py", "exec"), vars(made))
    return made


def acme_carrier() -> type[NamedCarrier]:
    """The page's carrier."""
    known: dict[str, Any] = {**globals(), "acme": acme()}
    exec(compile(_block("class AcmeCarrier"), "docs/adding-a-provider.md", "exec"), known)
    made: type[NamedCarrier] = known["AcmeCarrier"]
    return made


def _block(beginning: str) -> str:
    found = re.search(rf"```python\n({re.escape(beginning)}.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no Python that begins with {beginning}"
    return found[1]
