"""Who comes in, and as what: the environment's words, a provider's claims, and the doors."""

import httpx
import pytest

from app.accounts import Accounts, accounts, visitor
from app.doors import answering, config, doors
from app.visits import MOST, PATIENCE, Ended, Visits
from interp.store import NOBODY

TEAM = {
    "HEADLAMP_OIDC_ISSUER": "https://id.example/realm",
    "HEADLAMP_OIDC_CLIENT_ID": "headlamp",
    "HEADLAMP_OIDC_CLIENT_SECRET": "not-for-any-eye",
    "HEADLAMP_COOKIE_SECRET": "k" * 32,
    "HEADLAMP_URL": "https://lamp.example/",
    "HEADLAMP_ADMINS": "Ada@Example.org",
    "HEADLAMP_EDITORS": "ann@example.org, @lab.example ,",
    "HEADLAMP_VIEWERS": "@example.org",
}
NOW = 1_800_000_000.0


def known(**changed: str) -> Accounts:
    """The team's sign-in, with some variables changed."""
    return accounts(TEAM | changed)


def claims(email: object, **changed: object) -> dict[str, object]:
    """What an honest provider says of somebody who has just signed in."""
    said = {"is_logged_in": True, "iss": "https://id.example/realm", "sub": "s1", "email": email}
    return said | {"email_verified": True, "iat": NOW - 60} | changed


@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("ada@example.org", "admin"),
        ("ADA@EXAMPLE.ORG", "admin"),
        ("ann@example.org", "editor"),
        ("anybody@lab.example", "editor"),
        ("vic@example.org", "viewer"),
        ("ann@example.org.evil.example", None),
        ("ann@sub.lab.example", None),
        ("someone@elsewhere.example", None),
        ("@lab.example", None),
        ("*", None),
        ("a@b@lab.example", None),
        ("ann\u212a@lab.example", None),  # the Kelvin sign, k in lower case
        ("", None),
        (None, None),
        (["ada@example.org"], None),
    ],
)
def test_roles_are_those_of_the_lists(email, role) -> None:
    found = visitor(claims(email), known(), NOW)
    assert found.actor.role == (role or "nobody")
    assert bool(found.why) is (role is None)


@pytest.mark.parametrize(
    ("changed", "inside"),
    [
        ({}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": False}, False),
        ({"email_verified": "false"}, False),
        ({"email_verified": None}, False),
        ({"is_logged_in": False}, False),
        ({"sub": ""}, False),
        ({"sub": 7}, False),
        ({"iat": NOW - 12 * 3600 + 1}, True),
        ({"iat": NOW - 12 * 3600 - 1}, False),
        ({"iat": NOW + 299}, True),
        ({"iat": NOW + 301}, False),
        ({"iat": float("nan")}, False),
        ({"iat": float("inf")}, False),
        ({"iat": None}, False),
        ({"iat": "1800000000"}, False),
        ({"iat": True}, False),
    ],
)
def test_what_has_to_hold_of_a_sign_in(changed, inside) -> None:
    assert (visitor(claims("ada@example.org", **changed), known(), NOW).actor != NOBODY) is inside


def test_claims_without_word_on_the_address_count_as_verified() -> None:
    said = claims("ada@example.org")
    del said["email_verified"]
    assert visitor(said, known(), NOW).actor.role == "admin"
    assert visitor({}, known(), NOW).actor == NOBODY


def test_an_account_is_one_person_not_one_address() -> None:
    one = visitor(claims("ann@example.org"), known(), NOW).actor.account
    assert one == visitor(claims("Ann@example.org", iat=NOW - 9), known(), NOW).actor.account
    others = [claims("ann@example.org", sub="s2"), claims("ann@example.org", iss="https://other")]
    others += [claims("bob@example.org")]
    assert one not in {visitor(other, known(), NOW).actor.account for other in others}
    assert one.startswith("ann@example.org#")


def test_everybody_is_a_viewer_where_the_list_says_so() -> None:
    found = visitor(claims("who@ever.example"), known(HEADLAMP_VIEWERS="*"), NOW)
    assert found.actor.role == "viewer"
    assert (
        visitor(claims("ada@example.org"), known(HEADLAMP_VIEWERS="*"), NOW).actor.role == "admin"
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        *(({name: ""}, name) for name in list(TEAM)[:5]),
        ({"HEADLAMP_COOKIE_SECRET": "short-and-secret"}, "HEADLAMP_COOKIE_SECRET"),
        ({"HEADLAMP_OIDC_ISSUER": "http://id.example"}, "HEADLAMP_OIDC_ISSUER"),
        ({"HEADLAMP_OIDC_ISSUER": "https://u:p@id.example"}, "HEADLAMP_OIDC_ISSUER"),
        ({"HEADLAMP_OIDC_ISSUER": "id.example"}, "HEADLAMP_OIDC_ISSUER"),
        ({"HEADLAMP_URL": "https://lamp.example/app"}, "HEADLAMP_URL"),
        ({"HEADLAMP_URL": "https://lamp.example:port"}, "HEADLAMP_URL"),
        ({"HEADLAMP_URL": "http://lamp.example"}, "HEADLAMP_URL"),
        ({"HEADLAMP_ADMINS": "ada"}, "HEADLAMP_ADMINS"),
        ({"HEADLAMP_EDITORS": "*"}, "HEADLAMP_EDITORS"),
        ({"HEADLAMP_VIEWERS": "*@example.org"}, "HEADLAMP_VIEWERS"),
        ({name: "" for name in list(TEAM)[5:]}, "HEADLAMP_ADMINS"),
        ({"HEADLAMP_SIGN_IN_HOURS": "0"}, "HEADLAMP_SIGN_IN_HOURS"),
        ({"HEADLAMP_SIGN_IN_HOURS": "1e3"}, "HEADLAMP_SIGN_IN_HOURS"),
        ({name: "" for name in list(TEAM)[:4]}, "HEADLAMP_ADMINS"),
    ],
)
def test_half_a_configuration_is_a_sentence_that_names_the_variable(changed, named) -> None:
    with pytest.raises(ValueError) as told:
        known(**changed)
    words = str(told.value)
    assert words.startswith(named) and "\n" not in words
    assert "not-for-any-eye" not in words and "short-and-secret" not in words


