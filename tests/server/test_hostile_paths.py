"""Two hundred ways up and out of a folder, on every route of the real server: none leads there."""

from urllib.parse import quote

import pytest

from tests.server.web import Web

pytestmark = pytest.mark.xdist_group("web")  # one server for all of them
CANARY = "canary-of-the-home-folder"

UP = ["..", "%2e%2e", "%252e%252e", ".%2e", "..;", "..%00", "%c0%ae%c0%ae", "....", "%uff0e%uff0e"]
SLASH = ["/", "\\", "%2f", "%5c", "%252f", "//", "/./"]
TARGETS = ["etc/passwd", "proc/self/environ", "canary.txt", "app/server.py"]
ODD = [
    "\\\\evil.example\\share\\x", "//evil.example/x", "/etc/passwd", "%2fetc%2fpasswd",
    "file:///etc/passwd", "C:\\Windows\\win.ini", "canary.txt%00.png", "%00", "%0d%0aX-Evil:%201",
    "~root/.profile", "$HOME/canary.txt", "*", "?path=/etc/passwd", "%ff%fe", "%", "%zz", ":key",
    "' OR 1=1 --", "aux", "..%u2215", "\u202e..".encode().decode("latin-1"),
]  # fmt: skip
ROUTES = [
    "/", "/media/", "/static/", "/component/", "/_stcore/bidi-components/", "/app/static/",
    "/_stcore/upload_file/", "/s/", "/api/", "/sets/",
]  # fmt: skip


def traversals() -> list[str]:
    """Two hundred ways up and out."""
    ways = [(up + slash) * deep + target for up in UP for slash in SLASH for deep in (1, 6)
            for target in TARGETS]  # fmt: skip
    step = max(1, len(ways) // (200 - len(ODD)))
    return [*ODD, *ways[::step]][:200]


@pytest.mark.parametrize("route", ROUTES)
def test_no_path_leads_out(web: Web, route) -> None:
    (web.home / "canary.txt").write_text(CANARY)
    page = web.raw("/")[1]
    tried = traversals()
    assert len(tried) == len(set(tried)) == 200
    for way in tried:
        status, body = web.raw(route + way.replace(" ", "%20"))
        assert status in (200, 301, 307, 308, 400, 403, 404, 405), (route, way, status)
        assert status != 200 or body == page, (route, way)  # any other path is the one page
        for leaked in (CANARY.encode(), b"root:", b"HEADLAMP_HOME", b"def build"):
            assert leaked not in body, (route, way)
    assert web.health() < 1.0


def test_a_path_is_not_repeated_on_a_page_of_errors(web: Web) -> None:
    for path in ("/s/<script>alert(1)</script>", "/media/<b>x</b>", "/component/<b>x</b>/i.html"):
        for written in (quote(path), path):
            assert b"<script>alert" not in (body := web.raw(written)[1]) and b"<b>x" not in body
