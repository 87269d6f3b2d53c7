"""Every key name in Redis, and nothing else.

A shard's keys begin with `{<shard>}:`, so they share one slot of a cluster; `{g}:` holds what is not per shard.

    {s}:intake:<class>:<client>            stream    waits for the router, in packs or singly
    {s}:struck:<class>:<client>            set       ids in packs of that intake that are cancelled
    {s}:depths                             hash      "<class>:<client>" → messages in its intake
    {s}:outbox:<carrier>:<class>:<client>  stream    waits for the carrier's connector, and what is on the wire
    {s}:again:<carrier>:<class>:<client>   stream    came back unsent; read before the outbox
    {s}:later, {s}:later:body              zset+hash due time → id; id → how to put it back
    {s}:events                             stream    facts for the recorder
    {s}:recorded                           string    last entry of events that PostgreSQL has
    {s}:marks:<carrier>                    hash      "<stream>|<first>|<last>" → ms: ranges on the wire
    {s}:fence:<carrier>                    string    token of the connector that may move entries
    {s}:lease:<stage>, {g}:lease:<name>    hash      owner, token, until
    {s}:lanes, {s}:lanes:<carrier>         set       "<class>:<client>" ever seen
    {s}:carriers                           set       carriers that ever had an outbox
    {s}:paused, {s}:paused:<tag>           set       tags with messages parked for a pause; their ids
    {s}:epoch                              counter   raised when a message leaves a stream from its middle
    {s}:open, {s}:closed                   string    run id that may move messages; why the shard is closed
    {s}:f:<day>                            hash      refs of a day: hash of client, recipient and ref → id, body hash
    {s}:c:<writer>, {s}:i:<commit>         hash      replies of commits, to repeat them
    {s}:n:<writer>                         string    number of a writer's last settle or facts, to repeat them
    {s}:k:<hash>                           hash      a reserved Idempotency-Key
    {s}:b:<batch id>                       string    a batch's facts until PostgreSQL has them
    {g}:mirror:<name>                      hash      version and value of the plan, the keys …
    {g}:status                             hash      carrier → state of its connector and binds
    {g}:lookup:<number>                    string    who has a number, as the plan's [lookup] said
    {g}:lookups:<day>                      counter   what lookups cost that day, in millionths
    {g}:modes                              hash      carrier → paused or draining
    {g}:chances                            string    how likely each carrier delivers, and as of when that is known
    {g}:ids                                hash      "<carrier>|<form of its ids>" → receipts that found theirs by it
    {g}:awaited                            string    carrier → messages that wait for its receipts
    {g}:asks:<carrier>                     list      questions for its connector
    {g}:polls:<carrier>                    hash      carrier's message id → when it is asked about next
    {g}:answer:<name>                      string    the answer to one of them
    {g}:pauses                             hash      "<class|client|tag>:<name>" → who paused it, and when
    {g}:used:<what>:<begin>                counter   parts of a limit, or millionths of a budget's money, leased
                                                     in the period that began then
    {g}:using:<kind>                       hash      process → version of the dataset that it uses, and when it said so
    {g}:seats:<hash>                       hash      process → how many messages it may have on their way to a number
                                                     under a limit, and until when
    {g}:corrected:<what>:<begin>           string    how much of a budget's count comes from what messages really cost
"""

from __future__ import annotations

GLOBAL = "{g}:"


def prefix(shard: int | None) -> str:
    """What a shard's keys begin with; None: the global ones."""
    return GLOBAL if shard is None else f"{{{shard}}}:"


def lane(klass: str, client: str) -> str:
    """The name of a client's share of a class, as it stands in stream names."""
    return f"{klass}:{client}"


def lane_parts(name: str) -> tuple[str, str]:
    """Class and client of a lane's name."""
    klass, _, client = name.partition(":")
    return klass, client
