"""A rerun reads the folders of models a few times, not once for every model of a list."""

from collections import Counter

import pytest

from interp import catalog
from tests.app.conftest import settle

MOST = 12  # there are about a hundred models


@pytest.mark.parametrize("view", ["explore", "system2", "sets", "compare", "training", "models"])
def test_a_rerun_reads_the_catalogue_a_few_times(view, open_page, monkeypatch):
    asked, real = Counter(), catalog.on_the_shelf

    def counting():
        asked["times"] += 1
        return real()

    page = settle(open_page(view))  # loading a model reads the catalogue too
    monkeypatch.setattr(catalog, "on_the_shelf", counting)
    page.run()
    assert not page.exception
    assert 0 < asked["times"] <= MOST, asked
