"""The plan that a new data directory gets: everything goes to the sandbox carrier, by SMPP or, to Belarus, by HTTP.

In: where the sandbox carrier listens and the files with its secrets. Out: the plan's document. Never a secret.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from string import Template
from typing import Final

_WEB: Final = re.compile(r"^#web:( |$)", re.MULTILINE)
_WEB_LINE: Final = re.compile(r"^#web:.*\n", re.MULTILINE)


def sample(smpp_host: str, smpp_port: int, password_file: str, web: str = "", callback_token_file: str = "") -> str:
    """The document, with comments for those who will change it. `web` is HOST:PORT of the web side; empty: without."""
    text = (resources.files("gateway.embedded") / "sample_plan.toml").read_text("utf-8")
    text = _WEB.sub("", text) if web else _WEB_LINE.sub("", text)
    values = {
        "host": smpp_host,
        "port": smpp_port,
        "password_file": password_file,
        "web_url": f"http://{web}/messages",
        "web_balance": f"http://{web}/balance",
        "callback_token_file": callback_token_file,
    }
    return Template(text).substitute({name: json.dumps(value, ensure_ascii=False) for name, value in values.items()})
