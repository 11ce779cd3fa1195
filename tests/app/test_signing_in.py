"""Nobody sees or does a thing before they sign in, and a viewer changes nothing, page by page."""

import ast
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import may, signing_in
from app.accounts import accounts
from app.plain import JOINER
from app.store_room import store
from app.visits import ended
from interp.sets.reading import read
from interp.sets.saved import about, to_bytes
from interp.store import LOCAL, NOBODY, Actor, Markdown, StoreError
from tests.app.conftest import MAIN
from tests.app.handlers import CHANGES, RUNS
from tests.app.test_accounts import TEAM

APP = MAIN.parent
pytestmark = pytest.mark.xdist_group("sets")  # they count what is in the one store
BY_TOKEN = ("store().shares.open", "store().shares.check")  # nobody asks: the link does
PAGES = sorted(path.stem for path in (APP / "views").glob("*.py"))


@pytest.fixture
def team(tmp_path_factory, monkeypatch):
    """The team's variables in the environment of this process, and a home of its own."""
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HEADLAMP_HOME", str(home))
    for name, value in TEAM.items():
        monkeypatch.setenv(name, value)


def who(email: str = "", **changed: object) -> dict[str, object]:
    """st.user of somebody who has signed in, or of nobody."""
    if not email:
        return {"is_logged_in": False}
    said = {"is_logged_in": True, "iss": "https://id.example/realm", "sub": email, "email": email}
    return said | {"email_verified": True, "iat": int(time.time()), "nonce": "n1"} | changed


def account(email: str) -> Actor:
    """The Actor of that person."""
    return signing_in.judged(who(email), accounts(TEAM)).actor


def opened(page: AppTest, user: dict[str, object]) -> AppTest:
    """The page as that person's session runs it."""
    page.user = user
    return page.run(timeout=60)


def said(page: AppTest) -> str:
    """All its words."""
    return " ".join(str(part.value) for part in [*page.markdown, *page.warning, *page.error])


@pytest.mark.parametrize(
    ("user", "word"),
    [
        (who(), "Sign in at"),
        ({}, "Sign in at"),
        (who("ada@example.org", iat=time.time() - 13 * 3600), "run out"),
        (who("who@ever.example"), "on no list here"),
        (who("ada@example.org", email_verified=False), "not verified"),
    ],
)
def test_who_may_not_look_sees_a_way_to_sign_in_and_nothing_else(team, user, word) -> None:
    page = opened(AppTest.from_file(str(MAIN)), user)
    assert not page.exception
    assert word in said(page)
    assert [button.label.startswith("Sign in") for button in page.button] == [True]
    assert not page.sidebar and not page.expander and not page.get("file_uploader")


def test_without_sign_in_configured_the_one_person_is_the_local_user(monkeypatch) -> None:
    for name in TEAM:
        monkeypatch.delenv(name, raising=False)
    assert signing_in.here().actor == LOCAL


def test_outside_a_session_nobody_asks(team) -> None:
    assert signing_in.here().actor == NOBODY


def test_the_account_page_says_who_and_as_what(team) -> None:
    page = AppTest.from_file(str(APP / "views" / "account.py"))
    opened(page, who("vic@example.org"))
    assert "viewer" in said(page) and [button.label for button in page.button] == ["Sign out"]
    shown = " ".join(one.value for one in page.caption).replace("\\", "").replace(JOINER, "")
    assert account("vic@example.org").account in shown


def test_a_role_holds_for_the_next_action_and_no_longer(team, monkeypatch) -> None:
    page = AppTest.from_file(str(APP / "views" / "account.py"))
    assert "editor" in said(opened(page, who("ann@example.org")))
    monkeypatch.setenv("HEADLAMP_EDITORS", "")
    assert "viewer" in said(opened(page, who("ann@example.org")))
    monkeypatch.setenv("HEADLAMP_VIEWERS", "")
    assert not opened(page, who("ann@example.org")).button


def test_signing_out_ends_the_sign_in_everywhere(team) -> None:
    user, other = who("ann@example.org", nonce="one"), who("ann@example.org", nonce="two")
    known = accounts(TEAM)
    ended.end(signing_in.sign_in_of(user), known.seconds)
    assert signing_in.judged(user, known).actor == NOBODY
    assert signing_in.judged(other, known).actor.role == "editor"


def pressing(names: Sequence[str], things: dict[str, str], user: dict[str, object]) -> list[str]:
    """What handlers answer to clicks in that person's session, which hidden buttons could send."""

    def script(names: list[str], things: dict[str, str]) -> None:
        from tests.app.handlers import press

        press(names, things)

    page = opened(AppTest.from_function(script, args=(list(names), things)), user)
    assert not page.exception
    return [line.value for line in page.text]


