"""/s/{token} over HTTP: what it shows, what it refuses in the very same bytes, what it tells."""

import base64
import concurrent.futures
import json
import logging
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import shared_route
from app.export import snapshot
from app.export.dashboard import open_file
from app.server import build
from app.shared_route import Pages
from interp.result import Result
from interp.store import LOCAL, Actor, Markdown, Panel, Store, StoreError, open_store
from interp.store.shares import NewShare
from tests.app.export.results import CANARY, HOSTILE, every_kind

ANN = Actor("ann@example.org", "editor")
DAY = 86_400
SENTENCE = (
    "This link opens nothing: it is incomplete, has ended or was withdrawn. Ask whoever sent it "
    "for a new one."
)


class Times:
    """A clock that tests turn."""

    seconds = 1_700_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class House:
    """A server and its store."""

    store: Store
    client: TestClient
    times: Times

    def dashboard(self, *texts: str, title: str = "Sinks", result: Result | None = None) -> str:
        """Save one with a panel of a Result; its id."""
        data = (result or every_kind()).to_json().encode()
        name = self.store.artifacts.put(ANN, data)
        blocks = [*map(Markdown, texts), Panel("all", "sinks", {"model": "m"}, "", title, (name,))]
        return self.store.dashboards.save(ANN, None, None, title, blocks).dashboard_id

    def share(self, lifetime: str = "7 d", **parts: object) -> NewShare:
        """A link to a new dashboard."""
        return self.store.shares.share(ANN, self.dashboard(**parts), 1, lifetime)

    def get(self, token: str, method: str = "GET"):
        """An answer, the path as it is."""
        return self.client.request(method, f"/s/{token}")


@pytest.fixture(scope="module")
def client() -> TestClient:
    """The app as it is served."""
    return TestClient(build())


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: TestClient) -> Iterator[House]:
    """The app around a store of its own."""
    times = Times()
    store = open_store(tmp_path / "store", "", seconds=times)
    monkeypatch.setattr(shared_route, "store", lambda: store)
    monkeypatch.setattr(shared_route, "PAGES", Pages())
    yield House(store, client, times)
    store.close()


def answered(answer) -> tuple[int, bytes, dict[str, str]]:
    """All that somebody outside can see of it."""
    return answer.status_code, answer.content, dict(answer.headers)


