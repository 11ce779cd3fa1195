"""Requests that no browser would send, to the real server: it answers others, and forgets them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.server.web import MIB, UPGRADE, Web, session_of, xsrf

pytestmark = pytest.mark.xdist_group("web")  # one server for all of them


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"x-long": "a" * 64 * 1024}),
        ("/", {"cookie": "; ".join(f"c{n}=" + "v" * 100 for n in range(600))}),
        ("/?" + "q" * 10_000, {}),
        ("/" + "p" * 10_000, {}),
        ("/s/" + "t" * 10_000, {}),
        ("/sets?" + "&".join(f"a{n}=1" for n in range(2_000)), {}),
    ],
)
def test_long_heads_and_addresses(web: Web, path, headers) -> None:
    status, body = web.raw(path, **headers)
    assert status in (200, 400, 404, 413, 414, 431)
    assert b"q" * 100 not in body and b"p" * 100 not in body and b"t" * 100 not in body
    assert web.health() < 1.0


def test_a_length_that_is_too_long_is_refused_before_a_byte_is_sent(web: Web) -> None:
    async def try_it() -> None:
        async with web.connect() as connection, httpx.AsyncClient() as client:
            session = await session_of(connection)
            token, before = await xsrf(client, web), web.rss()
            cookie = f"_streamlit_xsrf={token['X-Xsrftoken']}"
            start = time.monotonic()
            status, _ = await asyncio.to_thread(
                web.raw,
                f"/_stcore/upload_file/{session}/file",
                "PUT",
                **{"content-length": str(1024 * MIB), "cookie": cookie},
                **token,
            )
            assert status == 413 and time.monotonic() - start < 5.0
            assert web.rss() - before < 80

    asyncio.run(try_it())


async def blank(size: int) -> AsyncIterator[bytes]:
    """So many bytes, without a length told before."""
    for _ in range(size // MIB):
        yield bytes(MIB)


@pytest.mark.slow
def test_a_gigabyte_without_a_length_stays_out_of_memory(web: Web) -> None:
    async def try_it() -> tuple[int, float]:
        async with web.connect() as connection, httpx.AsyncClient(timeout=120) as client:
            session = await session_of(connection)
            headers = await xsrf(client, web) | {"content-type": "multipart/form-data; boundary=b"}
            head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'

            async def body() -> AsyncIterator[bytes]:
                yield head
                async for part in blank(1024 * MIB):
                    most[0] = max(most[0], web.rss())
                    yield part

            most = [web.rss()]
            before = most[0]
            try:
                answer = await client.put(
                    f"http://{web.address}/_stcore/upload_file/{session}/file",
                    content=body(),
                    headers=headers,
                )
                status = answer.status_code
            except httpx.WriteError:
                status = 413  # it closed the connection while we were still sending
            return status, most[0] - before

    status, grown = asyncio.run(try_it())
    assert status == 413 and grown < 80
    assert web.health() < 1.0


@pytest.mark.slow
def test_uploads_nobody_asked_for_are_bounded_and_let_go(web: Web) -> None:
    """Twenty of 60 MB from one session; then it leaves."""

    async def try_it() -> list[int]:
        codes = []
        async with web.connect() as connection, httpx.AsyncClient(timeout=120) as client:
            session = await session_of(connection)
            token = await xsrf(client, web)
            for number in range(20):
                answer = await client.put(
                    f"http://{web.address}/_stcore/upload_file/{session}/file{number}",
                    files={"f": ("x.exe", bytes(60 * MIB))},
                    headers=token,
                )
                codes.append(answer.status_code)
        return codes

    async def one_more() -> int:
        async with web.connect() as connection, httpx.AsyncClient(timeout=120) as client:
            session = await session_of(connection)
            address = f"http://{web.address}/_stcore/upload_file/{session}/file"
            token = await xsrf(client, web)
            sent = {"f": ("x.bin", bytes(10 * MIB))}
            return (await client.put(address, files=sent, headers=token)).status_code

    before = web.rss()
    codes = asyncio.run(try_it())
    assert codes == [204] * 17 + [413] * 3  # 17 x 60 MB fit into the GiB that all sessions share
    assert web.health() < 1.0
    end = time.monotonic() + 30 + 30  # a session is kept for its browser to come back
    while web.rss() - before > 80:  # then the next upload makes room
        assert time.monotonic() < end
        time.sleep(5)
        asyncio.run(one_more())


async def visit(web: Web) -> None:
    """A browser that comes and goes."""
    async with web.connect() as connection:
        await session_of(connection)


async def slow_heads(web: Web) -> None:
    """Fifty requests whose heads come byte by byte and never end."""
    plugs = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: ")
        plugs.append(writer)
    for byte in b"127.0.0.1":
        for writer in plugs:
            writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    assert await asyncio.to_thread(web.health) < 1.0
    for writer in plugs:
        writer.transport.abort()


async def half_open(web: Web) -> None:
    """Two hundred websockets: every other one gets through the handshake, and says nothing."""
    lines = {"Host": web.address} | UPGRADE
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    plugs = []
    for number in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(f"GET /_stcore/stream HTTP/1.1\r\n{head}".encode() + b"\r\n" * (number % 2))
        plugs.append(writer)
    await asyncio.sleep(0.5)
    assert web.fds() > 300
    assert await asyncio.to_thread(web.health) < 1.0
    for writer in plugs:
        writer.transport.abort()


FRAMES = [b"", b"\x00", b"\xff" * 1000, os.urandom(4096), "text", "\u202e" * 1000, bytes(50 * MIB)]


async def odd_frame(web: Web, frame: str | bytes) -> None:
    """A frame that is no message ends its own connection; the one beside it goes on."""
    async with web.connect() as other:
        with suppress(ConnectionClosed, TimeoutError, OSError):
            async with web.connect() as connection:
                await connection.send(frame)
                await asyncio.wait_for(connection.wait_closed(), 1)
        assert await session_of(other)


ODD_REQUESTS = [
    os.urandom(500),
    b"\r\n" * 100,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"\x16\x03\x01\x02\x00" * 9,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz",
]


async def odd_request(web: Web, sent: bytes) -> None:
    """Bytes that are no request get a refusal, or no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(sent)
    try:
        answer = await asyncio.wait_for(reader.read(1000), 1)
    except (TimeoutError, ConnectionError):
        answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    writer.transport.abort()


