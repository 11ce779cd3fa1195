"""Edits do what they say: against models whose weights were changed by hand, and dense algebra."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from interp.adapters.own import Own
from interp.capture import Ablate, DropKey, MaskKey, Patch, capture
from interp.subject import Refused, by_token, pattern_name

TOKENS = torch.tensor([[72, 101, 108, 108, 111, 32, 72, 101, 108], [9, 8, 7, 6, 5, 4, 3, 2, 1]])
LAYER, HEAD, KEY = 1, 2, 3
SCORES, Z, V = (f"blocks.{LAYER}.attn.hook_{name}" for name in ("attn_scores", "z", "v"))
PATTERN = pattern_name(LAYER)


SQUARE = ("softmax", "sink_logit", "linear", "delta")  # one column a token, z = A·v as it is


@pytest.fixture(params=SQUARE)
def subject(request: pytest.FixtureRequest, own: Callable[..., Own]) -> Own:
    """A tiny subject whose z can be worked out from its pattern and values."""
    return own(request.param)


@pytest.mark.parametrize("name", ["longformer", "delta_product"])
def test_a_dropped_key_takes_all_its_columns(name: str, own: Callable[..., Own]) -> None:
    """Two columns a token: both go, for later queries, and no other does."""
    subject = own(name)
    found = clean(subject, PATTERN)[1][PATTERN]
    edited = capture(subject, TOKENS, [PATTERN], [DropKey(LAYER, HEAD, KEY)]).activations[PATTERN]
    mine = torch.arange(found.shape[-1]) // 2 == KEY
    assert found.shape[-1] == 2 * TOKENS.shape[1]
    assert not edited[:, HEAD, KEY + 1 :, mine].any() and found[:, HEAD, KEY + 1 :, mine].any()
    assert torch.equal(edited[:, HEAD, :, ~mine], found[:, HEAD, :, ~mine])
    assert torch.equal(edited[:, HEAD, : KEY + 1], found[:, HEAD, : KEY + 1])
    assert torch.equal(by_token(found), found.unflatten(-1, (-1, 2)).sum(-1))


def clean(subject: Own, *names: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and the named activations of an unedited run."""
    found = capture(subject, TOKENS, names)
    return found.logits, found.activations


def plain(subject: Own) -> Tensor:
    """Logits of the bare model, around every Subject and hook of ours."""
    with torch.inference_mode():
        return subject.model(TOKENS)


