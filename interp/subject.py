"""What a probe may ask of any model, ours or pretrained; probes see nothing else of it."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.gradients import Number
from interp.progress import Progress
from interp.stats.sources import Source
from interp.weights import HeadWeights, Readout
from models import __version__

# A watcher sees the value at a hook; returning a tensor replaces it for the rest of the run.
Watcher = Callable[[Tensor], Tensor | None]
Watch = Mapping[str, Watcher]
# Gets every layer's attention as the forward pass reaches it.
See = Callable[[int, Source], None]


class Refused(ValueError):
    """What cannot be measured here, in one sentence that names the layer and the reason."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything about a model that a probe, a page or a saved dashboard needs to name."""

    name: str  # as given on the command line and in URLs
    title: str  # for people
    trained: bool
    variant: str  # attention variant, for people
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    n_ctx: int
    vocab_size: int
    n_parameters: int
    positions: str
    dtype: str
    device: str
    row_stochastic: bool  # rows of every pattern sum to 1
    nonnegative: bool
    sink_slot: bool  # 1 - row sum is mass on a virtual key
    logits: bool  # hook_attn_scores holds softmax logits
    weights_sha256: str
    exact: bool = True  # False: the patterns only estimate others (random features)
    keys_per_token: int = 1  # columns of the variant's matrix per token; readers see their sum
    streams: bool = True  # False: statistics need one layer's whole matrix at a time
    bos: int | None = None  # the token that opens a text, by its tokenizer; None: it has none
    eos: int | None = None  # the token that ends one
    gated: bool = False  # hook_gate holds a gate, [B, H, T, V], between A·v and W_O
    code_version: str = __version__

    @property
    def digest(self) -> str:
        """16 hex digits that name weights, config and code; part of every Result and cache key."""
        # Neither of these changes what the weights compute from given tokens.
        silent = {"title", "device", "bos", "eos", "gated"}
        names = {k: v for k, v in asdict(self).items() if k not in silent}
        return hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def reads_shares(self) -> bool:
        """Entries are shares of attention as they stand: none negative, rows of at most 1."""
        return self.nonnegative and (self.row_stochastic or self.sink_slot)

    @property
    def group_size(self) -> int:
        """Query heads that share one key/value head."""
        return self.n_heads // self.n_kv_heads


@dataclass(frozen=True)
class Tokens:
    """A prompt as the model reads it."""

    ids: tuple[int, ...]
    labels: tuple[str, ...]  # visible, inert text


@dataclass
class Kept:
    """Each block's input in one run, so that one layer's matrix can be rebuilt in 1/L of the time.

    Memory is O(L · n · d_model): no n x n matrix is kept, save one mask shared by all layers.
    Long streamed runs keep less: `calls` are the arguments of every layer, with None for those
    hidden states that are rebuilt from an earlier layer's, or from `tokens`.
    """

    inputs: dict[int, tuple[tuple, dict]] = field(default_factory=dict)
    calls: dict[int, tuple[tuple, dict]] = field(default_factory=dict)
    tokens: Int[Tensor, "B T"] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors held, shared ones counted once."""
        found: dict[int, int] = {}
        for call in (*self.inputs.values(), *self.calls.values()):
            for value in torch.utils._pytree.tree_leaves(call):
                if isinstance(value, Tensor):
                    found[value.data_ptr()] = value.numel() * value.element_size()
        return sum(found.values())


@runtime_checkable
class Subject(Protocol):
    """A model on its device, in eval mode, with no hook left on it between calls."""

    card: Card

    def encode(self, text: str, special: bool = False) -> Tokens:
        """Tokens of a text; `special` reads control tokens such as <|im_start|> out of it."""
        ...

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        ...

    def label(self, token: int) -> str:
        """A token as people can see it: visible, inert text."""
        ...

    def ordinary_ids(self) -> Int[Tensor, " N"]:
        """Ids for random text: real tokens, neither special nor the most or least common."""
        ...

    def forward(
        self, tokens: Int[Tensor, "B T"], watch: Watch, keep: Kept | None = None
    ) -> Float[Tensor, "B T V"]:
        """Logits, with watchers on TransformerLens's hook names for the time of this call."""
        ...

    def generate(
        self, ids: Sequence[int], at_most: int, stop: Collection[int], progress: Progress
    ) -> tuple[int, ...]:
        """The likeliest tokens after a text, one by one, up to and with the first in `stop`.

        Ends too where the context is full. Raises Refused where nothing can follow.
        """
        ...

    def follow(
        self, ids: Sequence[int], rows: Sequence[Sequence[int]], progress: Progress
    ) -> list[Float[Tensor, "_ V"]]:
        """Logits of what follows a text and, one by one, the tokens of each row behind it.

        As `forward` gives them, but a model that can go on from what it read reads the text once.
        """
        ...

    def keeps(self, tokens: int) -> int:
        """Numbers that a decoder keeps of a text of so many tokens; Refused where none can say."""
        ...

    def gradients(
        self, tokens: Int[Tensor, "B T"], names: tuple[str, ...], number: Number
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """(value, gradient of one number of the logits) at hooks; see `gradients_of`."""
        ...

    def stream(
        self, tokens: Int[Tensor, "B T"], see: See, keep: Kept | None = None
    ) -> Float[Tensor, "B T_minus_1"]:
        """Nats of surprise at each token given those before; each layer's Source goes to `see`.

        Nothing of a layer is held once `see` has returned: memory is O(n) per head.
        """
        ...

    def source(self, kept: Kept, layer: int) -> Source:
        """A layer's Source once more, from what was kept."""
        ...

    def replay(self, kept: Kept, layer: int, watch: Watch) -> None:
        """Run one block again on its kept input, with watchers on its hooks."""
        ...

    def weights(self, layer: int) -> HeadWeights:
        """A layer's weights per head, norm folded in; Refused where heads have no such weights."""
        ...

    def output_weights(self, layer: int) -> Float[Tensor, "H V E"]:
        """W_O per head: z W_O is what it adds to the residual stream; Refused where it is not."""
        ...

    def readout(self) -> Readout:
        """How logits are read out, held to the model's own logits; Refused where it is not so."""
        ...

    def embedding(self) -> Float[Tensor, "V E"]:
        """The token table as it enters the residual stream, positions left out."""
        ...

    def twin(self, seed: int) -> "Subject":
        """The same architecture with random weights: what a head scores by construction."""
        ...


def pattern_name(layer: int) -> str:
    """TransformerLens's name of a layer's attention matrix."""
    return f"blocks.{layer}.attn.hook_pattern"


def by_token(pattern: Float[Tensor, "B H T S"]) -> Float[Tensor, "B H T T"]:
    """The matrix with the columns of one token added up, where a variant has several per token."""
    t, s = pattern.shape[-2:]
    return pattern if s == t else pattern.unflatten(-1, (t, s // t)).sum(-1)


def remember(kept: Kept, layer: int) -> Callable[[Any, tuple, dict], None]:
    """A forward pre-hook that keeps a block's input."""

    def hook(module: Any, args: tuple, kwargs: dict) -> None:
        kept.inputs[layer] = (args, kwargs)

    return hook
