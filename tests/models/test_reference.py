"""Each variant against an implementation that other people wrote, in value and in gradient."""

import pytest
import torch
from torch import Tensor

from models.attention.contract import HeadConfig, Mixer, Projected
from models.registry import VARIANTS, variant
from tests.models.references import Reference, all_references

REFERENCES = all_references()


def make(name: str, n_kv_heads: int, reference: Reference) -> tuple[Mixer, Tensor]:
    """A mixer of four heads, its parameters off zero, and an input that wants a gradient."""
    heads = HeadConfig(d_model=4 * reference.d_head, n_heads=4, n_kv_heads=n_kv_heads)
    mixer = variant(name).mixer(heads).to(reference.dtype)
    for parameter in mixer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    shape = (2, reference.length, heads.d_model)
    return mixer, torch.randn(shape, dtype=reference.dtype, requires_grad=True)


def placed(mixer: Mixer, x: Tensor) -> Projected:
    """Projections of x without rotation, as most of the references have none."""
    return mixer.place(mixer.project(x), torch.arange(x.shape[1]), lambda x, where: x)


def difference(ours: Tensor, theirs: Tensor, wrt: list[Tensor] | None) -> float:
    """Largest difference in value and in the gradients `wrt`, relative to the largest of theirs."""
    assert theirs.shape == ours.shape
    assert theirs.detach().std() > 1e-3
    error = float((ours - theirs).detach().abs().max() / theirs.detach().abs().max())
    if wrt is None:
        return error
    weight = torch.randn_like(ours)
    mine, other = (
        torch.autograd.grad(
            (out * weight.to(out.dtype)).sum(), wrt, retain_graph=True, materialize_grads=True
        )
        for out in (ours, theirs)
    )
    top = max(float(g.abs().max()) for g in other)
    assert top > 0
    return max(error, *(float((a - b).abs().max()) / top for a, b in zip(mine, other, strict=True)))


def found(name: str, n_kv_heads: int) -> float:
    """The largest difference between a variant and its reference, over all that it offers."""
    reference = REFERENCES[name]
    mixer, x = make(name, n_kv_heads, reference)
    p = placed(mixer, x)
    wrt = None
    if reference.differentiable:
        wrt = [x, *(w for w in mixer.parameters() if w.requires_grad)]
    errors = []
    if reference.mix:
        theirs = reference.mix(mixer, p)
        errors.append(difference(mixer.mix(p), theirs, wrt))
        errors.append(difference(mixer.pattern(p) @ mixer.values(p), theirs, wrt))
    if reference.pattern:
        errors.append(difference(mixer.pattern(p), reference.pattern(mixer, p), wrt))
    if reference.layer:
        ours, theirs = mixer.merge(mixer.readout(mixer.mix(p), p)), reference.layer(mixer, x)
        errors.append(difference(ours, theirs, wrt))
    return max(errors)


@pytest.mark.parametrize("name", VARIANTS)
def test_agrees_with_its_reference_as_closely_as_stated(name: str) -> None:
    """The registry's figure is a bound, and not a lazy one."""
    groups = (4, 2, 1) if variant(name).traits.grouped else (4,)
    error = max(found(name, n) for n in groups)
    assert error <= variant(name).error <= 100 * max(error, 1e-14)


def test_every_reference_is_of_a_variant() -> None:
    assert set(REFERENCES) == set(VARIANTS)
