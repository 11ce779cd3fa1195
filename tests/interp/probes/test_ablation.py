"""The ablation figure against models whose head was taken out by hand."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from interp.adapters.own import Own
from interp.measurements import passes
from interp.measurements.prompt import PromptRequest
from interp.probes.ablation import ablation_losses, run_ablation
from interp.progress import Silent
from interp.result import Result
from interp.subject import Refused

IDS = tuple(b"Lily had a ball. Lily had a dog.")


def by_hand(subject: Own, layer: int) -> np.ndarray:
    """Loss per token, clean and with each head's W_O set to zero."""
    found = []
    for head in (None, *range(subject.card.n_heads)):
        model = copy.deepcopy(subject.model)
        if head is not None:
            model.blocks[layer].attn.W_O.data[head] = 0
        with torch.inference_mode():
            logits = model(torch.tensor([IDS]))[0].double()
        found.append(F.cross_entropy(logits[:-1], torch.tensor(IDS[1:]), reduction="none"))
    return torch.stack(found).numpy()


@pytest.mark.parametrize("at_once", [1, 64, 100, 10_000])
def test_losses_do_not_depend_on_how_copies_are_batched(
    subject: Own, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "TOKENS_AT_ONCE", at_once)
    found = ablation_losses(subject, IDS, 1, Silent())
    np.testing.assert_allclose(found, by_hand(subject, 1), rtol=1e-4, atol=1e-5)


def test_figure_is_the_mean_change_beside_the_strongest_other_head(subject: Own) -> None:
    losses = by_hand(subject, 0)
    change = (losses[1:] - losses[0]).mean(1)
    for head in range(4):
        result = run_ablation(subject, PromptRequest(ids=IDS), 0, head, Silent())
        (figure,) = result.figures
        assert figure.value == pytest.approx(change[head], abs=1e-5)
        others = [change[h] for h in range(4) if h != head]
        assert figure.null == pytest.approx(max(others, key=abs), abs=1e-5)
        assert figure.n == len(IDS) - 1 and figure.low < figure.value < figure.high
        assert figure.null_name == "strongest of the 3 other heads of layer 0"
        assert result.request == {"ids": list(IDS), "seed": 0, "layer": 0, "head": head}
        assert Result.from_json(result.to_json()).figures == result.figures


def test_a_layer_of_one_head_has_no_null(own: Callable[..., Own]) -> None:
    subject = own(n_heads=1, n_kv_heads=1)
    (figure,) = run_ablation(subject, PromptRequest(ids=IDS), 0, 0, Silent()).figures
    assert figure.null is None


@pytest.mark.parametrize("tokens", [1, 2])
def test_prompts_without_two_losses_are_refused(own: Callable[..., Own], tokens: int) -> None:
    with pytest.raises(Refused, match=f"needs 3 tokens or more; this prompt has {tokens}"):
        run_ablation(own(), PromptRequest(ids=IDS[:tokens]), 0, 0, Silent())
    run_ablation(own(), PromptRequest(ids=IDS[:3]), 0, 0, Silent())


def test_heads_there_are_not_are_refused_before_anything_runs(own: Callable[..., Own]) -> None:
    with pytest.raises(Refused, match="no L0H4"):
        run_ablation(own(), PromptRequest(ids=IDS), 0, 4, Silent())
