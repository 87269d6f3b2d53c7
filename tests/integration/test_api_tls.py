"""TLS of the API with certificates of a real authority: what is served, what is refused at the start, new files."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.api import tls
from gateway.cli import main
from gateway.config import Settings, SettingsError
from tests.api_server import Api, running

MESSAGE = {"to": "+79161234567", "text": "Hello", "class": "otp"}
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


class Authority:
    """Issues pairs into a directory."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.directory = trustme.CA(), directory
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"

    def issue(self, until: datetime.datetime | None = None, name: str = "localhost") -> None:
        made = self.ca.issue_cert("127.0.0.1", name, not_after=until)
        self.key.write_bytes(made.private_key_pem.bytes())
        self.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def settings(self) -> dict[str, str]:
        return {"tls_cert": str(self.cert), "tls_key": str(self.key)}

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue()
    return made


async def serial(api: Api, authority: Authority) -> str:
    """The serial number of the certificate that a new connection gets."""
    host, port = api.server.url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=authority.trusting())
    found = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    await writer.wait_closed()
    return str(found)


async def test_everything_is_served_over_tls_on_one_listener(
    valkey_url: str, postgres_url: str, authority: Authority
) -> None:
    async with running(valkey_url, postgres_url, **authority.settings()) as api:
        assert api.server.url.startswith("https://")
        connector = aiohttp.TCPConnector(ssl=authority.trusting())
        async with aiohttp.ClientSession(connector=connector, base_url=api.server.url) as http:
            headers = {"Authorization": f"Bearer {api.secrets['acme']}"}
            for _ in range(3):
                async with http.post("/v1/messages", json=MESSAGE, headers=headers) as r:
                    assert r.status == 202 and r.headers["X-Request-Id"]
            for path in ("/readyz", "/metrics", "/docs"):
                assert (await http.get(path)).status == 200
            assert b"sluice_tls_certificate_expiry_timestamp_seconds" in await (await http.get("/metrics")).read()


@pytest.mark.parametrize(("version", "works"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
async def test_tls_older_than_1_2_is_not_spoken(
    valkey_url: str, postgres_url: str, authority: Authority, version: str, works: bool
) -> None:
    async with running(valkey_url, postgres_url, **authority.settings()) as api:
        port = int(api.server.url.rpartition(":")[2])
        context = authority.trusting()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning) if version == "TLSv1_1" else contextlib.nullcontext():
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

        def shake() -> str | None:
            with (
                socket.create_connection(("127.0.0.1", port), 10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                return secure.version()

        if works:
            assert await asyncio.to_thread(shake) == version.replace("_", ".")
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(shake)


async def test_a_new_pair_is_taken_over_and_a_broken_one_is_not(
    valkey_url: str, postgres_url: str, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(valkey_url, postgres_url, **authority.settings()) as api:
        first = await serial(api, authority)
        shutil.copy(authority.key, authority.directory / "old.pem")
        authority.issue()
        async with asyncio.timeout(20):
            while (second := await serial(api, authority)) == first:
                pass
        shutil.copy(authority.directory / "old.pem", authority.key)
        async with asyncio.timeout(20):
            while "does not belong" not in str([r.__dict__.get("fields") for r in caplog.records]):
                await asyncio.sleep(0)
        assert await serial(api, authority) == second
        authority.issue()
        async with asyncio.timeout(20):
            while await serial(api, authority) == second:
                pass


def encrypt(a: Authority) -> None:
    key = load_pem_private_key(a.key.read_bytes(), None)
    a.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: a.cert.unlink(), "tls_cert: {0}/cert.pem cannot be read: No such file or directory"),
        (lambda a: a.key.write_text("nothing"), "tls_key: {0}/key.pem has no key in PEM form"),
        (lambda a: shutil.copy(a.key, a.cert), "tls_cert: {0}/cert.pem has no certificate in PEM form"),
        (lambda a: a.issue(YESTERDAY), "tls_cert: the certificate in {0}/cert.pem has expired"),
        (
            lambda a: a.key.write_bytes(a.ca.issue_cert("x").private_key_pem.bytes()),
            "tls_key: the key in {0}/key.pem does not belong to {0}/cert.pem",
        ),
        (encrypt, "tls_key: {0}/key.pem is encrypted, and nobody is there to ask: give the key without"),
        (
            lambda a: a.cert.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "tls_cert: {0}/cert.pem and {0}/key.pem cannot be used: ",
        ),
    ],
)
def test_a_pair_that_cannot_work_is_one_line_at_the_start(
    authority: Authority, spoil: Callable[[Authority], object], says: str
) -> None:
    spoil(authority)
    expected = says.format(authority.directory)
    with pytest.raises(SettingsError) as refused:
        tls.check(Settings(**authority.settings()))
    assert str(refused.value).startswith(expected) and "\n" not in str(refused.value)
    r = CliRunner().invoke(main, ["run", "--tls-cert", str(authority.cert), "--tls-key", str(authority.key)])
    assert r.exit_code != 0 and expected in r.output and "Traceback" not in r.output


def test_one_file_alone_is_refused(authority: Authority) -> None:
    with pytest.raises(SettingsError, match="tls_key: tls_cert and tls_key belong together"):
        tls.check(Settings(tls_cert=str(authority.cert)))
    tls.check(Settings())