def test_settings_as_streamlit_reads_them_and_no_secret_in_a_log() -> None:
    found = known(HEADLAMP_SIGN_IN_HOURS="1.5")
    assert found.seconds == 5400 and found.host == "lamp.example"
    assert found.secrets()["auth"]["redirect_uri"] == "https://lamp.example/oauth2callback"
    assert found.metadata == "https://id.example/realm/.well-known/openid-configuration"
    full = known(HEADLAMP_OIDC_ISSUER=found.metadata)
    assert (full.metadata, full.issuer) == (found.metadata, found.issuer)
    assert "not-for-any-eye" not in repr(found) and "k" * 32 not in repr(found)
    urls = ("https://LAMP.example:443/", "http://[::1]:80", "http://127.0.0.1:8501")
    assert [known(HEADLAMP_URL=url).url for url in urls] == [
        "https://lamp.example",
        "http://[::1]",
        "http://127.0.0.1:8501",
    ]
    assert accounts({}) is None and accounts({"HEADLAMP_URL": "https://lamp.example"}) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "lamp.example", ""])
def test_without_sign_in_only_this_machine_unless_told(address) -> None:
    with pytest.raises(ValueError, match="HEADLAMP_HOST .* HEADLAMP_OPEN=1"):
        doors({}, address)
    with pytest.raises(ValueError):
        doors({"HEADLAMP_OPEN": "0"}, address)
    opened = doors({"HEADLAMP_OPEN": "1"}, address)
    assert "everything" in opened.warning and opened.hosts == ()
    assert "server.allowedHosts" not in config(opened, 1, address)
    team = doors(TEAM, address)
    assert not team.warning and team.known and "lamp.example" in team.hosts


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_alone_answers_to_its_own_names(address) -> None:
    opened = doors({"HEADLAMP_URL": "https://lamp.example:8443"}, address)
    assert opened.known is None and not opened.warning
    assert set(opened.hosts) == {"127.0.0.1", "localhost", "::1", "lamp.example"}
    assert config(opened, 8501, address) == {
        "server.port": 8501,
        "server.address": address,
        "server.allowedHosts": list(opened.hosts),
        "server.corsAllowedOrigins": ["https://lamp.example:8443"],
    }


GOOD = {
    "issuer": "https://id.example/realm",
    "authorization_endpoint": "a",
    "token_endpoint": "t",
    "jwks_uri": "j",
}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, json=GOOD), ""),
        (httpx.Response(200, json=GOOD | {"issuer": "https://id.example/realm/"}), ""),
        (httpx.Response(200, json=GOOD | {"issuer": "https://evil.example"}), "calls itself"),
        (httpx.Response(404), "HTTPStatusError"),
        (httpx.Response(200, text="<html>"), "JSONDecodeError"),
        (httpx.Response(200, json=[]), "TypeError"),
        (httpx.Response(200, json={"issuer": "https://id.example/realm"}), "KeyError"),
        (httpx.Response(200, text="[" + "1," * 2**20), "ValueError"),
        (httpx.ConnectError("no route"), "ConnectError"),
    ],
)
def test_the_provider_is_asked_before_anybody_comes(answer, words) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == known().metadata
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    if not words:
        return answering(known(), transport)
    with pytest.raises(ValueError, match=f"^HEADLAMP_OIDC_ISSUER.*{words}"):
        answering(known(), transport)
    return None


def test_a_visit_goes_on_to_where_it_came_from() -> None:
    now = [0.0]
    visits = Visits(lambda: now[0])
    visits.want("a", "/dashboards?id=1")
    visits.want("a", "/dashboards?id=2")  # the tab in which it was pressed last
    visits.want("b", "//evil.example/")
    visits.want("c", "https://evil.example/")
    visits.want("", "/sets")
    assert [visits.come_back(name, True) for name in ("b", "c", "", "who")] == ["/"] * 4
    assert visits.come_back("a", False) == "/dashboards?id=2" and visits.failed("a")
    assert visits.come_back("a", True) == "/dashboards?id=2" and not visits.failed("a")
    assert visits.come_back("a", True) == "/"
    visits.want("d", "/sets")
    now[0] = PATIENCE + 1
    assert visits.come_back("d", True) == "/"
    for number in range(MOST + 5):
        visits.want(f"v{number}", f"/{number}")
    assert len(visits.found) == MOST and visits.come_back(f"v{MOST}", True) == f"/{MOST}"


def test_ended_sign_ins_are_kept_as_long_as_they_would_hold() -> None:
    now = [0.0]
    ended = Ended(lambda: now[0])
    ended.end(("one",), 10)
    assert ("one",) in ended and ("two",) not in ended
    now[0] = 11.0
    ended.end(("two",), 10)
    assert list(ended.until) == [("two",)]
