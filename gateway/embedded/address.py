"""HOST:PORT as people write it: checked before anything is started, and turned into a URL that works from here."""

from __future__ import annotations

import errno
import socket
import time
from urllib.parse import urlsplit

from gateway.embedded.child import StartError

ANY_PORT = "127.0.0.1:0"

RELEASE_S = 1.0
"""How long a port may still belong to the process that was just killed."""


def parse(listen: str) -> tuple[str, int]:
    """Host and port. Raises StartError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise StartError(f"`{listen}` is no address: give HOST:PORT, for example 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def check_free(listen: str, option: str = "--listen") -> None:
    """Raises StartError when nobody could listen there now. `option` says where it came from."""
    host, port = parse(listen)
    deadline = time.monotonic() + RELEASE_S
    while True:
        try:
            family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen(1)
            return
        except socket.gaierror:
            raise StartError(f"{listen}: there is no host `{host}`") from None
        except PermissionError:
            raise StartError(f"{listen}: port {port} needs rights that we do not have; take one above 1023") from None
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise StartError(f"{listen}: cannot listen there: {e.strerror}") from None
            if time.monotonic() > deadline:
                raise StartError(f"{listen} is taken by another program: choose another with {option}") from None
            time.sleep(0.05)


def reachable(url: str) -> str:
    """The URL for clients on this machine: an address that means "everywhere" is no place to connect to."""
    parts = urlsplit(url)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(parts.hostname or "")  # noqa: S104
    return f"{parts.scheme}://{host}:{parts.port}" if host else url
