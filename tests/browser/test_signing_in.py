"""A team's server, a provider of our own, a real Chromium: in, refused, where one wanted, out."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ROOT, press, wait_until_ready
from tests.browser.provider import CLIENT, SECRET, Provider

COOKIE_SECRET = "the-secret-that-signs-all-our-cookies"
WANTED = f"/sets?set={'a' * 32}&note=%2F%2Felsewhere.example&note=two"


@dataclass(frozen=True)
class Team:
    """A server with sign-in, and its provider."""

    address: str
    provider: Provider
    log: Path


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def team(tmp_path_factory, chromium) -> Iterator[Team]:
    """Without the real model: signing in needs none."""
    home = tmp_path_factory.mktemp("team")
    provider, port = Provider(free_port()), free_port()
    address, log = f"http://127.0.0.1:{port}", home / "log.txt"
    variables = {
        "PORT": str(port),
        "HEADLAMP_HOME": str(home),
        "HEADLAMP_URL": address,
        "HEADLAMP_OIDC_ISSUER": provider.url,
        "HEADLAMP_OIDC_CLIENT_ID": CLIENT,
        "HEADLAMP_OIDC_CLIENT_SECRET": SECRET,
        "HEADLAMP_COOKIE_SECRET": COOKIE_SECRET,
        "HEADLAMP_EDITORS": "ann@example.org",
        "HEADLAMP_VIEWERS": "@example.org",
    }
    with log.open("w+") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=words,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until_ready(process, address, words)
            yield Team(address, provider, log)
        finally:
            process.terminate()
            process.wait(20)
            provider.close()
    said = log.read_text()
    assert SECRET not in said and COOKIE_SECRET not in said


@pytest.fixture
def page(team: Team, browser: Browser) -> Iterator[Page]:
    """A fresh browser, nobody signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def press_sign_in(page: Page) -> None:
    """Press it, and wait until the provider has sent the browser back."""
    with page.expect_response(re.compile("/oauth2callback")):
        press(page.get_by_role("button", name=re.compile("^Sign in")))


def save_a_set(page: Page) -> None:
    """Upload two prompts and press Save."""
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(
        {"name": "two.txt", "mimeType": "text/plain", "buffer": b"one two\nthree four\n"}
    )
    press(page.get_by_role("button", name="Save 2 prompts"))


def test_in_where_one_wanted_refused_saved_and_out_in_every_tab(team: Team, page: Page) -> None:
    page.goto(team.address + WANTED)
    team.provider.be("ann@example.org")
    team.provider.cheat = {"nonce": "of another sign-in"}
    press_sign_in(page)
    page.get_by_text("without a sign-in that we could check").wait_for()
    team.provider.be("vic@example.org")
    press_sign_in(page)
    page.get_by_text("Account", exact=True).wait_for()
    assert page.url == team.address + WANTED
    page.get_by_text("As a viewer you may not make a prompt set.").wait_for()
    assert page.get_by_test_id("stFileUploaderDropzoneInput").first.is_disabled()

    page.context.clear_cookies()
    team.provider.be("ann@example.org")
    page.goto(f"{team.address}/sets")
    press_sign_in(page)
    save_a_set(page)
    page.get_by_text("Saved 2 prompts, version 1.").wait_for()
    cookies = {one["name"]: one for one in page.context.cookies()}
    for name in ("_streamlit_user", "headlamp_visit"):
        assert cookies[name]["httpOnly"] and cookies[name]["sameSite"] == "Lax"

    other = page.context.new_page()
    other.goto(f"{team.address}/account")
    press(other.get_by_role("button", name="Sign out"))
    other.get_by_role("button", name="Sign in").wait_for()
    out = page.get_by_text("You have signed out.")
    link = page.get_by_test_id("stTopNavLink").filter(has_text="Sinks")
    out.or_(link).first.wait_for()
    # If nothing has happened in this tab since, any click shows that it is over; what says so by
    # itself may take the link away at any moment.
    page.evaluate("document.querySelector('[data-testid=stTopNavLink][href$=\"/sinks\"]')?.click()")
    out.wait_for()


def go_through(team: Team, client: httpx.Client) -> httpx.Response:
    """What a browser does after Sign in was pressed: to the provider and back; the last answer."""
    claims = {"provider": "default", "exp": int(time.time()) + 60}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(COOKIE_SECRET))
    to_provider = client.get(f"/auth/login?provider={token}")
    back = client.get(to_provider.headers["location"])
    return client.get(back.headers["location"])


@pytest.mark.parametrize(
    ("cheat", "holds"),
    [
        ({}, True),
        ({"nonce": "of-another"}, False),
        ({"nonce": None}, False),
        ({"iss": "https://evil.example"}, False),
        ({"aud": "another-client"}, False),
        ({"exp": 1}, False),
        ({"sign": "by somebody else"}, False),
    ],
)
def test_only_a_token_that_holds_signs_in(team: Team, cheat, holds) -> None:
    team.provider.be("vic@example.org")
    team.provider.cheat = cheat
    if "sign" in cheat:
        team.provider.key = RSAKey.generate_key(2048, {"kid": "k1"})
    with httpx.Client(base_url=team.address) as client:
        answer = go_through(team, client)
        assert answer.status_code == 302 and answer.headers["location"] == "/"
        assert ("_streamlit_user" in client.cookies) is holds
        assert client.get("/_stcore/metrics").status_code == (200 if holds else 401)


def test_a_state_of_another_browser_signs_nobody_in(team: Team) -> None:
    team.provider.be("vic@example.org")
    with httpx.Client(base_url=team.address) as mine, httpx.Client() as theirs:
        claims = {"provider": "default", "exp": int(time.time()) + 60}
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(COOKIE_SECRET))
        to_provider = theirs.get(f"{team.address}/auth/login?provider={token}")
        back = theirs.get(to_provider.headers["location"]).headers["location"]
        mine.get(back)
        assert "_streamlit_user" not in mine.cookies


def test_a_callback_nobody_asked_for_signs_nobody_in(team: Team) -> None:
    team.provider.be("ann@example.org")
    team.provider.codes["stolen"] = "n"
    with httpx.Client(base_url=team.address) as client:
        client.get("/")
        answer = client.get("/oauth2callback?code=stolen&state=made-up")
        assert answer.status_code == 302 and answer.headers["location"] == "/"
        assert "_streamlit_user" not in client.cookies
        answer = client.get("/oauth2callback?error=x&next=https://evil.example")
        assert answer.headers["location"] == "/"


def test_beside_its_pages_nothing_answers_who_is_not_signed_in(team: Team) -> None:
    forged = {"_streamlit_user": "eyJpc19sb2dnZWRfaW4iOiB0cnVlfQ.aaaa.bbbb"}
    for cookies in ({}, forged, {"_streamlit_user": '"\\777"'}):
        with httpx.Client(base_url=team.address, cookies=cookies) as client:
            for path in ("/media/x.png", "/_stcore/metrics", "/_stcore/agent/interact"):
                assert client.get(path).status_code == 401, path
            put = client.put("/_stcore/upload_file/session/file", content=b"x")
            assert put.status_code == 401
            assert client.get("/api/ready").status_code == 200
            assert client.get("/_stcore/health").status_code == 200
