"""`sluice listen` ends by a shell's `kill` as by Ctrl-C, so that its endpoint is removed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gateway.commands.listen import _until_told


async def test_a_signal_to_end_cancels_what_listens() -> None:
    removed = asyncio.Event()

    async def listen() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            removed.set()

    told = asyncio.create_task(_until_told(listen()), name="told")
    try:
        with pytest.raises(asyncio.CancelledError):
            await told
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert removed.is_set()
