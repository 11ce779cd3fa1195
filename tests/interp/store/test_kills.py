"""A saving process is killed at seeded moments and at each of its steps: nothing saved is lost."""

import hashlib

import pytest

from interp.store import Markdown, Panel, Store, open_store
from tests.faults import kills, points
from tests.faults.saver import ANN


def test_twelve_kills_lose_nothing(folder, url):
    tally = kills.run(folder, url, 12 if not url else 4, seed=1)
    assert (tally.lost, tally.half) == ([], []), tally
    assert tally.acknowledged >= tally.kills
    assert tally.slowest_start < kills.STARTUP


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing(folder, url):
    tally = kills.run(folder, url, 200, seed=2)
    assert (tally.lost, tally.half) == ([], []), tally
    assert tally.kills == 200 and tally.acknowledged > 200


@pytest.mark.parametrize(
    "statements", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["files", "all"]
)
def test_a_kill_at_each_step_of_a_save_leaves_the_old_or_the_new(folder, result, statements):
    store = open_store(folder, "")
    old = store.dashboards.save(ANN, None, None, "T", (Markdown("old"),))
    store.close()
    data = result().to_json().encode()
    name = hashlib.sha256(data).hexdigest()
    new = (Markdown("new"), Panel("grid", "sinks", results=(name,)))

    def save(store: Store) -> None:
        store.artifacts.put(ANN, data)
        store.dashboards.save(ANN, old.dashboard_id, 1, "T", new)

    seen = set()

    def look(done: bool) -> None:
        store = open_store(folder, "")
        assert store.findings == ()
        history = store.dashboards.history(ANN, old.dashboard_id)
        assert history[-1] == old
        latest = history[0]
        if latest != old:
            assert latest.blocks == new and len(history) == 2
            assert store.dashboards.result(ANN, old.dashboard_id, 2, name) == data
        if done:
            assert latest.blocks == new
        rows = {one for one, _ in store.artifacts.names()}
        files = {path.name for path in (folder / "artifacts").glob("*/*")}
        assert rows == files and not list((folder / "incoming").iterdir())
        seen.add((latest.number, len(rows)))
        store.close()

    killed = points.each(folder, "", save, look, statements)
    assert killed >= (20 if statements else 9)
    assert {(1, 0), (1, 1), (2, 1)} <= seen  # before its file, before its version, and after
