"""Taps: their names, how often each fires, watching changes nothing, editing is causal."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.attention.contract import HeadConfig
from models.registry import variant
from models.transformer import Tap, Transformer
from tests.conftest import WIRED, one_per_traits

Build = Callable[..., Transformer]
Edit = Callable[[Tensor], Tensor]

BLOCK = """
    hook_resid_pre hook_resid_mid hook_resid_post hook_attn_out hook_mlp_in hook_mlp_out
    ln1.hook_scale ln1.hook_normalized ln2.hook_scale ln2.hook_normalized
    attn.hook_q_input attn.hook_k_input attn.hook_v_input
    attn.hook_q attn.hook_k attn.hook_v attn.hook_rot_q attn.hook_rot_k
    attn.hook_attn_scores attn.hook_pattern attn.hook_z attn.hook_result
    mlp.hook_pre mlp.hook_pre_linear mlp.hook_post
""".split()
FORKS = ("hook_q_input", "hook_k_input", "hook_v_input")


def expected_names(variant_name: str, positions: str = "rotary", n_layers: int = 2) -> set[str]:
    """Every documented tap, written out; what only a variant has is named after its extras."""
    names = {"hook_embed", "ln_final.hook_scale", "ln_final.hook_normalized"}
    if positions == "learned":
        names.add("hook_pos_embed")
    mixer = variant(variant_name).mixer(HeadConfig(d_model=8, n_heads=4, n_kv_heads=4))
    inner = BLOCK + [f"attn.hook_{name}" for name in mixer.project(torch.zeros(1, 1, 8)).extra]
    return names | {f"blocks.{layer}.{name}" for layer in range(n_layers) for name in inner}


def watch(model: Transformer, wanted: Callable[[str], bool]) -> tuple[Counter[str], list]:
    """Count firings of the taps whose name is wanted; also returns the handles."""
    fired: Counter[str] = Counter()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, Tap) and wanted(name):
            note = lambda tap, args, out, name=name: fired.update([name])  # noqa: E731
            handles.append(module.register_forward_hook(note))
    return fired, handles


@pytest.mark.parametrize("positions", ["learned", "none"])
def test_the_taps_are_the_documented_ones(
    variant_name: str, positions: str, build: Build, tokens: Tensor
) -> None:
    """All but the forks: each fires once a forward."""
    model = build(variant=variant_name, positions=positions)
    fired, _ = watch(model, lambda name: not name.endswith(FORKS))
    model(tokens)
    names = expected_names(variant_name, positions)
    assert fired == {name: 1 for name in names if not name.endswith(FORKS)}


def test_with_the_forks_watched_too_everything_fires(tiny: Transformer, tokens: Tensor) -> None:
    """Each fork's copies pass the first norm head by head: its taps fire H + 2G times."""
    fired, _ = watch(tiny, lambda name: True)
    tiny(tokens)
    names = expected_names(tiny.config.variant, tiny.config.positions)
    many = tiny.config.n_heads + 2 * tiny.blocks[0].attn.n_groups
    assert fired == {name: many if ".ln1." in name else 1 for name in names}


def shapes(layer: int) -> dict[str, tuple[int, ...]]:
    """TransformerLens's layouts for B=2, T=11, H=4, G=2, D=6, E=24."""
    attn = {
        **dict.fromkeys(("hook_q", "hook_rot_q", "hook_z"), (2, 11, 4, 6)),
        **dict.fromkeys(("hook_k", "hook_v", "hook_rot_k"), (2, 11, 2, 6)),
        **dict.fromkeys(("hook_attn_scores", "hook_pattern"), (2, 4, 11, 11)),
        **dict.fromkeys(("hook_result", "hook_q_input"), (2, 11, 4, 24)),
        **dict.fromkeys(("hook_k_input", "hook_v_input"), (2, 11, 2, 24)),
    }
    rest = {
        **dict.fromkeys(("ln1.hook_scale", "ln2.hook_scale"), (2, 11, 1)),
        **dict.fromkeys(("mlp.hook_pre", "mlp.hook_pre_linear", "mlp.hook_post"), (2, 11, 40)),
        **dict.fromkeys((n for n in BLOCK if n.startswith("hook_")), (2, 11, 24)),
        **dict.fromkeys(("ln1.hook_normalized", "ln2.hook_normalized"), (2, 11, 24)),
    }
    named = {**{f"attn.{name}": shape for name, shape in attn.items()}, **rest}
    return {f"blocks.{layer}.{name}": shape for name, shape in named.items()}


