"""TransformerLens's patching tools on our models, against patches made with PyTorch's own hooks."""

from collections.abc import Callable
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import Tensor
from transformer_lens import patching
from transformer_lens.tools.analysis import attribution_patch
from transformer_lens.tools.analysis.attribution_patching import Node

from models.hooked import HookedTransformer, as_hooked
from models.transformer import Transformer
from tests.conftest import WIRED, suited

Build = Callable[..., Transformer]
TYPICAL = [(name, suited(name)["n_kv_heads"]) for name in WIRED]
FORMS = [*TYPICAL, ("softmax", 4), ("delta", 4)]
PLACE = 3  # where the corrupted prompts differ from the clean ones


@pytest.fixture(params=FORMS, ids=lambda form: "-".join(map(str, form)))
def plain(request: pytest.FixtureRequest, build: Build) -> Transformer:
    """Every variant with grouped heads, then two with a key head per query head."""
    name, n_kv_heads = request.param
    return build(variant=name, n_kv_heads=n_kv_heads)


@pytest.fixture
def corrupted(tokens: Tensor) -> Tensor:
    """The prompts with another token at PLACE."""
    changed = tokens.clone()
    changed[:, PLACE] = 20
    return changed


def metric(logits: Tensor) -> Tensor:
    """Mean logit difference after the last token."""
    return (logits[:, -1, 7] - logits[:, -1, 3]).mean()


@contextmanager
def edited(model: Transformer, tap: str, edit: Callable[[Tensor], Tensor]):
    """The plain model with one of PyTorch's hooks on one tap."""
    handle = model.get_submodule(tap).register_forward_hook(lambda t, a, out: edit(out.clone()))
    try:
        yield model
    finally:
        handle.remove()


def seen(model: Transformer, tap: str, tokens: Tensor) -> Tensor:
    """What a tap shows on some tokens."""
    caught: list[Tensor] = []
    with edited(model, tap, lambda out: caught.append(out) or out):
        model(tokens)
    return caught[0]


def patched(model: Transformer, tap: str, where: tuple, clean: Tensor, corrupted: Tensor) -> Tensor:
    """The metric with a clean activation put into the corrupted run, by hand."""
    kept = seen(model, tap, clean)

    def put(out: Tensor) -> Tensor:
        out[where] = kept[where]
        return out

    with edited(model, tap, put):
        return metric(model(corrupted))


ALL = slice(None)


def test_a_clean_residual_at_the_corrupted_place_restores_everything(
    plain: Transformer, tokens: Tensor, corrupted: Tensor
) -> None:
    hooked = as_hooked(plain)
    clean, broken = metric(plain(tokens)), metric(plain(corrupted))
    assert (clean - broken).abs() > 1e-2
    _, cache = hooked.run_with_cache(tokens)
    found = patching.get_act_patch_resid_pre(hooked, corrupted, cache, metric)
    assert found.shape == (2, 11)
    torch.testing.assert_close(found[0, PLACE], clean, rtol=1e-4, atol=1e-5)
    elsewhere = torch.arange(11) != PLACE
    torch.testing.assert_close(found[0, elsewhere], broken.expand(10), rtol=1e-4, atol=1e-5)
    # In layer 1 the places before the change have nothing to restore; those after it do.
    torch.testing.assert_close(found[1, :PLACE], broken.expand(PLACE), rtol=1e-4, atol=1e-5)
    assert (found[1, PLACE:] - broken).abs().max() > 1e-3


@pytest.mark.parametrize("plain", TYPICAL, indirect=True, ids=str)
def test_every_block_patch_is_the_patch_by_hand(
    plain: Transformer, tokens: Tensor, corrupted: Tensor
) -> None:
    hooked = as_hooked(plain)
    _, cache = hooked.run_with_cache(tokens)
    found = patching.get_act_patch_block_every(hooked, corrupted, cache, metric)
    assert found.shape == (3, 2, 11)
    for i, tap in enumerate(("hook_resid_pre", "hook_attn_out", "hook_mlp_out")):
        for layer, place in ((0, PLACE), (1, 9)):
            expected = patched(plain, f"blocks.{layer}.{tap}", (ALL, place), tokens, corrupted)
            torch.testing.assert_close(found[i, layer, place], expected, rtol=1e-4, atol=1e-5)
    assert found.std() > 1e-3


HEAD_TAPS = {
    "z": patching.get_act_patch_attn_head_out_all_pos,
    "q": patching.get_act_patch_attn_head_q_all_pos,
    "k": patching.get_act_patch_attn_head_k_all_pos,
    "v": patching.get_act_patch_attn_head_v_all_pos,
    "pattern": patching.get_act_patch_attn_head_pattern_all_pos,
}


@pytest.mark.parametrize("part", HEAD_TAPS)
def test_every_head_patch_is_the_patch_by_hand(
    part: str, plain: Transformer, tokens: Tensor, corrupted: Tensor
) -> None:
    hooked = as_hooked(plain)
    _, cache = hooked.run_with_cache(tokens)
    found = HEAD_TAPS[part](hooked, corrupted, cache, metric)
    n_heads = plain.config.n_kv_heads if part in "kv" else 4
    assert found.shape == (2, n_heads)
    broken = metric(plain(corrupted))
    for layer in range(2):
        for head in (0, n_heads - 1):
            where = (ALL, head) if part == "pattern" else (ALL, ALL, head)
            tap = f"blocks.{layer}.attn.hook_{part}"
            expected = patched(plain, tap, where, tokens, corrupted)
            torch.testing.assert_close(found[layer, head], expected, rtol=1e-4, atol=1e-5)
    assert (found - broken).abs().max() > 1e-4


