"""as_hooked(): caches, decompositions, head detection and text, by TransformerLens's own tools."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.head_detector import detect_head
from transformer_lens.hook_points import HookPoint
from transformer_lens.tools.analysis import direct_logit_attribution, logit_lens
from transformers import PreTrainedTokenizerFast

from models.hooked import HookedTransformer, as_hooked
from models.transformer import Tap, Transformer
from tests.conftest import WIRED, suited

Build = Callable[..., Transformer]
FORMS = [(name, *suited(name).values()) for name in WIRED] + [
    ("softmax", 4, "rotary"),
    ("softmax", 1, "learned"),
    ("delta", 4, "none"),
]


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerFast:
    """A tokenizer of 29 words, w0 to w28, that adds no special tokens."""
    inner = Tokenizer(WordLevel({f"w{i}": i for i in range(29)}, unk_token="w0"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner)


@pytest.fixture(params=FORMS, ids=lambda form: "-".join(map(str, form)))
def plain(request: pytest.FixtureRequest, build: Build) -> Transformer:
    """Every variant with grouped heads, then MHA and MQA and the other position schemes."""
    name, n_kv_heads, positions = request.param
    return build(variant=name, n_kv_heads=n_kv_heads, positions=positions)


def seen_by_plain_hooks(model: Transformer, tokens: Tensor) -> dict[str, Tensor]:
    """Every tap's tensor, caught with PyTorch's own hooks."""
    seen: dict[str, Tensor] = {}
    taps = [(n, m) for n, m in model.named_modules() if isinstance(m, Tap)]
    hooks = [
        tap.register_forward_hook(lambda t, a, out, name=name: seen.__setitem__(name, out))
        for name, tap in taps
    ]
    model(tokens)
    [hook.remove() for hook in hooks]
    return seen


def test_the_cache_holds_what_the_taps_showed(plain: Transformer, tokens: Tensor) -> None:
    expected = seen_by_plain_hooks(plain, tokens)
    logits, cache = as_hooked(plain).run_with_cache(tokens)
    assert isinstance(cache, ActivationCache)
    assert set(cache.keys()) == set(expected) and len(expected) > 50
    for name, tensor in expected.items():
        assert torch.equal(cache[name], tensor), name
    torch.testing.assert_close(logits, plain(tokens), rtol=1e-5, atol=1e-5)


def test_short_names_filters_and_slices(plain: Transformer, tokens: Tensor) -> None:
    hooked = as_hooked(plain)
    _, full = hooked.run_with_cache(tokens)
    assert full["pattern", 1].shape == (2, 4, 11, 11)
    assert full["z", 0].shape == (2, 11, 4, 6)
    _, some = hooked.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_z"))
    assert set(some.keys()) == {"blocks.0.attn.hook_z", "blocks.1.attn.hook_z"}
    _, last = hooked.run_with_cache(tokens, pos_slice=-1, names_filter="blocks.1.hook_resid_post")
    torch.testing.assert_close(last["resid_post", 1], full["resid_post", 1][:, -1:])
    resid, early = hooked.run_with_cache(tokens, stop_at_layer=1)
    torch.testing.assert_close(resid, full["resid_pre", 1])
    assert not any(name.startswith("blocks.1") for name in early.keys())


@pytest.mark.parametrize("as_object", [True, False])
def test_the_batch_dimension_goes_when_asked(
    as_object: bool, tiny: Transformer, tokens: Tensor
) -> None:
    hooked, one = as_hooked(tiny), tokens[:1]
    _, cache = hooked.run_with_cache(one, remove_batch_dim=True, return_cache_object=as_object)
    assert isinstance(cache, ActivationCache if as_object else dict)
    _, kept = hooked.run_with_cache(one)
    assert torch.equal(cache["blocks.1.attn.hook_pattern"], kept["pattern", 1][0])


def test_a_hook_edits_as_on_the_plain_model(plain: Transformer, tokens: Tensor) -> None:
    def damp(z: Tensor, hook: HookPoint | None = None) -> Tensor:
        return torch.cat([z[:, :, :1] * 0.1, z[:, :, 1:]], 2)

    edited = as_hooked(plain).run_with_hooks(tokens, fwd_hooks=[("blocks.0.attn.hook_z", damp)])
    clean = plain(tokens)
    handle = plain.blocks[0].attn.hook_z.register_forward_hook(lambda t, a, out: damp(out))
    expected = plain(tokens)
    handle.remove()
    assert (expected - clean).abs().max() > 1e-3
    torch.testing.assert_close(edited, expected)


def test_parts_of_the_residual_stream_add_up(plain: Transformer, tokens: Tensor) -> None:
    _, cache = as_hooked(plain).run_with_cache(tokens)
    final = cache["resid_post", 1]
    parts, labels = cache.decompose_resid(return_labels=True)
    start = ["embed", "pos_embed"] if plain.config.positions == "learned" else ["embed"]
    assert labels == [*start, "0_attn_out", "0_mlp_out", "1_attn_out", "1_mlp_out"]
    torch.testing.assert_close(parts.sum(0), final, rtol=1e-5, atol=1e-5)
    assert torch.equal(parts[0], plain.embed.W_E[tokens])
    stages = cache.accumulated_resid(incl_mid=True)
    assert torch.equal(stages[-1], final) and torch.equal(stages[1], cache["resid_mid", 0])
    heads = cache.stack_head_results(layer=1)
    by_hand = torch.einsum("bthd,hde->hbte", cache["z", 0], plain.blocks[0].attn.W_O)
    torch.testing.assert_close(heads, by_hand, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(heads.sum(0), cache["attn_out", 0], rtol=1e-5, atol=1e-5)
    rest = cache.stack_head_results(layer=2, incl_remainder=True)
    torch.testing.assert_close(rest.sum(0), final, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("expand", [True, False], ids=["neurons", "mlps"])
def test_attributions_add_up_to_the_logits(
    expand: bool, plain: Transformer, tokens: Tensor
) -> None:
    logits, cache = as_hooked(plain).run_with_cache(tokens)
    parts, labels = cache.get_full_resid_decomposition(expand_neurons=expand, return_labels=True)
    n_mlp = 2 * plain.config.d_mlp if expand else 2
    learned = plain.config.positions == "learned"
    assert len(labels) == len(parts) == 8 + n_mlp + 1 + learned + 1  # heads, mlps, embed, bias
    for stack in (parts, cache.decompose_resid()):
        attributed = cache.logit_attrs(stack, tokens=7, has_batch_dim=True).sum(0)
        torch.testing.assert_close(attributed, logits[..., 7], rtol=1e-5, atol=1e-5)
        difference = cache.logit_attrs(stack, tokens=7, incorrect_tokens=3).sum(0)
        expected = logits[..., 7] - logits[..., 3]
        torch.testing.assert_close(difference, expected, rtol=1e-5, atol=1e-5)


def test_one_heads_attribution_is_its_write_along_the_unembedding(
    plain: Transformer, tokens: Tensor
) -> None:
    _, cache = as_hooked(plain).run_with_cache(tokens)
    found = cache.logit_attrs(cache.stack_head_results(), tokens=7)[5]  # layer 1, head 1
    write = cache["z", 1][:, :, 1] @ plain.blocks[1].attn.W_O[1]
    final = cache["resid_post", 1]
    scale = (final.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    expected = (write / scale * plain.ln_final.w) @ plain.embed.W_E[7]
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_logit_lens_ends_at_the_logits(plain: Transformer, tokens: Tensor) -> None:
    hooked = as_hooked(plain)
    logits, cache = hooked.run_with_cache(tokens)
    for result in (logit_lens(hooked, tokens, positions=None), cache.logit_lens(positions=None)):
        assert result.labels == ["0_pre", "1_pre", "final_post"]
        torch.testing.assert_close(result.values[-1], logits, rtol=1e-5, atol=1e-5)
        first = plain.ln_final(cache["resid_pre", 0]) @ plain.embed.W_E.T
        torch.testing.assert_close(result.values[0], first, rtol=1e-5, atol=1e-5)


def test_direct_logit_attribution_tool_agrees(plain: Transformer, tokens: Tensor) -> None:
    hooked = as_hooked(plain)
    logits = hooked(tokens)
    found = direct_logit_attribution(hooked, tokens, torch.tensor([7, 3]))
    expected = torch.stack([logits[0, -1, 7], logits[1, -1, 3]])
    torch.testing.assert_close(found.attribution.sum(0), expected, rtol=1e-5, atol=1e-5)


def golden_cache(hooked: HookedTransformer) -> ActivationCache:
    """Seven tokens 0 5 6 7 5 6 7: a previous-token, an induction, a duplicate and an even head."""
    a = torch.zeros(4, 7, 7)
    a[0, torch.arange(7), [0, 0, 1, 2, 3, 4, 5]] = 1
    a[1, torch.arange(7), [0, 0, 0, 0, 2, 3, 4]] = 1
    a[2, torch.arange(7), [0, 0, 0, 0, 1, 2, 3]] = 1
    a[3] = torch.ones(7, 7).tril() / torch.arange(1, 8)[:, None]
    cache = {"blocks.0.attn.hook_pattern": a, "blocks.1.attn.hook_pattern": a.flip(0)}
    return ActivationCache(cache, hooked, has_batch_dim=False)


@pytest.mark.parametrize(
    ("pattern", "found", "without_bos"),
    [
        # Of seven rows: the rows that match, over 7; with column 0 dropped, over what is left.
        ("previous_token_head", [6 / 7, 1 / 7, 1 / 7, 0.2276], [1, 0, 0, 0.2480]),
        ("induction_head", [0, 3 / 7, 0, 0.0728], [0, 1, 0, 0.1156]),
        ("duplicate_token_head", [0, 0, 3 / 7, 0.0728], [0, 0, 1, 0.1156]),
    ],
)
def test_head_detector_scores_hand_made_heads(
    pattern: str, found: list[float], without_bos: list[float], tiny: Transformer, words: object
) -> None:
    hooked = as_hooked(tiny, words)
    text = "w0 w5 w6 w7 w5 w6 w7"
    for kept, expected in ((False, found), (True, without_bos)):
        scores = detect_head(hooked, text, pattern, cache=golden_cache(hooked), exclude_bos=kept)
        rows = torch.tensor([expected, expected[::-1]], dtype=torch.float32)
        torch.testing.assert_close(scores, rows, rtol=0, atol=6e-5)


def test_head_detector_runs_the_model(plain: Transformer, words: object, tokens: Tensor) -> None:
    hooked = as_hooked(plain, words)
    text = " ".join(f"w{i}" for i in tokens[0].tolist())
    scores = detect_head(hooked, text, "previous_token_head")
    seen = seen_by_plain_hooks(plain, tokens[:1])
    a = torch.stack([seen[f"blocks.{layer}.attn.hook_pattern"][0] for layer in (0, 1)])
    expected = a.diagonal(-1, -2, -1).sum(-1) / a.sum((-2, -1))
    assert expected.std() > 1e-3
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_losses_are_mean_nats_per_next_token(tiny: Transformer, tokens: Tensor) -> None:
    hooked = as_hooked(tiny)
    logits, loss = hooked(tokens, return_type="both")
    each = [
        -torch.log_softmax(logits[b, t], -1)[tokens[b, t + 1]] for b in range(2) for t in range(10)
    ]
    torch.testing.assert_close(loss, torch.stack(each).mean())
    torch.testing.assert_close(hooked(tokens, return_type="loss"), loss)
    assert hooked(tokens, return_type=None) is None


def test_text_goes_in_and_out(tiny: Transformer, words: object) -> None:
    hooked = as_hooked(tiny, words)
    assert hooked.to_tokens("w3 w14 w28").tolist() == [[3, 14, 28]]
    assert hooked.to_tokens(["w1 w2", "w3 w4"]).tolist() == [[1, 2], [3, 4]]
    assert hooked.to_single_token("w28") == 28
    assert hooked.to_string(torch.tensor([3, 28])) == "w3 w28"
    torch.testing.assert_close(hooked("w3 w14 w28"), tiny(torch.tensor([[3, 14, 28]])))
    with pytest.raises(ValueError, match="'w1 w2' is 2 tokens"):
        hooked.to_single_token("w1 w2")


def test_text_without_a_tokenizer_is_refused(tiny: Transformer) -> None:
    for ask in (lambda h: h.to_tokens("w1"), lambda h: h("w1"), lambda h: h.to_string([1])):
        with pytest.raises(ValueError, match=r"without a tokenizer; use as_hooked\(model, tok"):
            ask(as_hooked(tiny))


def test_weights_are_shared_and_the_plain_model_stays_plain(
    tiny: Transformer, tokens: Tensor
) -> None:
    hooked = as_hooked(tiny)
    mine = {id(p) for p in tiny.parameters()}
    assert {id(p) for p in hooked.parameters()} == mine
    assert not any(isinstance(m, HookPoint) for m in tiny.modules())
    assert not any(isinstance(m, Tap) for m in hooked.modules())
    before = tiny(tokens)
    loss = hooked(tokens, return_type="loss")
    loss.backward()
    torch.optim.SGD(tiny.parameters(), lr=0.05).step()
    after = hooked(tokens, return_type="loss")
    assert after < loss
    assert (tiny(tokens) - before).abs().max() > 1e-3
    logits = tiny(tokens)
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(after, expected)


def test_a_failing_hook_leaves_nothing_behind(tiny: Transformer, tokens: Tensor) -> None:
    hooked = as_hooked(tiny)
    before = hooked(tokens)

    def double(z: Tensor, hook: HookPoint) -> Tensor:
        return 2 * z

    def fail(z: Tensor, hook: HookPoint) -> Tensor:
        raise RuntimeError(f"refused at {hook.name}")

    with pytest.raises(RuntimeError, match="refused at blocks.1.attn.hook_z"):
        edits = [("blocks.0.attn.hook_z", double), ("blocks.1.attn.hook_z", fail)]
        hooked.run_with_hooks(tokens, fwd_hooks=edits)
    assert not any(m._forward_hooks or m._backward_hooks for m in hooked.modules())
    assert torch.equal(hooked(tokens), before)