@pytest.fixture
def things(team) -> dict[str, str]:
    """Ann's set and dashboard, shared with the team, and a set that she deleted."""
    ann = account("ann@example.org")
    kept, gone = (store().sets.save(ann, name, b"rows", {}).set_id for name in ("kept", "gone"))
    store().sets.publish(ann, kept, "team")
    store().sets.delete(ann, gone)
    board = store().dashboards.save(ann, None, None, "t", (Markdown("m"),)).dashboard_id
    store().dashboards.publish(ann, board, "team")
    return {"id": kept, "gone": gone, "board": board}


def state() -> tuple[object, ...]:
    """All that is kept, as an admin of everything sees it."""
    sets = [(s, store().sets.versions(LOCAL, s.id)) for s in store().sets.list(LOCAL, deleted=True)]
    boards = [(b, b.latest) for b in store().dashboards.list(LOCAL, deleted=True)]
    shares = [store().shares.of(LOCAL, board.id) for board, _ in boards]
    return sets, boards, shares, store().artifacts.names()


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (who("vic@example.org"), ("As a viewer", "no such prompt set")),
        (who(), ("not signed in", "no such")),
        (who("ann@example.org", iat=time.time() - 13 * 3600), ("not signed in", "no such")),
    ],
)
def test_every_handler_refuses_a_viewer_and_nobody(things, user, words) -> None:
    before = state()
    names = CHANGES if user.get("email") == "vic@example.org" else CHANGES | RUNS
    answers = pressing(names, things, user)
    assert len(answers) == len(names)
    assert not [line for line in answers if not any(word in line for word in words)]
    assert state() == before


@pytest.fixture
def readable(things) -> dict[str, str]:
    """The same, and the set that is kept can be shown."""
    found = read("a.txt", b"one two\nthree")
    ann, rows = account("ann@example.org"), to_bytes(found.rows)
    store().sets.save(ann, None, rows, about("a.txt", found), set_id=things["id"])
    return things


def buttons(view: str, user: dict[str, object], **query: str) -> dict[str, tuple[bool, str]]:
    """Every button of that page and whether it is grey, with what it says then."""
    page = AppTest.from_file(str(APP / "views" / f"{view}.py"))
    page.query_params.update(query)
    opened(page, user)
    assert not page.exception
    return {one.label.strip(): (one.disabled, one.help or "") for one in page.button}


@pytest.mark.parametrize(("email", "grey"), [("vic@example.org", True), ("ann@example.org", False)])
def test_what_a_viewer_may_not_is_grey_and_says_why(readable, email: str, grey: bool) -> None:
    on_sets = buttons("sets", who(email), set=readable["id"])
    on_models = buttons("models", who(email))
    found = [on_sets["Rename"], on_models["Check and add"]]
    assert [one for one, _ in found] == [grey, grey]
    assert all(("As a viewer you may not" in reason) == grey for _, reason in found)
    assert on_sets["Delete this set"][0] == grey
    assert ("As a viewer you may not make a model." in on_models["Check and add"][1]) == grey


def test_an_editor_gets_through_the_same_handlers(things) -> None:
    names = ("rename a set", "save a set", "save a version", "keep a prompt", "run")
    answers = pressing(names, things, who("ann@example.org"))
    assert answers == [f"{name}:" for name in names]
    assert store().sets.version(account("ann@example.org"), things["id"]).number == 2


def test_a_viewer_may_run_and_nobody_may_not(team, monkeypatch) -> None:
    monkeypatch.setattr(may, "actor", lambda: account("vic@example.org"))
    may.run()
    monkeypatch.setattr(may, "actor", lambda: NOBODY)
    with pytest.raises(StoreError, match="not signed in"):
        may.run()


def test_every_call_of_the_store_in_the_app_says_who_asks() -> None:
    """So that a page added later cannot ask as somebody else: the first argument is actor()."""
    calls, asked = 0, []
    for path in APP.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "interp.store":
                names = {alias.name for alias in node.names}
                if "LOCAL" in names:
                    asked.append(path.name)
            if isinstance(node, ast.Call) and of_store(node.func):
                calls += 1
                first = ast.unparse(node.args[0]) if node.args else ""
                token = ast.unparse(node.func) in BY_TOKEN
                assert token or first in ("actor()", "who"), f"{path}:{node.lineno} {first}"
    assert asked == ["signing_in.py"]
    assert calls > 10


def of_store(function: ast.expr) -> bool:
    """Whether this is store().something.method or store().may."""
    words = ast.unparse(function)
    return words.startswith("store().") and (words.count(".") == 2 or words == "store().may")


def test_pages_are_all_behind_the_one_gate() -> None:
    """main.py stops before any page of its list runs; views are opened by it alone."""
    source = (APP / "main.py").read_text(encoding="utf-8")
    assert source.index("st.stop()") < source.index("page.run()")
    assert all(f'"views/{name}.py"' in source for name in PAGES)
    assert not list(Path(APP).rglob("pages"))  # a folder that Streamlit would serve by itself
