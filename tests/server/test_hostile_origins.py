"""Requests in another's name, from another's page, or without the token: refused by the server."""

import asyncio

import httpx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.server.web import ROOT, UPGRADE, Web, session_of, xsrf

pytestmark = pytest.mark.xdist_group("web")  # one server for all of them


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1@evil", "[::2]"])
def test_other_names_are_not_answered(web: Web, host) -> None:
    for path in ("/", "/media/x", "/s/abc", "/_stcore/host-config", "/sets"):
        status, body = web.raw(path, host=host)
        assert status == 400 and b"<html" not in body, (path, status)
    assert web.raw("/api/ready", host=host)[0] == 200  # platforms ask by any name or number
    assert web.raw("/_stcore/stream", host=host, **UPGRADE)[0] == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"]
)
def test_websockets_of_other_pages_are_refused(web: Web, origin) -> None:
    assert web.raw("/_stcore/stream", origin=origin, **UPGRADE)[0] == 403


def test_no_upload_without_the_token_and_no_change_by_get(web: Web) -> None:
    async def try_it() -> None:
        async with web.connect() as connection, httpx.AsyncClient() as client:
            session = await session_of(connection)
            address = f"http://{web.address}/_stcore/upload_file/{session}/file"
            assert (await client.put(address, files={"f": b"x"})).status_code == 403
            forged = {"X-Xsrftoken": "2|x|y|1"}
            assert (await client.put(address, files={"f": b"x"}, headers=forged)).status_code == 403
            for method in ("GET", "POST", "PATCH"):
                answer = await client.request(method, address)
                assert answer.status_code in (400, 404, 405) or b"<html" in answer.content
            token = await xsrf(client, web)
            unknown = f"http://{web.address}/_stcore/upload_file/no-session/file"
            answer = await client.put(unknown, files={"f": b"x"}, headers=token)
            assert answer.status_code == 400

    asyncio.run(try_it())


def test_no_browser_has_the_server_write_beside_its_home(web: Web) -> None:
    """Streamlit offers whoever develops an app to put files into its folder."""

    async def try_it() -> str:
        async with web.connect() as connection:
            ask = BackMsg()
            asked = ask.backend_operation_request
            asked.request_id, asked.session_id = "ask", await session_of(connection)
            asked.install_skills.SetInParent()
            await connection.send(ask.SerializeToString())
            while True:
                message = ForwardMsg.FromString(await asyncio.wait_for(connection.recv(), 60))
                if message.WhichOneof("type") == "backend_operation_response":
                    return message.backend_operation_response.error_msg

    before = sorted(ROOT.iterdir())
    assert "not available" in asyncio.run(try_it())
    assert sorted(ROOT.iterdir()) == before
