"""One pass of our models: each layer's Source on its way through, and the losses at the end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from interp.adapters import own
from interp.adapters.own import Own
from interp.stats.head_stats import HeadStats
from interp.stats.sources import Source
from interp.subject import Kept, by_token, pattern_name
from models.transformer import Transformer
from tests.conftest import one_per_matrix
from tests.interp.stats.explicit import everything, holds


@pytest.fixture
def made(build: Callable[..., Transformer]) -> Callable[[str], Own]:
    return lambda name: Own(name, name, build(variant=name), trained=False)


def prompt(batch: int, length: int) -> torch.Tensor:
    return torch.randint(29, (batch, length), generator=torch.Generator().manual_seed(3))


def hooks(subject: Own) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in subject.model.modules() for kind in kinds)


def test_statistics_are_those_of_the_hooked_patterns(
    made: Callable[[str], Own], typical: str
) -> None:
    subject, tokens = made(typical), prompt(2, 31)
    wanted = replace(everything(2, torch.arange(31)), valued=False)
    seen: dict[int, HeadStats] = {}
    patterns: dict[int, torch.Tensor] = {}
    kept = Kept()
    found = subject.stream(tokens, lambda at, x: seen.update({at: x.stats(wanted)}), kept)
    watch = {
        pattern_name(at): lambda a, at=at: patterns.update({at: by_token(a).double()})
        for at in range(subject.card.n_layers)
    }
    logits = subject.forward(tokens, watch)
    assert list(seen) == [0, 1] and hooks(subject) == 0
    for at, stats in seen.items():
        # Float32 on two different roads: the tolerance is on sums, whose terms have it too.
        holds(stats, patterns[at], wanted, 2e-4)
        again = subject.source(kept, at)
        assert again.shape == (2, 4, 31)
        assert torch.equal(again.stats(wanted).every.mass, stats.every.mass)
    truth = -logits.log_softmax(-1)[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
    assert found.shape == (2, 30)
    assert torch.allclose(found, truth, atol=2e-5)


@pytest.mark.parametrize("entries", [1, 29 * 2 * 7, 2**22])
def test_losses_in_any_number_of_parts(
    made: Callable[[str], Own], monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    subject, tokens = made("softmax"), prompt(2, 23)
    logits = subject.forward(tokens, {})
    monkeypatch.setattr(own, "LOGITS", entries)
    truth = -logits.log_softmax(-1)[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
    assert torch.allclose(subject.stream(tokens, lambda at, x: None), truth, atol=1e-5)


def test_one_token_has_no_loss_and_one_row(made: Callable[[str], Own]) -> None:
    for name in one_per_matrix():
        seen: list[Source] = []
        assert made(name).stream(prompt(2, 1), lambda at, x: seen.append(x)).shape == (2, 0)  # noqa: B023
        assert [x.shape for x in seen] == [(2, 4, 1)] * 2


def test_whoever_stops_in_the_middle_leaves_no_hook(made: Callable[[str], Own]) -> None:
    subject, reached = made("softmax"), []

    def stop(at: int, source: Source) -> None:
        reached.append(at)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subject.stream(prompt(1, 5), stop, Kept())
    assert reached == [0] and hooks(subject) == 0


def test_kept_inputs_are_those_of_a_forward_pass(made: Callable[[str], Own]) -> None:
    subject, one, other = made("linear"), Kept(), Kept()
    subject.stream(prompt(2, 9), lambda at, x: None, one)
    subject.forward(prompt(2, 9), {}, other)
    for layer in (0, 1):
        assert torch.equal(one.inputs[layer][0][0], other.inputs[layer][0][0])
