"""An application that hears of its messages on three URLs, and fails now and then.

In: callbacks. Out: for each message the events that came, by `seq`; how many came again. Every signature is verified.
"""

from __future__ import annotations

from collections import defaultdict

from standardwebhooks import Webhook

from tests.acceptance.gateway_world import World
from tests.callback_receiver import OK, Receiver, Request

ALL, FAILURES, OWN = "/all", "/failures", "/own"
FAILED = ("undeliverable", "rejected", "failed", "expired")
TOLD = ("submitted", "unknown", "delivered", "cancelled", *FAILED)
_REFUSED = b"HTTP/1.1 500 Said\r\nContent-Length: 0\r\n\r\n"
_EVERY = 60


class Application:
    """`heard` has what came to the endpoint of all events, or to messages' own URLs; `failures` what came to the
    endpoint of failures. Keys are ids of messages, then `seq`; values are states."""

    def __init__(self, receiver: Receiver) -> None:
        self.heard: dict[str, dict[int, str]] = defaultdict(dict)
        self.failures: dict[str, dict[int, str]] = defaultdict(dict)
        self.again = 0
        self.refused = 0
        self._secrets: dict[str, str] = {}
        self._requests = 0
        self._refused_ids: set[str] = set()
        self._origin = receiver.url.removesuffix("/hook")
        self._receiver = receiver
        receiver.answer = self._take

    @property
    def own_url(self) -> str:
        """For messages that name one."""
        return self._origin + OWN

    async def register(self, w: World) -> None:
        """One endpoint for everything, in bundles; one for failures, singly."""
        for path, states, bundle in ((ALL, TOLD, True), (FAILURES, FAILED, False)):
            events = [f"message.{state}" for state in states]
            asked = {"url": self._origin + path, "events": events, "bundle": bundle}
            status, made = await w.post("/v1/endpoints", asked)
            assert status == 201, made
            self._secrets[path] = made["secret"]
        status, said = await w.get("/v1/callbacks/secret")
        assert status == 200, said
        self._secrets[OWN] = said["secret"]

    def _take(self, request: Request) -> bytes:
        self._receiver.requests.clear()  # of a long run there would be gigabytes
        found = Webhook(self._secrets[request.path]).verify(request.body, request.headers)
        events = [event["data"] for event in (found if isinstance(found, list) else [found])]
        self._requests += 1
        ids = {event["event_id"] for event in events}
        if self._requests % _EVERY == 0 and not ids & self._refused_ids:  # once each: a second time waits for long
            self._refused_ids |= ids
            self.refused += len(events)
            return _REFUSED
        into = self.failures if request.path == FAILURES else self.heard
        for event in events:
            known = into[event["id"]]
            self.again += event["seq"] in known
            assert known.setdefault(event["seq"], event["state"]) == event["state"], "one event id, two states"
        return OK
