"""A real server process without a model, shared by tests, and the least that a client does."""

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).parents[2]
MIB = 2**20
UPGRADE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-protocol": "streamlit",
}


@dataclass(frozen=True)
class Web:
    """A running server."""

    port: int
    home: Path
    seen: psutil.Process

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def health(self) -> float:
        """Seconds until a normal client is answered; the best of three, as others use the CPU."""
        assert self.seen.is_running()
        times = []
        for _ in range(3):
            start = time.monotonic()
            assert httpx.get(f"http://{self.address}/_stcore/health", timeout=20).text == "ok"
            times.append(time.monotonic() - start)
        return min(times)

    def rss(self) -> float:
        """MiB in memory."""
        return self.seen.memory_info().rss / MIB

    def fds(self) -> int:
        """Open files and sockets."""
        return self.seen.num_fds()

    def raw(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and body; the path goes out as it is, byte for byte."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as plug:
            lines = {"host": self.address, "connection": "close"} | headers
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            plug.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
            answer = http.client.HTTPResponse(plug)
            answer.begin()
            return answer.status, answer.read()

    def connect(self, **changed: object) -> websockets.connect:
        """A websocket as a browser opens it."""
        options = {"subprotocols": ["streamlit"], "max_size": 2**28, "max_queue": None} | changed
        return websockets.connect(f"ws://{self.address}/_stcore/stream", **options)


async def messages(
    connection: websockets.ClientConnection, query: dict[str, str], page: str = ""
) -> list[ForwardMsg]:
    """Run a page's script, the first page's without a name; all that the server sent for it."""
    ask = BackMsg()
    ask.rerun_script.query_string, ask.rerun_script.page_name = urlencode(query), page
    await connection.send(ask.SerializeToString())
    sent = []
    async with asyncio.timeout(60):
        while True:
            sent.append(ForwardMsg.FromString(await connection.recv()))
            ended = sent[-1].WhichOneof("type") == "script_finished"
            if ended and sent[-1].script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return sent


async def xsrf(client: httpx.AsyncClient, web: Web) -> dict[str, str]:
    """The header that repeats the client's cookie."""
    await client.get(f"http://{web.address}/_stcore/health")
    return {"X-Xsrftoken": client.cookies["_streamlit_xsrf"]}


async def session_of(connection: websockets.ClientConnection) -> str:
    """The id that the server calls this websocket's session by, once its first run is over."""
    sent = await messages(connection, {}, "models")  # a page that asks for no model
    started = [one for one in sent if one.HasField("new_session")]
    return started[0].new_session.initialize.session_id


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[Web]:
    """A server of that home, ready; always stopped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"PORT": str(port), "HEADLAMP_HOME": str(home), "HEADLAMP_HOST": "127.0.0.1"}
    with (home / "log.txt").open("a+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env=os.environ | told | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + 120
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/api/ready", timeout=2)
                    break
                except httpx.TransportError:
                    assert process.poll() is None, (home / "log.txt").read_text()
                    assert time.monotonic() < end, "the server did not become ready"
                    time.sleep(0.1)
            yield Web(port, home, psutil.Process(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def web(tmp_path_factory) -> Iterator[Web]:
    """One server for all tests that only talk to it."""
    with serving(tmp_path_factory.mktemp("web")) as found:
        yield found
