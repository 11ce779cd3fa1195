"""Kill -9 the running server at seeded moments while a browser tab adds to a dashboard.

The server is the real one, forked from a process that has only imported it: what is timed as its
start is everything but the import of libraries. The tab is a websocket that presses the page's own
buttons; what the page says was added counts as acknowledged.
"""

import asyncio
import os
import random
import re
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from interp.store import LOCAL, Panel, open_store
from tests.faults.children import fork, wait

ADDED = re.compile(r"version (\d+)\. \[Open it\]\(dashboards\?id=([0-9a-f]{32})\)")
READY = 60.0  # s a start may take on a busy machine before the run is given up
OPEN, ADD = "Add to dashboard", "Add"  # the buttons
A_HOME = 50  # kills of one home: each adds a panel or a few, and a dashboard holds 200
VIEW = urlencode({"model": "untrained-softmax", "text": "When the lamp was lit"})  # no real model


@dataclass
class Tally:
    """What was seen over all kills."""

    kills: int = 0
    acknowledged: int = 0
    unheard: int = 0  # saved whole, and killed before the page said so
    lost: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"server: {self.kills} kills, {self.acknowledged:,} acknowledged saves: "
            f"{len(self.lost)} lost, {len(self.half)} half-visible; {self.unheard} saved whole but "
            f"not acknowledged, starts without imports {min(self.starts):.2f} to "
            f"{max(self.starts):.2f} s"
        )


@dataclass
class Tab:
    """A browser tab on Explore, and what the page has told it was added."""

    connection: websockets.ClientConnection
    told: list[tuple[str, int]] = field(default_factory=list)
    buttons: dict[str, str] = field(default_factory=dict)  # label -> id, of the last run
    alerts: list[str] = field(default_factory=list)  # what the last run complained of

    async def run(self, press: str = "") -> None:
        """Rerun the page, with one button pressed."""
        ask = BackMsg()
        ask.rerun_script.query_string = VIEW
        if press:
            widget = ask.rerun_script.widget_states.widgets.add()
            widget.id, widget.trigger_value = self.buttons[press], True
        await self.connection.send(ask.SerializeToString())
        self.buttons, self.alerts = {}, []
        while True:
            message = ForwardMsg.FromString(await self.connection.recv())
            kind = message.WhichOneof("type")
            if kind == "script_finished":
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return
            elif kind == "delta":
                self.note(message)

    def note(self, message: ForwardMsg) -> None:
        """A button that was drawn, or that something was added."""
        element = message.delta.new_element
        match element.WhichOneof("type"):
            case "button":
                self.buttons[element.button.label] = element.button.id
            case "alert":
                self.alerts.append(element.alert.body)
            case "toast":
                for number, name in ADDED.findall(element.toast.body):
                    self.told.append((name, int(number)))


async def work(port: int, pid: int, draw: random.Random) -> list[tuple[str, int]]:
    """Add until the drawn moment, then kill; what the page acknowledged.

    Half of the moments lie in the first 80 ms after Add was pressed, where the save is, the others
    anywhere between a press and the end of its run.
    """
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    wanted, early, part = draw.choice([0, 0, 1, 2]), draw.random() < 0.5, draw.random()
    tab, took = None, 0.5
    try:
        async with websockets.connect(address, subprotocols=["streamlit"], max_size=2**28) as plug:
            tab = Tab(plug)
            while OPEN not in tab.buttons:  # the page waits for its numbers
                await tab.run()
            while True:
                await tab.run(OPEN)
                start = time.monotonic()
                last = len(tab.told) >= wanted
                if last:
                    pause = part * (0.08 if early else took)
                    asyncio.get_running_loop().call_later(pause, os.kill, pid, signal.SIGKILL)
                before = len(tab.told)
                await tab.run(ADD)
                took = time.monotonic() - start
                if last:
                    await asyncio.sleep(1.0)  # the killer comes
                elif len(tab.told) == before:
                    raise RuntimeError(f"Add was pressed and nothing was added: {tab.alerts}")
    except websockets.ConnectionClosed:
        pass
    return tab.told if tab else []


def serve(home: Path, port: int) -> None:
    """Be the server."""
    os.environ.update(HEADLAMP_HOME=str(home), PORT=str(port), HEADLAMP_HOST="127.0.0.1")
    log = os.open(home / "server.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from app.__main__ import main

    main()


def ready(port: int, pid: int) -> float:
    """Seconds until it answers; raises RuntimeError when it does not."""
    start = time.monotonic()
    while time.monotonic() - start < READY:
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/ready", timeout=5)
            return time.monotonic() - start
        except httpx.TransportError:
            time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    raise RuntimeError("the server did not become ready")


def look(
    home: Path, known: set[tuple[str, int]], told: list[tuple[str, int]], tally: Tally
) -> None:
    """Open the store as the next start would: every acknowledged version is there and whole."""
    store = open_store(home / "store", "")
    tally.half += store.findings
    found = set()
    for one in store.dashboards.list(LOCAL):
        history = store.dashboards.history(LOCAL, one.id)
        if [version.number for version in history] != list(range(one.latest, 0, -1)):
            tally.half.append(f"dashboard {one.id} has a gap")
        for version in history:
            panels = [block for block in version.blocks if isinstance(block, Panel)]
            if len(panels) != version.number:  # each save added one
                tally.half.append(f"version {version.number} of {one.id}: {len(panels)} panels")
            for name in {name for panel in panels for name in panel.results}:
                store.dashboards.result(
                    LOCAL, one.id, version.number, name
                )  # its sha256 is checked
            found.add((one.id, version.number))
    tally.acknowledged += len(told)
    known |= set(told)
    tally.lost += [str(key) for key in known - found]
    tally.unheard += len(found - known)
    known |= found  # once seen, it has to stay
    tally.half += [str(path) for path in (home / "store" / "incoming").iterdir()]
    store.close()


def run(home: Path, kills: int, seed: int) -> Tally:
    """So many kills of the server, of a new home when a dashboard fills up."""
    import app.server  # noqa: F401  (imported once, so that a start is quick)

    draw, tally = random.Random(seed), Tally()
    for first in range(0, kills, A_HOME):
        run_home(home / f"from-{first}", min(A_HOME, kills - first), draw, tally)
        if tally.lost or tally.half:
            break
    return tally


def run_home(home: Path, kills: int, draw: random.Random, tally: Tally) -> None:
    """Kills of the server of one home, counted in `tally`."""
    known: set[tuple[str, int]] = set()
    home.mkdir(parents=True)
    for _ in range(kills):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pid = fork(lambda port=port: serve(home, port))
        tally.starts.append(ready(port, pid))
        try:
            told = asyncio.run(work(port, pid, draw))
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        if (ended := wait(pid)) != -signal.SIGKILL:
            raise RuntimeError(f"the server ended by itself, with {ended}")
        tally.kills += 1
        look(home, known, told, tally)
        if tally.lost or tally.half:
            break