@pytest.mark.parametrize("plain", [("softmax", 2), ("delta", 4)], indirect=True, ids=str)
def test_head_patches_by_place(plain: Transformer, tokens: Tensor, corrupted: Tensor) -> None:
    hooked = as_hooked(plain)
    _, cache = hooked.run_with_cache(tokens)
    found = patching.get_act_patch_attn_head_pattern_by_pos(hooked, corrupted, cache, metric)
    assert found.shape == (2, 4, 11)
    where = (ALL, 2, 6)
    expected = patched(plain, "blocks.0.attn.hook_pattern", where, tokens, corrupted)
    torch.testing.assert_close(found[0, 2, 6], expected, rtol=1e-4, atol=1e-5)
    found = patching.get_act_patch_attn_head_out_by_pos(hooked, corrupted, cache, metric)
    assert found.shape == (2, 11, 4)
    expected = patched(plain, "blocks.0.attn.hook_z", (ALL, 6, 2), tokens, corrupted)
    torch.testing.assert_close(found[0, 6, 2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("plain", TYPICAL, indirect=True, ids=str)
def test_patching_a_run_into_itself_does_nothing(
    plain: Transformer, tokens: Tensor, corrupted: Tensor
) -> None:
    hooked = as_hooked(plain)
    _, cache = hooked.run_with_cache(tokens)
    for every in (
        patching.get_act_patch_block_every,
        patching.get_act_patch_attn_head_all_pos_every,
    ):
        itself = every(hooked, tokens, cache, metric, baseline=True)
        real = itself.values != 0  # k and v of absent heads are padded with zeros
        assert itself.effect()[real].abs().max() <= 1e-5
        other = every(hooked, corrupted, cache, metric, baseline=True)
        assert other.effect()[other.values != 0].abs().max() > 1e-2


def edge_by_hand(
    model: Transformer, component: str, head: int, clean: Tensor, corrupted: Tensor
) -> Tensor:
    """Head (0, 1)'s write, clean minus corrupted, into what one head of layer 1 reads."""
    block = model.blocks[1]
    z = [seen(model, "blocks.0.attn.hook_z", t)[:, :, 1] for t in (clean, corrupted)]
    resid = seen(model, "blocks.1.hook_resid_pre", corrupted)
    fresh = block.attn.mixer.project(block.ln1(resid + (z[0] - z[1]) @ model.blocks[0].attn.W_O[1]))

    def put(out: Tensor) -> Tensor:
        out[:, :, head] = getattr(fresh, component).transpose(1, 2)[:, :, head]
        return out

    def put_extra(out: Tensor, name: str) -> Tensor:
        if head < out.shape[1]:  # some extras are shared by all heads
            out[:, head] = fresh.extra[name][:, head]
        return out

    sides = block.attn.mixer.traits.side
    with ExitStack() as hooks:
        for name in fresh.extra:
            if sides.get(name, "k") == component:
                tap = f"blocks.1.attn.hook_{name}"
                hooks.enter_context(edited(model, tap, lambda out, n=name: put_extra(out, n)))
        hooks.enter_context(edited(model, f"blocks.1.attn.hook_{component}", put))
        return metric(model(corrupted))


def direct(hooked: HookedTransformer, component: str, clean: Tensor, corrupted: Tensor) -> Tensor:
    """TransformerLens's direct path patching from head (0, 1)."""
    _, kept = hooked.run_with_cache(clean)
    _, broken = hooked.run_with_cache(corrupted)
    return patching.get_act_patch_direct_path(
        hooked, corrupted, kept, broken, metric, 0, 1, component=component, verbose=False
    )


@pytest.mark.parametrize("component", ["q", "k", "v"])
def test_direct_paths_are_the_edges_by_hand(
    component: str, plain: Transformer, tokens: Tensor, corrupted: Tensor
) -> None:
    hooked = as_hooked(plain)
    if component != "q" and plain.config.n_kv_heads < 4:
        with pytest.raises(ValueError, match=f"n_key_value_heads={plain.config.n_kv_heads}"):
            direct(hooked, component, tokens, corrupted)
        return
    found = direct(hooked, component, tokens, corrupted)
    assert found[0].abs().max() == 0  # no head of layer 0 comes later
    for head in range(4):
        expected = edge_by_hand(plain, component, head, tokens, corrupted)
        torch.testing.assert_close(found[1, head], expected, rtol=1e-4, atol=1e-5)
    assert (found[1] - metric(plain(corrupted))).abs().max() > 1e-5
    assert hooked.cfg.use_split_qkv_input is False


def test_attribution_patching_estimates_small_patches(plain: Transformer, tokens: Tensor) -> None:
    """Two tokens with almost the same embedding: the gradient's estimate is nearly the patch."""
    clean, changed = tokens[:1], tokens[:1].clone()
    changed[:, PLACE] = 20
    with torch.no_grad():
        nudge = 5e-4 * torch.randn(plain.config.d_model)
        plain.embed.W_E[20] = plain.embed.W_E[clean[0, PLACE]] + nudge
    found = attribution_patch(as_hooked(plain), clean, changed, metric).node_scores
    sites = {
        Node(kind="embed", position=PLACE): ("hook_embed", (ALL, PLACE)),
        Node(kind="attn_head_out", layer=0, head=1, position=6): (
            "blocks.0.attn.hook_z",
            (ALL, 6, 1),
        ),
        Node(kind="mlp_out", layer=1, position=10): ("blocks.1.hook_mlp_out", (ALL, 10)),
    }
    with torch.no_grad():
        before = metric(plain(changed))
        effects = {n: patched(plain, *site, clean, changed) - before for n, site in sites.items()}
    largest = max(abs(effect) for effect in effects.values())
    assert largest > 5e-5
    for node, effect in effects.items():
        assert abs(found[node] - effect) <= 0.05 * largest, node
