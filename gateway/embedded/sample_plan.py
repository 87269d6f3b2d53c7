"""The plan that a new data directory gets: everything goes to the sandbox carrier.

In: where the sandbox carrier listens and the file with its password. Out: the plan's document. Never the password.
"""

from __future__ import annotations

import json
from importlib import resources
from string import Template


def sample(smpp_host: str, smpp_port: int, password_file: str) -> str:
    """The document, with comments for those who will change it."""
    text = (resources.files("gateway.embedded") / "sample_plan.toml").read_text("utf-8")
    values = {"host": smpp_host, "port": smpp_port, "password_file": password_file}
    return Template(text).substitute({name: json.dumps(value, ensure_ascii=False) for name, value in values.items()})
