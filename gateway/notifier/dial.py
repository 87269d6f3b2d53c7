"""Connections to applications: the name is resolved, its addresses are checked, and the connection goes to one of them.

In: a host and a port. Out: an open `Wire`, or a sentence that says why there is none. Never: a second resolution
between check and connection; Host and SNI stay the name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.callbacks.address import Network, refusal
from gateway.notifier.request import Place
from gateway.notifier.wire import Wire

RESOLVE_S: Final = 5.0
CONNECT_S: Final = 5.0
RESOLUTIONS: Final = 64
"""Names that are looked up at once; one that hangs takes a place until the system's resolver gives up."""
_ADDRESSES: Final = 3

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class DialError(Exception):
    """There is no connection; the text says why, for the application's developer."""


class ForbiddenAddressError(DialError):
    """Callbacks may not go there."""


class Dialer:
    """Makes connections."""

    def __init__(
        self, allowed: Sequence[Network], tls: ssl.SSLContext | None = None, resolve: Resolve | None = None
    ) -> None:
        self._allowed = allowed
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve or Resolver().addresses

    async def dial(self, place: Place, make: Callable[[], Wire]) -> Wire:
        """An open connection. Raises DialError."""
        addresses = await self._checked(place)
        why = ""
        for address in addresses[:_ADDRESSES]:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await self._connect(address, place, make)
            except TimeoutError:
                why = f"{place.label} did not take a connection within {CONNECT_S:g} s"
            except ssl.SSLCertVerificationError as e:
                why = f"TLS: the certificate of {place.host} is not valid: {e.verify_message}"
            except ssl.SSLError as e:
                why = f"TLS with {place.label} failed: {e.reason or type(e).__name__}"
            except OSError as e:
                why = f"{place.label} refused the connection" if _refused(e) else f"{place.label}: {e.strerror or e}"
        raise DialError(why)

    async def _connect(self, address: str, place: Place, make: Callable[[], Wire]) -> Wire:
        loop = asyncio.get_running_loop()
        if place.secure:
            _, wire = await loop.create_connection(make, address, place.port, ssl=self._tls, server_hostname=place.host)
        else:
            _, wire = await loop.create_connection(make, address, place.port)
        return wire

    async def _checked(self, place: Place) -> list[str]:
        try:
            addresses: Sequence[str] = [str(ipaddress.ip_address(place.host))]
        except ValueError:
            try:
                async with asyncio.timeout(RESOLVE_S):
                    addresses = await self._resolve(place.host, place.port)
            except TimeoutError:
                raise DialError(f"{place.host} could not be resolved within {RESOLVE_S:g} s") from None
            except OSError as e:
                raise DialError(f"{place.host} cannot be resolved: {e.strerror or e}") from None
        refusals = {address: refusal(address, self._allowed) for address in addresses}
        good = [address for address, why in refusals.items() if not why]
        if not good:
            address, why = next(iter(refusals.items()), (place.host, "no address"))
            leads = "is" if address == place.host else f"leads to {address},"
            raise ForbiddenAddressError(
                f"{place.host} {leads} {why}; callbacks go there only if the setting callbacks_allow names its network"
            )
        return good


def _refused(error: OSError) -> bool:
    return isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower()


class Resolver:
    """The system's resolver in threads of its own, so that a name server that hangs holds up nobody else's names."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(RESOLUTIONS)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Each address once, in the system's order. Raises OSError."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()
        await self._room.acquire()

        def tell(result: list[str] | OSError) -> None:
            self._room.release()
            if found.done():
                return
            if isinstance(result, OSError):
                found.set_exception(result)
            else:
                found.set_result(result)

        def look() -> None:
            result: list[str] | OSError
            try:
                rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                result = list(dict.fromkeys(str(row[4][0]) for row in rows))
            except OSError as e:
                result = e
            except UnicodeError:
                result = OSError(0, "it is no name")
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(tell, result)

        threading.Thread(target=look, name=f"resolve {host}", daemon=True).start()
        return await found
