"""Before a process starts: is this PostgreSQL one that its stages can work with?

In: the pool. Out: nothing, or one sentence for the operator. A server that is away stops no start: facts wait in Redis,
and plan, keys and clients are mirrored there.
"""

from __future__ import annotations

import asyncpg

from gateway import logs
from gateway.store.migrate import applied_names, unfit
from gateway.store.pool import Pool, StoreAwayError

log = logs.stage("ops")

_REFUSED = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


class UnfitStoreError(Exception):
    """The world is not as the stages need it. The text says what is wrong and what to do."""


async def check_store(pool: Pool) -> None:
    """Raises UnfitStoreError for a login that is refused, and for a schema that does not fit this release."""
    try:
        why = unfit(await applied_names(pool))
    except StoreAwayError as e:
        log.warning("postgres_away", reason=e)
        return
    except asyncpg.UndefinedTableError:
        raise UnfitStoreError("the database in PostgreSQL is empty: run `sluice db migrate`") from None
    except _REFUSED as e:
        raise UnfitStoreError(f"PostgreSQL refused: {str(e).partition(chr(10))[0]}") from None
    if why:
        raise UnfitStoreError(why)
