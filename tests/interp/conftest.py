"""Hand-made patterns, readings made of them by the real reducers, tiny models ours and others'."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import GPT2Config, LlamaConfig, PreTrainedTokenizerFast

from interp.adapters.own import Own, untrained
from interp.catalog import load
from interp.measurements.prompt import PromptControls, PromptReading, PromptRequest, thumbnails
from interp.measurements.repeats import (
    RepeatsControls,
    RepeatsReading,
    RepeatsRequest,
    StripePair,
    Stripes,
)
from interp.measurements.repeats import stripes as stripe_means
from interp.measurements.rows import Rows, rows_of, rows_wanted
from interp.stats.head_stats import HeadStats
from interp.stats.naive import of_matrix
from interp.stats.wanted import Wanted
from interp.subject import Card, Kept, Subject
from models.transformer import TransformerConfig
from tests.conftest import one_per_matrix, suited

WORDS = "the cat sat on the mat, and the dog saw the cat sit there; "  # the tokenizer learns these
LLAMA = LlamaConfig(
    vocab_size=330, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
    num_attention_heads=8, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0,
    eos_token_id=1, pad_token_id=1, initializer_range=0.3,
)  # fmt: skip
GPT2 = GPT2Config(
    vocab_size=330, n_embd=32, n_layer=2, n_head=4, n_positions=48, bos_token_id=0, eos_token_id=1,
    initializer_range=0.3,
)  # fmt: skip
CONFIGS = {"llama": LLAMA, "gpt2": GPT2}
SPECIAL = ["<|start|>", "<|end|>"]


def uniform(t: int) -> Tensor:
    """Every row reads its visible keys evenly."""
    return torch.ones(t, t).tril() / torch.arange(1, t + 1)[:, None]


def identity(t: int) -> Tensor:
    """Every row reads itself."""
    return torch.eye(t)


def first(t: int) -> Tensor:
    """Every row reads token 0."""
    return torch.eye(t)[torch.zeros(t, dtype=torch.long)]


def back(t: int, distance: int) -> Tensor:
    """Every row reads the key so many places back; rows that have none read token 0."""
    return torch.eye(t)[(torch.arange(t) - distance).clamp_min(0)]


def copy_head(t: int, n: int, distance: int) -> Tensor:
    """Rows of the second copy read `distance` back, all others rest on token 0."""
    rows = torch.arange(t)
    return torch.eye(t)[torch.where(rows >= n, rows - distance, torch.zeros_like(rows))]


def random_pattern(t: int, seed: int, signed: bool = False) -> Tensor:
    """A causal pattern with no structure; rows sum to 1 unless it is signed."""
    rng = torch.Generator().manual_seed(seed)
    if signed:
        return torch.randn(t, t, generator=rng).tril()
    logits = torch.randn(t, t, generator=rng).masked_fill(torch.ones(t, t).triu(1) > 0, -torch.inf)
    return logits.softmax(-1)


def by_hand(a: Tensor, wanted: Wanted) -> HeadStats:
    """Statistics of [B, H, T, T] patterns by their definitions."""
    at = torch.arange(a.shape[-1])
    return of_matrix(a, wanted, at, at, (at[:, None] >= at).expand(len(a), 1, -1, -1))


def rows(patterns: Tensor) -> Rows:
    """Row statistics of [B, L, H, T, T] patterns, one layer at a time as a run makes them."""
    t = patterns.shape[-1]
    return rows_of([by_hand(a, rows_wanted()) for a in patterns.unbind(1)], torch.arange(t), t)


def prompt_reading(patterns: Tensor, seed: int = 0) -> PromptReading:
    """A reading of [L, H, T, T] patterns, as if a prompt had made them."""
    t = patterns.shape[-1]
    thumbs = thumbnails([by_hand(a[None], Wanted(block=-(-t // 32))) for a in patterns])
    request = PromptRequest(ids=tuple(range(t)), seed=seed)
    return PromptReading(request, rows(patterns[None]), thumbs, np.zeros(t - 1), Kept())


def prompt_controls(twin: Tensor, shuffled: Tensor, same: Tensor) -> PromptControls:
    """Controls of [B, L, H, T, T] patterns each."""
    return PromptControls(twin=rows(twin), shuffled=rows(shuffled), same_token=rows(same))


def stripes(patterns: Tensor, n: int) -> StripePair:
    """Stripes of [B, L, H, T, T] patterns through the real reducer."""
    shares = patterns.abs() / patterns.abs().sum(-1, keepdim=True)

    def of(x: Tensor) -> Stripes:
        back = [by_hand(a, Wanted(offsets=(1, n, n - 1))).offsets for a in x.unbind(1)]
        return Stripes(*torch.stack([stripe_means(one, n) for one in back], 2).numpy())

    return StripePair(of(patterns), of(shares))


def repeats_reading(
    patterns: Tensor, n: int, losses: np.ndarray | None = None, seed: int = 0
) -> RepeatsReading:
    """A reading of [B, L, H, 2n, 2n] patterns, as if repeated tokens had made them."""
    request = RepeatsRequest(length=n, sequences=len(patterns), seed=seed)
    found = np.zeros((len(patterns), 2 * n - 1)) if losses is None else losses
    return RepeatsReading(request, stripes(patterns, n), found)


def repeats_controls(
    twin: Tensor, fresh: Tensor, n: int, losses: np.ndarray | None = None
) -> RepeatsControls:
    """Controls of [B, L, H, 2n, 2n] patterns each."""
    found = np.zeros((len(fresh), 2 * n - 1)) if losses is None else losses
    return RepeatsControls(stripes(twin, n), stripes(fresh, n), found)


def card(**fields: object) -> Card:
    """A card of a model that exists nowhere, for scores of hand-made patterns."""
    known = dict(
        name="hand", title="Hand-made", trained=True, variant="by hand", n_layers=1, n_heads=1,
        n_kv_heads=1, d_model=8, d_head=8, n_ctx=512, vocab_size=256, n_parameters=1,
        positions="none", dtype="float32", device="CPU", row_stochastic=True, nonnegative=True,
        sink_slot=False, logits=True, weights_sha256="0" * 64,
    )  # fmt: skip
    return Card(**{**known, **fields})


@pytest.fixture(scope="session")
def hand() -> SimpleNamespace:
    """Everything above, by name."""
    makers = (uniform, identity, first, back, copy_head, random_pattern, rows, prompt_reading)
    makers += (prompt_controls, stripes, repeats_reading, repeats_controls, card)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})


@pytest.fixture(scope="session")
def own() -> Callable[..., Own]:
    """Make a tiny untrained Subject; keywords are its config's fields."""

    def make(variant: str = "softmax", seed: int = 0, **fields: str | int | float) -> Own:
        sizes = dict(d_model=24, n_heads=4, d_mlp=40, vocab_size=256, n_ctx=64) | suited(variant)
        config = TransformerConfig(variant=variant, **{**sizes, **fields})
        return untrained(f"tiny-{variant}", f"Tiny {variant}", config, seed)

    return make


