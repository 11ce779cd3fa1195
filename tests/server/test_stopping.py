"""SIGTERM while a model runs: the server is gone soon, and the next one opens the same link."""

import asyncio
import time

import pytest
import websockets

from models import smollm2
from tests.server.web import Web, messages, serving

pytestmark = pytest.mark.slow
LONG = "It was the best of times, it was the worst of times, and the lamp was lit again. " * 90


async def waits(connection: websockets.ClientConnection) -> bool:
    """Run the page; whether it waits for the model, and shows no error."""
    sent = await messages(connection, {"text": LONG})
    shown = b"".join(message.SerializeToString() for message in sent)
    assert not [one for one in sent if one.delta.new_element.WhichOneof("type") == "exception"]
    return b"data-pending='0'" not in shown


async def stopped(web: Web) -> float:
    """Seconds from SIGTERM to the end, with a browser open and a model at work for it."""
    async with web.connect() as connection:
        assert await waits(connection)
        await asyncio.sleep(2)
        assert await waits(connection), "the job was over too soon to be interrupted"
        start = time.monotonic()
        web.seen.terminate()
        await asyncio.to_thread(web.seen.wait, 20)
        return time.monotonic() - start


async def opened(web: Web) -> bool:
    """The same link in a browser that comes later."""
    async with web.connect() as connection:
        return await waits(connection)


def test_a_running_job_does_not_hold_the_server_up(tmp_path) -> None:
    if not smollm2.ready():
        pytest.skip("SmolLM2 has not been fetched; `python -m models.smollm2` does")
    (tmp_path / "models").symlink_to(smollm2.folder().parent)
    for last in (False, True):
        with serving(tmp_path, HEADLAMP_TIME_BUDGET="3600") as web:
            if last:
                assert asyncio.run(opened(web))  # it is asked for as if for the first time
            else:
                assert asyncio.run(stopped(web)) < 10
        assert "Traceback" not in (tmp_path / "log.txt").read_text()
