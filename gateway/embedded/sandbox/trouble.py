"""What happens to connections by a profile's `links`: they end, hang, are asked after, and get what nobody understands.

In: a connection from its bind on. Out: calls of it, now or later.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

from gateway.embedded.sandbox.peer import Peer
from gateway.embedded.sandbox.smsc import Smsc
from gateway.embedded.sandbox.spread import Spread, draw


def begin(smsc: Smsc, peer: Peer) -> None:
    """Plan what the profile in force has in mind for it."""
    links = smsc.profile.links
    if (lives_s := draw(links.lives_s, smsc.random)) > 0:
        smsc.later(lives_s, lambda: end(smsc, peer))
    if links.garbage and (isinstance(links.garbage_s, Spread) or links.garbage_s > 0):
        kinds = cycle(links.garbage)
        _again(smsc, peer, links.garbage_s, lambda: peer.spoil(next(kinds)))
    if links.enquires_s:
        _again(smsc, peer, links.enquires_s, peer.enquire)


def took(smsc: Smsc, peer: Peer, submits: int) -> None:
    """So many submits more."""
    peer.submits += submits
    limit = smsc.profile.links.lives_submits
    if limit and peer.submits >= limit:
        end(smsc, peer)


def end(smsc: Smsc, peer: Peer) -> None:
    """End it as the profile has it."""
    if peer not in smsc.sessions:
        return
    links = smsc.profile.links
    smsc.tally.counts.links_ended += 1
    if links.away_s:
        smsc.away_until = smsc.monotonic() + links.away_s
    peer.end(links.ends_by)


def _again(smsc: Smsc, peer: Peer, every: float | Spread, do: Callable[[], None]) -> None:
    def now() -> None:
        if peer in smsc.sessions:
            do()
            plan()

    def plan() -> None:
        smsc.later(max(draw(every, smsc.random), 0.01), now)

    plan()