@pytest.mark.parametrize("name", ["softmax", "sink_logit", "linear", "delta"])
def test_every_tap_shows_its_documented_shape(name: str, build: Build, tokens: Tensor) -> None:
    model = build(variant=name)
    seen: dict[str, tuple[int, ...]] = {}
    for tap, module in model.named_modules():
        if isinstance(module, Tap):
            module.register_forward_hook(
                lambda tap, args, out, tap_name=tap: seen.__setitem__(tap_name, tuple(out.shape))
            )
    model(tokens)
    for tap, shape in shapes(1).items():
        assert seen[tap] == shape, tap
    if name == "delta":
        assert seen["blocks.1.attn.hook_beta"] == (2, 2, 11)


@pytest.mark.parametrize("name", one_per_traits())
def test_watching_one_tap_changes_nothing(name: str, build: Build, tokens: Tensor) -> None:
    """Bit for bit, but where watching takes another road to the same sum."""
    model = build(variant=name)
    plain = model(tokens)
    for tap in expected_names(name):
        fired, handles = watch(model, lambda found, tap=tap: found == tap)
        out = model(tokens)
        [handle.remove() for handle in handles]
        assert fired[tap] == 1, tap
        if tap.endswith(("hook_pattern", "hook_attn_scores", "hook_result", *FORKS)):
            torch.testing.assert_close(out, plain, rtol=0, atol=1e-5 * plain.abs().max().item())
        else:
            assert torch.equal(out, plain), tap
    assert torch.equal(model(tokens), plain)


def counting(name: str, calls: Counter[str]) -> type[nn.Module]:
    """The variant's mixer, counting which roads are taken."""
    base = variant(name).mixer

    class Counting(base):  # type: ignore[valid-type,misc]
        def scores(self, p):
            calls["scores"] += not calls["inside"]  # a mix by blocks of rows asks for scores too
            return super().scores(p)

        def mix(self, p):
            calls["mix"] += 1
            calls["inside"] += 1
            try:
                return super().mix(p)
            finally:
                calls["inside"] -= 1

    return Counting


def test_the_matrix_is_built_only_while_watched(tiny: Transformer, tokens: Tensor) -> None:
    calls: Counter[str] = Counter()
    for block in tiny.blocks:
        block.attn.mixer.__class__ = counting(tiny.config.variant, calls)
    plain = tiny(tokens)
    assert +calls == {"mix": 2}
    for tap in ("hook_pattern", "hook_attn_scores"):
        calls.clear()
        handle = getattr(tiny.blocks[1].attn, tap).register_forward_hook(lambda *_: None)
        out = tiny(tokens)
        handle.remove()
        assert +calls == {"mix": 1, "scores": 1}, "only the watched layer leaves the fast road"
        torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    calls.clear()
    tiny.blocks[0].attn.hook_z.register_forward_hook(lambda *_: None)
    tiny(tokens)
    assert +calls == {"mix": 2}


def run_edited(model: Transformer, tap: str, tokens: Tensor, edit: Edit) -> Tensor:
    """Logits while an edit hangs on one tap."""
    handle = model.get_submodule(tap).register_forward_hook(lambda t, args, out: edit(out.clone()))
    try:
        return model(tokens)
    finally:
        handle.remove()


def at_row(x: Tensor) -> Tensor:
    """Zero head 1 at position 5 of [B, T, H, D]."""
    x[:, 5, 1] = 0
    return x


def at_query(x: Tensor) -> Tensor:
    """Scale what query 5 of head 1 reads in [B, H, T, S], unevenly and not beyond itself."""
    x[:, 1, 5, :3] = 2 * x[:, 1, 5, :3] + 0.5
    return x


