"""Sessions beside each other: what one person typed reaches no other's page or file."""

import asyncio
import re

import httpx
import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.server.web import Web, messages, session_of

pytestmark = pytest.mark.xdist_group("web")  # one server for all of them
TRIES = 100
FILES = ("JSON", "All numbers (Script)")  # one has the prompt's tokens, one its text


def marker(number: int) -> str:
    """A word that nothing else on a page has."""
    return f"zq{number:02d}qz"


def markers(data: bytes) -> set[str]:
    """Every marker in it, as text or as the bytes that are this model's tokens."""
    tokens = re.findall(rb"122, 113, (\d+), (\d+), 113, 122", data)
    return {word.decode() for word in re.findall(rb"zq\d\dqz", data)} | {
        f"zq{chr(int(one))}{chr(int(two))}qz" for one, two in tokens
    }


async def opened(web: Web, number: int) -> tuple[bytes, list[bytes]]:
    """All that the server sent to one session, and the files that it offers."""
    text = f"When the {marker(number)} was lit, the {marker(number)} burned."
    query = {"model": "untrained-softmax", "text": text}
    page, files = b"", {}
    async with web.connect() as connection:
        session = await session_of(connection)
        for _ in range(TRIES):
            sent = await messages(connection, query)
            page += b"".join(message.SerializeToString() for message in sent)
            files |= offered(sent)
            if b"data-pending='0'" in page:
                break
            await asyncio.sleep(0.3)
        else:
            raise AssertionError("the page was still waiting")
        names = [files[label] for label in FILES if label in files]  # a full queue offers fewer
        return page, [await fetched(web, connection, session, name) for name in names]


def offered(sent: list[ForwardMsg]) -> dict[str, str]:
    """Label of every download button, and the id of the file that a click makes."""
    buttons = [message.delta.new_element.download_button for message in sent]
    return {button.label: button.deferred_file_id for button in buttons if button.deferred_file_id}


async def fetched(
    web: Web, connection: websockets.ClientConnection, session: str, name: str
) -> bytes:
    """A file as a click on its button gets it."""
    ask = BackMsg()
    ask.backend_operation_request.request_id = f"ask-{name}"
    ask.backend_operation_request.session_id = session
    ask.backend_operation_request.deferred_file.file_id = name
    await connection.send(ask.SerializeToString())
    async with asyncio.timeout(60):
        while True:
            message = ForwardMsg.FromString(await connection.recv())
            if message.WhichOneof("type") == "backend_operation_response":
                break
    address = message.backend_operation_response.deferred_file.url
    assert address, message.backend_operation_response.error_msg
    async with httpx.AsyncClient(timeout=60) as client:
        return (await client.get(f"http://{web.address}{address}")).content


@pytest.mark.parametrize("sessions", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_what_one_typed_no_other_sees(web: Web, sessions) -> None:
    async def all_of_them() -> list[tuple[bytes, list[bytes]]]:
        return await asyncio.gather(*(opened(web, number) for number in range(sessions)))

    for number, (page, files) in enumerate(asyncio.run(all_of_them())):
        assert markers(page) == {marker(number)}
        assert all(markers(file) <= {marker(number)} for file in files)
        assert sessions > 4 or any(markers(file) for file in files)


def test_one_session_gets_nothing_by_the_id_of_another(web: Web) -> None:
    async def try_it() -> tuple[str, str]:
        async with web.connect() as one, web.connect() as two:
            theirs, _ = await session_of(one), await session_of(two)
            ask = BackMsg()
            ask.backend_operation_request.request_id = "ask"
            ask.backend_operation_request.session_id = theirs
            ask.backend_operation_request.deferred_file.file_id = "any"
            await two.send(ask.SerializeToString())
            while True:
                message = ForwardMsg.FromString(await asyncio.wait_for(two.recv(), 60))
                if message.WhichOneof("type") == "backend_operation_response":
                    answer = message.backend_operation_response
                    return answer.error_msg, answer.deferred_file.url

    error, url = asyncio.run(try_it())
    assert error and not url
