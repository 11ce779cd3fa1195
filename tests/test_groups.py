"""Tests of one xdist_group share a worker: what such a group loads is loaded once."""

import os

import pytest

pytestmark = pytest.mark.xdist_group("kept-together")


def test_a_group_is_told_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    """pytest 9.2.0 drops the mark that pytest-xdist 3.8.0 hangs on a test's name, unsaid."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@kept-together")