@pytest.fixture(params=one_per_matrix())
def subject(request: pytest.FixtureRequest, own: Callable[..., Own]) -> Own:
    """A tiny subject of one variant of each kind of matrix."""
    return own(request.param)


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 290 tokens, the first two of them special."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=SPECIAL, initial_alphabet=alphabet)
    made.train_from_iterator([WORDS * 4], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=SPECIAL[0], eos_token=SPECIAL[1]
    )


@pytest.fixture(scope="session")
def text_tokenizer() -> PreTrainedTokenizerFast:
    """The same for tests that save a folder of their own."""
    return tokenizer()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each architecture with random weights and the tokenizer, saved as anyone would save it."""
    made = {}
    for name, config in CONFIGS.items():
        made[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(5)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(made[name])
        tokenizer().save_pretrained(made[name])
    return made


@pytest.fixture(scope="session", params=CONFIGS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each architecture by name."""
    return request.param


@pytest.fixture(scope="session")
def words() -> str:
    """Text for the models below."""
    return WORDS


@pytest.fixture(scope="session")
def bridged(folders: dict[str, Path], kind: str) -> Subject:
    """The folder, loaded as a user's model would be."""
    return load(str(folders[kind]))


@pytest.fixture(scope="session")
def reference(folders: dict[str, Path], kind: str) -> torch.nn.Module:
    """The same folder through transformers alone."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folders[kind], attn_implementation="eager", dtype=torch.float32
    ).eval()