class Words(HTMLParser):
    """Text and elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.attributes = "", [], []
        self.feed(text)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def test_a_link_opens_its_snapshot(house: House) -> None:
    answer = house.get(house.share(title="My sinks").token)
    assert answer.status_code == 200
    told = Words(answer.text).text
    assert "My sinks" in told and "The answer is 0.5." in told
    assert "A snapshot of version 1, saved on 14 Nov 2023, 22:13 UTC" in told
    assert "The link ends on 21 Nov 2023, 22:13 UTC." in told
    assert "Not checked." in told and "Its numbers were not computed again." in told


@pytest.mark.parametrize("state", ["verified", "differs", "not checked"])
def test_its_verdict_is_said_at_the_top_and_with_each_result(house: House, state: str) -> None:
    def recompute(frozen: Result) -> Result:
        if state == "not checked":
            raise ValueError("the model is gone.")
        figure = frozen.figures[0]
        more = 0.5 if state == "differs" else 0.0
        return replace(frozen, figures=(replace(figure, value=figure.value + more),
                                        *frozen.figures[1:]))  # fmt: skip

    made = house.store.shares.share(ANN, house.dashboard(), 1, "never", recompute)
    assert made.verdict.state == state
    told = Words(house.get(made.token).text).text
    assert snapshot.VERDICTS[state] in told
    assert told.count(made.verdict.sentence) >= 1
    assert f"{state.capitalize()}: " in told
    assert "The link has no end" in told


def test_headers_forbid_all_but_looking(house: House) -> None:
    headers = house.get(house.share().token).headers
    policy = dict(part.strip().partition(" ")[::2]
                  for part in headers["content-security-policy"].split(";"))  # fmt: skip
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == "data:" and policy["connect-src"] == "'self'"
    assert set(policy["sandbox"].split()) == {"allow-scripts", "allow-downloads"}
    for kind in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[\w+/]{43}='", policy[kind])
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "noindex" in headers["x-robots-tag"]
    assert "set-cookie" not in headers
    assert "access-control-allow-origin" not in headers
    refusal = house.get("x").headers["content-security-policy"]
    assert refusal.startswith("sandbox;") and "script-src" not in refusal


def closed(house: House, how: str) -> str:
    """A token that no longer opens anything, or never did."""
    made = house.share("1 h")
    token = made.token
    if how == "expired":
        house.times.seconds += 3600
    elif how == "set back":
        house.times.seconds += 3601
        house.get(token)
        house.times.seconds -= 3000
    elif how == "revoked":
        house.store.shares.revoke(ANN, made.share.id)
    elif how == "deleted":
        house.store.dashboards.delete(ANN, made.share.dashboard_id)
    elif how == "id":
        return made.share.id
    elif how == "hash":
        return shared_route.store().shares.check(token).snapshot
    cut = {"truncated": token[:-1], "extended": f"{token}A", "dotted": f"{token}.", "slash":
           f"{token}/", "swapped": token.swapcase(), "padded": f"{token}=", "spaced": f"%20{token}",
           "twice": f"{token}/{token}", "nul": f"{token}%00", "newline": f"{token}%0A"}  # fmt: skip
    return cut.get(how, token)


WAYS = ("expired", "set back", "revoked", "deleted", "id", "hash", "truncated", "extended",
        "dotted", "slash", "swapped", "padded", "spaced", "twice", "nul", "newline")  # fmt: skip
FORGED = ("", "x", ":token", "%00", "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
          "..%5c..%5cwindows", "%252e%252e%252f", "' OR 1=1 --", "%27%20OR%201%3D1", "%F0%9F%94%A6",
          "%ff%fe", "١٢٣", "<b>bold</b>", "%3Cscript%3Ealert(1)%3C/script%3E", "a" * 10_000,
          "%E2%80%AE", "favicon.ico", "index.html", "api/ready", "null", "undefined",
          "0" * 32, "0" * 64, "A" * 43)  # fmt: skip


def test_whatever_is_wrong_the_refusal_is_the_same(house: House) -> None:
    refused = answered(house.get("never-made"))
    assert refused[0] == 404 and SENTENCE in Words(refused[1].decode()).text
    for way in WAYS:
        token = closed(house, way)
        assert answered(house.get(token)) == refused, way
        assert answered(house.get(f"{token}?file")) == refused, way
        assert answered(house.get(f"{token}?holds")) == refused, way
    for token in FORGED:
        assert answered(house.get(token)) == refused, token
    raw = shared_route.answer("../../etc/passwd", "")  # a client would shorten the address
    assert (raw.status_code, raw.body) == refused[:2]
    for echo in ("passwd", "bold", "OR 1=1", "alert"):
        assert echo not in refused[1].decode()


def test_a_thousand_random_tokens_open_nothing_and_change_nothing(house: House) -> None:
    made, rng = house.share(), random.Random(7)
    before = (house.store.home.parent / "store" / "headlamp.db").read_bytes()
    alphabet = string.ascii_letters + string.digits + "-_"
    tokens = ["".join(rng.choices(alphabet, k=43)) for _ in range(900)]
    tokens += [made.token[:at] + rng.choice(alphabet.replace(made.token[at], "")) +
               made.token[at + 1 :] for at in rng.choices(range(42), k=100)]  # fmt: skip
    codes = {shared_route.answer(token, "").status_code for token in tokens}
    assert codes == {404}
    assert (house.store.home.parent / "store" / "headlamp.db").read_bytes() == before
    assert house.get(made.token).status_code == 200


def test_the_token_is_asked_for_at_every_hit_also_of_a_page_that_is_drawn(house: House) -> None:
    made = house.share("1 h")
    assert [house.get(made.token + x).status_code for x in ("", "?holds")] == [200, 204]
    house.store.shares.revoke(ANN, made.share.id)
    for what in ("", "?file", "?holds"):
        assert house.get(made.token + what).status_code == 404


def test_a_page_is_drawn_once_and_not_mixed_up(house: House, monkeypatch) -> None:
    drawn: list[str] = []
    page = snapshot.page
    monkeypatch.setattr(snapshot, "page", lambda one: drawn.append(one.title) or page(one))
    one, two = house.share(title="One"), house.share(title="Two")
    with concurrent.futures.ThreadPoolExecutor(8) as many:
        found = [*many.map(lambda _: shared_route.answer(one.token, "").body, range(8))]
    assert len({*found}) == 1 and drawn == ["One"]
    assert "Two" in house.get(two.token).text and drawn == ["One", "Two"]
    assert house.get(one.token).content == found[0]


def test_drawn_pages_take_bounded_room(house: House, monkeypatch) -> None:
    small = Pages(budget=200_000)
    monkeypatch.setattr(shared_route, "PAGES", small)
    for number in range(6):
        assert house.get(house.share(title=f"Number {number}").token).status_code == 200
    assert 0 < small.cache.used <= 200_000


def test_an_edit_after_sharing_changes_nothing_of_what_is_shown(house: House) -> None:
    made = house.share(title="Before")
    before = Words(house.get(made.token).text).text
    shared_route.PAGES = Pages()  # drawn anew, where ids inside pictures may differ
    house.store.dashboards.save(ANN, made.share.dashboard_id, 1, "After", [Markdown("new words")])
    assert Words(house.get(made.token).text).text == before
    assert "new words" not in before and "Before" in before


def test_other_methods_do_nothing(house: House) -> None:
    made = house.share()
    methods = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")
    answers = [answered(house.get(x, method)) for x in (made.token, "x") for method in methods]
    assert all(one == answers[0] for one in answers)
    assert answers[0][0] == 405 and b"nothing else can be done" in answers[0][1]
    head = house.get(made.token, "HEAD")
    assert head.status_code == 200 and not head.content
    assert house.get(made.token).status_code == 200


def test_the_file_opens_again_and_says_nothing_of_the_link(house: House) -> None:
    made = house.share(title="Kept")
    page, file = house.get(made.token), house.get(f"{made.token}?file")
    assert file.headers["content-disposition"] == 'attachment; filename="headlamp-snapshot.html"'
    opened = open_file(file.content)
    assert opened.title == "Kept"
    (result,) = opened.results.values()
    assert result.to_json() == every_kind().to_json()
    for text in (page.text, file.text):
        assert made.token not in text and made.share.id not in text
    assert "The link ends" not in file.text and "setInterval" not in file.text


def test_nothing_of_account_server_or_others_is_in_the_page(house: House) -> None:
    other = house.dashboard("marker-of-another-prompt", title="marker-of-another-title")
    made = house.share(title="Mine")
    for what in ("", "?file"):
        text = house.get(made.token + what).text
        for secret in (ANN.account, "marker-of", other, made.share.dashboard_id, made.share.id,
                       str(house.store.home), str(Path.home()), str(Path.cwd())):  # fmt: skip
            assert secret not in text, secret


def test_hostile_words_are_words(house: House) -> None:
    words = " ".join(HOSTILE[:8])
    made = house.share(title=HOSTILE[0][:190], result=every_kind(HOSTILE))
    made_too = house.store.shares.share(ANN, house.dashboard(*HOSTILE, title="t"), 1, "1 d")
    for token in (made.token, made_too.token):
        answer = house.get(token)
        assert answer.status_code == 200, words
        told = Words(answer.text)
        assert told.tags.count("script") == 1  # ours
        assert not {"iframe", "object", "embed", "svg", "form", "base", "link"} & set(told.tags)
        assert not [x for x in told.attributes if x[1].startswith("on")]
        links = [value for tag, name, value in told.attributes if name in ("href", "src")]
        assert links.count("?file") == 1
        assert all(x == "?file" or x.startswith("data:image/svg+xml;base64,") for x in links)
        assert CANARY in told.text


def test_titles_out_of_a_file_reach_no_chart_with_a_backslash(house: House) -> None:
    result = every_kind()
    score = replace(result.scores[0], unit="shut\\'", title="shut\\'")
    made = house.share(title="t", result=replace(result, scores=(score,)))
    images = re.findall(r"base64,([\w+/=]+)", house.get(made.token).text)
    drawn = " ".join(base64.b64decode(one).decode() for one in images)
    assert "shut\u2216" in drawn and "shut\\" not in drawn


def test_a_damaged_store_says_so_without_a_path(house: House, monkeypatch, caplog) -> None:
    made = house.share()
    name = shared_route.store().shares.check(made.token).snapshot
    (path,) = house.store.home.rglob(name)
    path.write_bytes(b"{}")
    answer = house.get(made.token)
    assert answer.status_code == 503 and "cannot be read just now" in answer.text

    def shut() -> Store:
        raise StoreError(f"The file {house.store.home}/headlamp.db is cut.")

    monkeypatch.setattr(shared_route, "store", shut)
    for token in (made.token, "x"):
        answer = house.get(token)
        assert answer.status_code == 503 and "Traceback" not in answer.text
        assert str(house.store.home) not in answer.text
        assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert str(house.store.home) not in caplog.text


def test_what_cannot_be_drawn_is_a_sentence_too(house: House, monkeypatch) -> None:
    made = house.share()
    monkeypatch.setattr(snapshot, "page", lambda one: 1 / 0)
    answer = house.get(made.token)
    assert answer.status_code == 503 and "ZeroDivision" not in answer.text


def test_no_log_line_names_a_token(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = house.share()
    house.get(made.token)
    house.get(f"{made.token}?holds")
    house.store.shares.revoke(ANN, made.share.id)
    house.get(made.token)
    ours = [r for r in caplog.records if not r.name.startswith("httpx")]  # the asking client
    assert len(ours) < len(caplog.records)
    assert made.token not in "".join(r.getMessage() for r in ours)
    assert made.token not in json.dumps([vars(made.share)], default=str)


def test_links_of_the_one_local_user_open_as_well(house: House) -> None:
    name = house.store.artifacts.put(LOCAL, every_kind().to_json().encode())
    panel = Panel("figures", "sinks", results=(name,))
    saved = house.store.dashboards.save(LOCAL, None, None, "Local", [panel])
    made = house.store.shares.share(LOCAL, saved.dashboard_id, 1, "1 d")
    assert "The answer is 0.5." in (text := house.get(made.token).text)
    assert "Heat" not in Words(text).text
    house.times.seconds += DAY
    assert house.get(made.token).status_code == 404