def test_connections_that_ask_for_nothing_leave_others_theirs(web: Web) -> None:
    asyncio.run(slow_heads(web))
    asyncio.run(half_open(web))
    assert web.health() < 1.0


@pytest.mark.parametrize(
    "frame", FRAMES, ids=["empty", "zero", "ones", "random", "text", "bidi", "50 MB"]
)
def test_a_frame_that_is_none_ends_its_own_connection_alone(web: Web, frame) -> None:
    rss = web.rss()
    asyncio.run(odd_frame(web, frame))
    assert web.health() < 1.0 and web.rss() - rss < 200


def test_requests_that_are_not_http(web: Web) -> None:
    for sent in ODD_REQUESTS:
        asyncio.run(odd_request(web, sent))
    assert web.health() < 1.0


@pytest.mark.slow
def test_what_connections_took_comes_back(web: Web) -> None:
    """Streamlit keeps a session for 30 s after its browser left, then lets go when one comes."""
    asyncio.run(visit(web))
    before = web.fds()
    asyncio.run(slow_heads(web))
    asyncio.run(half_open(web))
    for frame in FRAMES:
        asyncio.run(odd_frame(web, frame))
    for sent in ODD_REQUESTS:
        asyncio.run(odd_request(web, sent))
    end = time.monotonic() + 60
    while web.fds() > before + 30:  # ten visits of the last 30 s, of three files each
        assert time.monotonic() < end
        time.sleep(4)
        asyncio.run(visit(web))