def value_of(found: dict[str, Tensor], head: int) -> Tensor:
    """The values that a query head reads: those of its group."""
    return found[V][:, :, head * found[V].shape[2] // 4]


def hooks_left(subject: Own) -> int:
    """Hooks hanging anywhere on the model."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return sum(len(getattr(m, kind)) for m in subject.model.modules() for kind in kinds)


def test_ablating_is_zeroing_that_heads_output_weights(subject: Own) -> None:
    for layer, head in ((0, 0), (0, 3), (1, 2)):
        model = copy.deepcopy(subject.model)
        model.blocks[layer].attn.W_O.data[head] = 0
        with torch.inference_mode():
            expected = model(TOKENS)
        found = capture(subject, TOKENS, edits=[Ablate(layer, head)]).logits
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert (found - plain(subject)).abs().max() > 1e-3


def test_ablating_one_row_leaves_the_others(subject: Own) -> None:
    both = capture(subject, TOKENS, edits=[Ablate(LAYER, HEAD)]).logits
    one = capture(subject, TOKENS, edits=[Ablate(LAYER, HEAD, row=1)]).logits
    torch.testing.assert_close(one[0], plain(subject)[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one[1], both[1], rtol=1e-5, atol=1e-6)
    assert (one[1] - plain(subject)[1]).abs().max() > 1e-3


def test_a_masked_key_leaves_a_softmax_over_the_rest(subject: Own) -> None:
    if not subject.card.logits:
        with pytest.raises(Refused, match=f"Layer {LAYER} of tiny-.* has no softmax logits"):
            capture(subject, TOKENS, edits=[MaskKey(LAYER, HEAD, KEY)])
        assert hooks_left(subject) == 0
        return
    _, before = clean(subject, SCORES, PATTERN)
    found = capture(subject, TOKENS, [PATTERN, Z, V], [MaskKey(LAYER, HEAD, KEY)])
    after = found.activations[PATTERN]
    weights = before[SCORES][:, HEAD].double().exp()
    expected = before[PATTERN].double().clone()
    given = expected[:, HEAD].sum(-1, keepdim=True)
    # What rows lack is the sink's weight; its logit stays in the sum.
    slot = weights.sum(-1, keepdim=True) * (1 - given) / given
    assert (slot.abs().max() > 0.1) == subject.card.sink_slot
    for i in range(KEY + 1, TOKENS.shape[1]):
        rest = weights[:, i].clone()
        rest[:, KEY] = 0
        expected[:, HEAD, i] = rest / (rest.sum(-1, keepdim=True) + slot[:, i])
    torch.testing.assert_close(after.double(), expected, rtol=1e-4, atol=1e-6)
    assert (after[:, HEAD, KEY, KEY] > 0).all()  # the key still sees itself
    assert (after[:, HEAD, KEY + 1 :, KEY] == 0).all()
    z = after[:, HEAD] @ value_of(found.activations, HEAD)
    torch.testing.assert_close(found.activations[Z][:, :, HEAD], z, rtol=1e-4, atol=1e-5)


def test_a_dropped_key_takes_out_its_term_and_no_more(subject: Own) -> None:
    """Linear: z loses A_ij v_j in the rows after the key, the other weights stay."""
    logits, before = clean(subject, PATTERN, Z, V)
    found = capture(subject, TOKENS, [PATTERN, Z], [DropKey(LAYER, HEAD, KEY)])
    a, v = before[PATTERN][:, HEAD], value_of(before, HEAD)
    expected = before[Z].clone()
    expected[:, KEY + 1 :, HEAD] -= a[:, KEY + 1 :, KEY, None] * v[:, KEY, None]
    torch.testing.assert_close(found.activations[Z], expected, rtol=1e-4, atol=1e-5)
    kept = before[PATTERN].clone()
    kept[:, HEAD, KEY + 1 :, KEY] = 0
    torch.testing.assert_close(found.activations[PATTERN], kept, rtol=1e-5, atol=1e-6)
    assert (found.logits - logits).abs().max() > 1e-4
    same = found.logits[:, : KEY + 1]
    torch.testing.assert_close(same, logits[:, : KEY + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", [-1, 9, 100])
def test_keys_the_prompt_does_not_have_are_refused(subject: Own, key: int) -> None:
    edits = [DropKey(LAYER, HEAD, key)]
    edits += [MaskKey(LAYER, HEAD, key)] if subject.card.logits else []
    for edit in edits:
        with pytest.raises(Refused, match=f"tokens 0 to 8; there is no token {key}"):
            capture(subject, TOKENS, edits=[edit])
        assert hooks_left(subject) == 0


@pytest.mark.parametrize(
    "make", [Ablate, lambda l, h: MaskKey(l, h, 0), lambda l, h: DropKey(l, h, 0)]
)
@pytest.mark.parametrize(("layer", "head"), [(2, 0), (-1, 0), (0, 4), (0, -1)])
def test_heads_there_are_not_are_refused(
    own: Callable[..., Own], make: Callable, layer: int, head: int
) -> None:
    with pytest.raises(Refused, match=rf"layers 0 to 1 and heads 0 to 3; .* no L{layer}H{head}"):
        capture(own(), TOKENS, edits=[make(layer, head)])


@pytest.mark.parametrize("name", [PATTERN, Z, V, "blocks.0.hook_resid_post"])
def test_patching_a_clean_value_into_a_clean_run_changes_nothing(subject: Own, name: str) -> None:
    logits, found = clean(subject, name)
    patched = capture(subject, TOKENS, edits=[Patch(name, found[name])]).logits
    assert torch.equal(patched, capture(subject, TOKENS, [name]).logits)
    torch.testing.assert_close(patched, logits, rtol=1e-5, atol=1e-6)


def test_patching_a_residual_carries_the_other_run_over(subject: Own) -> None:
    name = "blocks.1.hook_resid_post"
    _, found = clean(subject, name)
    swapped = found[name].flip(0)
    patched = capture(subject, TOKENS, [name], [Patch(name, swapped)])
    assert torch.equal(patched.activations[name], swapped)
    torch.testing.assert_close(patched.logits, plain(subject).flip(0), rtol=1e-5, atol=1e-6)


def test_a_patch_of_another_shape_is_refused_with_both(own: Callable[..., Own]) -> None:
    subject = own()
    short = capture(subject, TOKENS[:, :5], [Z]).activations[Z]
    with pytest.raises(Refused, match=r"\(2, 9, 4, 6\) here and \(2, 5, 4, 6\) in the patch"):
        capture(subject, TOKENS, edits=[Patch(Z, short)])
    assert hooks_left(subject) == 0


def test_edits_at_one_hook_apply_in_order_and_are_what_is_kept(subject: Own) -> None:
    edits = [DropKey(LAYER, HEAD, 1), DropKey(LAYER, HEAD, 2), DropKey(LAYER, 0, 0)]
    a = capture(subject, TOKENS, [PATTERN], edits).activations[PATTERN]
    assert (a[:, HEAD, 2:, 1] == 0).all() and (a[:, HEAD, 3:, 2] == 0).all()
    assert (a[:, 0, 1:, 0] == 0).all() and (a[:, 1, 1:, 0] != 0).any()
    _, before = clean(subject, PATTERN)
    undone = [*edits, Patch(PATTERN, before[PATTERN])]
    logits = capture(subject, TOKENS, [PATTERN], undone).logits
    torch.testing.assert_close(logits, plain(subject), rtol=1e-5, atol=1e-6)


def test_only_what_is_asked_for_is_kept(subject: Own) -> None:
    names = [PATTERN, "hook_embed", "blocks.0.attn.hook_q"]
    found = capture(subject, TOKENS, names, [Ablate(0, 0), DropKey(1, 1, 0)])
    assert sorted(found.activations) == sorted(names)
    assert all(x.device.type == "cpu" for x in found.activations.values())
    assert capture(subject, TOKENS).activations == {}


def test_captured_patterns_are_the_ones_applied(subject: Own) -> None:
    _, found = clean(subject, PATTERN, Z, V)
    for head in range(4):
        z = found[PATTERN][:, head] @ value_of(found, head)
        torch.testing.assert_close(found[Z][:, :, head], z, rtol=1e-4, atol=1e-5)


def test_unknown_hooks_are_named(own: Callable[..., Own]) -> None:
    subject = own()
    with pytest.raises(KeyError, match="tiny-softmax has no hook 'blocks.7.attn.hook_z'"):
        capture(subject, TOKENS, [Z, "blocks.7.attn.hook_z"])
    assert hooks_left(subject) == 0


def test_no_hook_outlives_an_exception(subject: Own) -> None:
    before = plain(subject)

    def fail(value: Tensor) -> None:
        raise RuntimeError("in the middle of a run")

    for attempt in range(50):
        layer = attempt % 2
        watch = {pattern_name(0): lambda a: a * 2, f"blocks.{layer}.attn.hook_z": fail}
        with pytest.raises(RuntimeError, match="in the middle"):
            subject.forward(TOKENS, watch)
        assert hooks_left(subject) == 0
        assert torch.equal(plain(subject), before)


def test_edits_do_not_reach_the_next_run(subject: Own) -> None:
    before = capture(subject, TOKENS).logits
    for edit in (Ablate(0, 1), DropKey(0, 1, 0), Ablate(1, 3)):
        assert not torch.equal(capture(subject, TOKENS, edits=[edit]).logits, before)
        assert torch.equal(capture(subject, TOKENS).logits, before)
    assert hooks_left(subject) == 0
