"""Blocks run again show the same matrix; real architectures from a folder equal transformers."""

import numpy as np
import pytest
import torch

from interp.adapters.own import Own
from interp.capture import Ablate, DropKey, MaskKey, capture
from interp.measurements import prompt
from interp.measurements.prompt import PromptRequest
from interp.progress import Silent
from interp.subject import Kept, Subject, pattern_name


def patterns(subject: Subject, tokens: torch.Tensor, keep: Kept) -> dict[int, torch.Tensor]:
    """All matrices as they appear in one run."""
    seen: dict[int, torch.Tensor] = {}
    watch = {
        pattern_name(layer): lambda a, at=layer: seen.__setitem__(at, a.clone())
        for layer in range(subject.card.n_layers)
    }
    subject.forward(tokens, watch, keep)
    return seen


def hooks(subject: Subject) -> int:
    """Hooks on a bridged model; TransformerLens keeps some of its own there for good."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return sum(len(getattr(m, kind)) for m in subject.bridge.modules() for kind in kinds)


def check_replay(subject: Subject, tokens: torch.Tensor) -> None:
    """Every block, run again on its kept input in any order, shows exactly the run's matrix."""
    kept = Kept()
    seen = patterns(subject, tokens, kept)
    assert sorted(seen) == list(range(subject.card.n_layers)) == sorted(kept.inputs)
    for layer in [*reversed(sorted(seen)), 0, 0]:
        again: list[torch.Tensor] = []
        subject.replay(kept, layer, {pattern_name(layer): again.append})
        assert len(again) == 1 and torch.equal(again[0], seen[layer])
    others = [not torch.equal(seen[0], seen[layer]) for layer in range(1, len(seen))]
    assert all(others)


def test_replay_rebuilds_the_runs_matrix(subject: Own) -> None:
    check_replay(subject, torch.tensor([subject.encode("replay this, please").ids]))


def test_kept_inputs_are_what_they_weigh(subject: Own) -> None:
    kept = Kept()
    subject.forward(torch.tensor([[1, 2, 3, 4, 5]]), {}, kept)
    residuals = 2 * 5 * 24 * 4  # layers, tokens, width, float32; norms are shared with the model
    assert residuals <= kept.nbytes <= residuals + 4 * 24


def test_replay_of_real_architectures(bridged: Subject, words: str) -> None:
    check_replay(bridged, torch.tensor([bridged.encode(words).ids]))


def test_replay_after_other_runs(bridged: Subject, words: str) -> None:
    """What is kept belongs to its run: later runs, other lengths and edits do not touch it."""
    kept, tokens = Kept(), torch.tensor([bridged.encode(words).ids])
    seen = patterns(bridged, tokens, kept)
    capture(bridged, tokens[:, :5], edits=[Ablate(0, 1)])
    patterns(bridged, tokens[:, 3:].repeat(2, 1), Kept())
    again: list[torch.Tensor] = []
    bridged.replay(kept, 1, {pattern_name(1): again.append})
    assert torch.equal(again[0], seen[1])


def test_patterns_and_logits_equal_transformers(
    bridged: Subject, reference: torch.nn.Module, words: str
) -> None:
    tokens = torch.tensor([bridged.encode(words).ids])
    seen = patterns(bridged, tokens, Kept())
    logits = bridged.forward(tokens, {})
    with torch.inference_mode():
        found = reference(tokens, output_attentions=True)
    torch.testing.assert_close(logits, found.logits, rtol=1e-5, atol=1e-5)
    for layer, expected in enumerate(found.attentions):
        torch.testing.assert_close(seen[layer], expected, rtol=1e-5, atol=1e-5)
    reading = prompt.read(bridged, PromptRequest(ids=tuple(tokens[0].tolist())), Silent())
    loss = reference(tokens, labels=tokens).loss.item()
    assert reading.losses.mean() == pytest.approx(loss, rel=1e-5)
    received = np.array([a[0].sum(1) for a in found.attentions])
    received /= np.arange(tokens.shape[1], 0, -1)
    np.testing.assert_allclose(reading.received, received, rtol=1e-4, atol=1e-6)


def test_edits_of_real_architectures(bridged: Subject, words: str) -> None:
    """DropKey and MaskKey reach the output of the layer they edit, and of no earlier token."""
    tokens = torch.tensor([bridged.encode(words).ids])
    name, before = pattern_name(1), bridged.forward(tokens, {})
    plain = capture(bridged, tokens, [name]).activations[name]
    masked = capture(bridged, tokens, [name], [MaskKey(1, 2, 3)])
    a = masked.activations[name]
    rest = plain[:, 2, 4:].clone()
    rest[..., 3] = 0
    torch.testing.assert_close(a[:, 2, 4:], rest / rest.sum(-1, keepdim=True))
    assert torch.equal(a[:, 2, :4], plain[:, 2, :4]) and torch.equal(a[:, 1], plain[:, 1])
    dropped = capture(bridged, tokens, [name], [DropKey(1, 2, 3)])
    torch.testing.assert_close(dropped.activations[name][:, 2, 4:], rest)
    for found in (masked, dropped):
        assert (found.logits - before).abs()[:, 4:].max() > 1e-4
        torch.testing.assert_close(found.logits[:, :4], before[:, :4], rtol=1e-5, atol=1e-5)
    assert torch.equal(bridged.forward(tokens, {}), before)


def test_ablation_of_real_architectures(
    bridged: Subject, reference: torch.nn.Module, kind: str, words: str
) -> None:
    """Against transformers with that head's output weights zeroed."""
    tokens, head, d = torch.tensor([bridged.encode(words).ids]), 3, bridged.card.d_head
    own = slice(head * d, (head + 1) * d)
    if kind == "llama":
        weight = reference.model.layers[1].self_attn.o_proj.weight.data
        rows = weight[:, own]
    else:
        rows = reference.transformer.h[1].attn.c_proj.weight.data[own]
    kept = rows.clone()
    rows.zero_()
    with torch.inference_mode():
        expected = reference(tokens).logits
    rows.copy_(kept)
    found = capture(bridged, tokens, edits=[Ablate(1, head)]).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (found - bridged.forward(tokens, {})).abs().max() > 1e-3


def test_no_hook_outlives_an_exception(bridged: Subject, words: str) -> None:
    tokens = torch.tensor([bridged.encode(words).ids])
    before, resident = bridged.forward(tokens, {}), hooks(bridged)

    def fail(value: torch.Tensor) -> None:
        raise RuntimeError("in the middle of a run")

    for _ in range(50):
        watch = {pattern_name(0): lambda a: a * 0, pattern_name(1): fail}
        with pytest.raises(RuntimeError, match="in the middle"):
            bridged.forward(tokens, watch, Kept())
        assert torch.equal(bridged.forward(tokens, {}), before)
        assert hooks(bridged) == resident
