"""A server of our own and the least a browser tab does: reruns over a raw websocket."""

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

POLL = 0.4  # seconds until a page looks again for what is on its way; the page's own fragment
TRIES = 100  # runs within one sample before it counts as an error


class Server:
    """A `python -m app` of our own, and what it takes of the machine."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.address = process, f"127.0.0.1:{port}"
        self.seen = psutil.Process(process.pid)

    def cpu(self) -> float:
        """Seconds of CPU it and its children have used so far."""
        times = [p.cpu_times() for p in (self.seen, *self.seen.children(recursive=True))]
        return sum(t.user + t.system for t in times)

    def rss(self) -> float:
        """MiB it has in memory now."""
        return self.seen.memory_info().rss / 2**20


@contextmanager
def server() -> Iterator[Server]:
    """Started on a free port, ready, and always stopped; raises RuntimeError when it dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            env=os.environ | {"PORT": str(port), "HEADLAMP_HOST": "127.0.0.1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            found = Server(process, port)
            wait_ready(found)
            yield found
        except BaseException:
            log.seek(0)
            print(log.read()[-3000:], file=sys.stderr)
            raise
        finally:
            stop(process)


def wait_ready(found: Server) -> None:
    """Until /api/ready says so, two minutes at most."""
    for _ in range(240):
        if found.process.poll() is not None:
            raise RuntimeError(f"the server ended with {found.process.returncode}")
        try:
            if httpx.get(f"http://{found.address}/api/ready", timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError("the server was not ready after two minutes")


def stop(process: subprocess.Popen) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Seen:
    """What one rerun put on the page."""

    head: str = ""  # label of the matrix that came, empty when none did
    pending: bool = True
    problems: list[str] = field(default_factory=list)
    size: int = 0  # bytes from the server
    runs: int = 1  # of the script: st.rerun() starts another one at once

    def take(self, message: ForwardMsg) -> None:
        """Note one message."""
        element = message.delta.new_element
        if message.WhichOneof("type") != "delta":
            return
        match element.WhichOneof("type"):
            case "html" if "page-state" in element.html.body:
                self.pending = "data-pending='0'" not in element.html.body
            case "bidi_component" if "head_view" in element.bidi_component.component_name:
                data = element.bidi_component.bytes
                (length,) = struct.unpack_from("<I", data)
                self.head = json.loads(data[4 : 4 + length])["label"]
            case "exception":
                self.problems.append(element.exception.message)
            case "alert":
                self.problems.append(element.alert.body)


class Page:
    """A browser tab, as far as the server can tell; it caches nothing, so it is sent everything."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection

    async def rerun(self, query: dict[str, str]) -> Seen:
        """Run the script with a URL's query, and wait until it has finished."""
        ask, seen = BackMsg(), Seen()
        ask.rerun_script.query_string = urlencode(query)
        await self.connection.send(ask.SerializeToString())
        async with asyncio.timeout(60):
            while True:
                data = await self.connection.recv()
                message = ForwardMsg.FromString(data)
                seen.size += len(data)
                seen.take(message)
                if message.WhichOneof("type") != "script_finished":
                    continue
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return seen
                seen.runs += 1

    @staticmethod
    def open(address: str) -> websockets.connect:
        """A connection as a browser makes it."""
        return websockets.connect(
            f"ws://{address}/_stcore/stream", subprotocols=["streamlit"], max_size=2**28
        )

    async def pick(self, query: dict[str, str], layer: int, head: int) -> tuple[float, int, Seen]:
        """(seconds until the head's matrix is on the page, runs it took, what it showed)."""
        started, label = time.perf_counter(), f"L{layer}H{head}"
        seen = await self.rerun(query | {"head": f"{layer}.{head}"})
        runs = seen.runs
        while seen.head != label and not seen.problems and runs < TRIES:
            await asyncio.sleep(POLL)
            seen = await self.rerun(query | {"head": f"{layer}.{head}"})
            runs += seen.runs
        if seen.head != label:
            seen.problems.append(f"{label} never came")
        return time.perf_counter() - started, runs, seen

    async def settle(self, query: dict[str, str]) -> float:
        """Rerun until nothing is pending; seconds. Raises RuntimeError after two minutes."""
        started = time.perf_counter()
        for _ in range(int(120 / POLL)):
            seen = await self.rerun(query)
            if seen.problems:
                raise RuntimeError("; ".join(seen.problems))
            if not seen.pending:
                return time.perf_counter() - started
            await asyncio.sleep(POLL)
        raise RuntimeError(f"still pending after two minutes: {query}")