@pytest.mark.parametrize(
    ("tap", "edit"),
    [
        ("attn.hook_pattern", at_query),
        ("attn.hook_attn_scores", at_query),
        ("attn.hook_z", at_row),
        ("attn.hook_q", at_row),
        ("attn.hook_k", at_row),
        ("attn.hook_v", at_row),
        ("attn.hook_rot_q", at_row),
        ("attn.hook_rot_k", at_row),
        ("attn.hook_result", at_row),
        ("attn.hook_q_input", at_row),
        ("attn.hook_k_input", at_row),
        ("attn.hook_v_input", at_row),
    ],
)
@pytest.mark.parametrize("name", WIRED)
def test_editing_moves_this_position_and_no_earlier_one(
    name: str, tap: str, edit: Edit, build: Build, tokens: Tensor
) -> None:
    model = build(variant=name)
    plain = model(tokens)
    moved = (run_edited(model, f"blocks.0.{tap}", tokens, edit) - plain).abs().amax(-1)
    assert moved[:, :5].max() <= 1e-5
    assert moved[:, 5].min() > 1e-4
    assert moved[:, 6:].amax(-1).min() > 1e-4, "the next layer carries it on"


def test_editing_beta_stops_a_write(build: Build, tokens: Tensor) -> None:
    """With β = 0 at position 5 nothing is written there: it reads as if its value were absent."""
    model = build(variant="delta", n_layers=1)

    def no_write(beta: Tensor) -> Tensor:
        beta[:, :, 5] = 0
        return beta

    seen: list[Tensor] = []
    model.blocks[0].attn.hook_pattern.register_forward_hook(lambda t, a, out: seen.append(out))
    run_edited(model, "blocks.0.attn.hook_beta", tokens, no_write)
    assert seen[0][..., 5].abs().max() == 0
    assert seen[0][..., 6:, 4].abs().min() > 0


def test_zeroing_the_pattern_leaves_what_readout_makes_of_nothing(
    tiny: Transformer, tokens: Tensor
) -> None:
    """In the last layer, so that nothing else moves. Nothing, but for sinks with a value."""
    mixer = tiny.blocks[1].attn.mixer
    seen: list[Tensor] = []
    real = mixer.readout
    mixer.readout = lambda o, p: seen.append(real(o, p)) or seen[-1]
    by_pattern = run_edited(tiny, "blocks.1.attn.hook_pattern", tokens, torch.zeros_like)
    del mixer.readout
    by_z = run_edited(
        tiny, "blocks.1.attn.hook_z", tokens, lambda z: seen[0].transpose(1, 2).clone()
    )
    torch.testing.assert_close(by_pattern, by_z)
    if not hasattr(mixer, "sink_value") and not seen[0].any():
        by_out = run_edited(tiny, "blocks.1.hook_attn_out", tokens, torch.zeros_like)
        torch.testing.assert_close(by_z, by_out)
    assert (by_z - tiny(tokens)).abs().max() > 1e-2


def test_the_norms_taps_come_before_the_gain(tiny: Transformer, tokens: Tensor) -> None:
    seen: dict[str, Tensor] = {}
    for name in ("hook_scale", "hook_normalized"):
        tap = tiny.get_submodule(f"ln_final.{name}")
        tap.register_forward_hook(lambda t, a, out, name=name: seen.__setitem__(name, out))
    resid = tiny(tokens, stop_at_layer=2)
    tiny(tokens)
    torch.testing.assert_close(seen["hook_scale"] * seen["hook_normalized"], resid)
    torch.testing.assert_close(seen["hook_scale"][..., 0], (resid.square().mean(-1) + 1e-5).sqrt())


@pytest.mark.parametrize("tap", ["hook_pattern", "hook_attn_scores", "hook_result", *FORKS])
def test_gradients_are_the_same_by_the_watched_road(
    tap: str, tiny: Transformer, tokens: Tensor
) -> None:
    def gradients() -> list[Tensor]:
        weight = torch.linspace(-1, 1, 29)
        return list(torch.autograd.grad((tiny(tokens) * weight).sum(), list(tiny.parameters())))

    plain = gradients()
    for block in tiny.blocks:
        getattr(block.attn, tap).register_forward_hook(lambda *_: None)
    top = max(g.abs().max() for g in plain)
    for found, expected in zip(gradients(), plain, strict=True):
        assert expected.abs().max() > 0
        assert (found - expected).abs().max() <= 1e-5 * top
