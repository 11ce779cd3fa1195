"""A whole matrix as a Source: parts, samples and overviews of it are what they are by hand."""

import pytest
import torch

from interp.stats.layers.dense_source import DenseSource
from interp.stats.sources import Source
from interp.stats.wanted import Wanted

A = torch.tensor(
    [[1.0, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0, 0.25, 0.75, 0, 0],
     [0.5, 0, -0.5, 1, 0], [0.1, 0.2, 0.3, 0, 0.4]]
)[None, None]  # fmt: skip


def test_parts_samples_and_overview_by_hand() -> None:
    source = DenseSource(A)
    assert isinstance(source, Source) and source.shape == (1, 1, 5) and source.nbytes == 100
    assert torch.equal(source.window(0, slice(1, 3), slice(0, 2)), A[:, 0, 1:3, :2])
    expected = [[1.0, 0, 0], [0.5, 1, 0], [0.2, 0.3, 0.4]]
    assert torch.equal(source.overview(0, 3)[0], torch.tensor(expected))
    few = source.sample(torch.tensor([1, 3]))
    found = few.stats(Wanted(received=True, distance=True, offsets=(1,)))
    assert found.visible.tolist() == [[2, 4]] and few.shape == (1, 1, 5)
    assert found.received[0, 0].tolist() == [1, 0.5, -0.5, 1, 0]
    assert found.distance[0, 0].tolist() == [0.5, 2]  # 3 * 0.5 + 1 * |-0.5|
    assert found.offsets[0, 0, :, 0].tolist() == [0.5, -0.5]


def test_rows_without_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="2 rows and 5 keys needs the position"):
        DenseSource(A[:, :, :2])
