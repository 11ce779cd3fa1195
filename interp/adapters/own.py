"""Our own Transformers as Subjects: plain torch hooks on taps, no TransformerLens import."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.adapters.glimpse import Glimpse, glimpse
from interp.adapters.keeping import by_formula
from interp.adapters.weighing import (
    Norm,
    added_weights,
    checked_readout,
    head_weights,
    no_weights,
)
from interp.following import read_anew
from interp.generation import greedy, room
from interp.gradients import Number, gradients_of
from interp.labels import byte_label, visible
from interp.progress import Progress
from interp.prompts import PromptError
from interp.stats.layers.own_source import check_form, source_of
from interp.stats.sources import Source
from interp.subject import Card, Kept, Refused, See, Tokens, Watch, remember
from interp.weights import HeadWeights, Readout
from models.attention.contract import Projected
from models.attention.heads import Heads
from models.device import device, device_words
from models.digest import weights_digest
from models.generation import reader
from models.registry import variant
from models.tokenizer import ByteTokenizer, Tokenizer
from models.transformer import Attention, Seam, Transformer, TransformerConfig

LOGITS = 2**22  # entries of the logits that are there at once while losses are read
CHECK_TOKENS = 12  # of the short run that holds streaming to the matrix
TWIN_SEEDS = 1_000_003  # twins draw from seeds of their own: an untrained model is not its own null


class Own:
    """A Transformer of ours with its tokenizer."""

    def __init__(
        self,
        name: str,
        title: str,
        model: Transformer,
        trained: bool,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.model, self.tokenizer = model.to(device()).eval(), tokenizer or ByteTokenizer()
        self.card = card(name, title, self.model, trained, self.tokenizer.end)
        check_streaming(self.model)

    def encode(self, text: str, special: bool = False) -> Tokens:
        try:
            ids = self.tokenizer.encode(text, special)
        except ValueError as problem:
            raise PromptError(str(problem)) from problem
        return Tokens(tuple(ids), tuple(self.label(i) for i in ids))

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids)

    def label(self, token: int) -> str:
        piece: bytes = self.tokenizer.piece(token)
        try:
            return visible(piece.decode())
        except UnicodeDecodeError:  # a part of a character
            return byte_label(piece)

    def ordinary_ids(self) -> Int[Tensor, " N"]:
        return torch.tensor(self.tokenizer.ordinary)

    def forward(
        self, tokens: Int[Tensor, "B T"], watch: Watch, keep: Kept | None = None
    ) -> Float[Tensor, "B T V"]:
        with ExitStack() as hooks, torch.inference_mode():
            self.hang(watch, hooks)
            self.remember(keep, hooks)
            return self.model(tokens.to(device()))

    def generate(
        self, ids: Sequence[int], at_most: int, stop: Collection[int], progress: Progress
    ) -> tuple[int, ...]:
        return greedy(reader(self.model), ids, room(self, ids, at_most), stop, progress)

    def follow(
        self, ids: Sequence[int], rows: Sequence[Sequence[int]], progress: Progress
    ) -> list[Float[Tensor, "_ V"]]:
        return read_anew(lambda tokens: self.forward(tokens, {}), ids, rows, progress)

    def keeps(self, tokens: int) -> int:
        return by_formula(self.card, self.model, tokens)

    def gradients(
        self, tokens: Int[Tensor, "B T"], names: tuple[str, ...], number: Number
    ) -> dict[str, tuple[Tensor, Tensor]]:
        def logits(watch: Watch) -> Float[Tensor, "B T V"]:
            with ExitStack() as hooks:
                self.hang(watch, hooks)
                return self.model(tokens.to(device()))

        return gradients_of(logits, names, number)

    def stream(
        self, tokens: Int[Tensor, "B T"], see: See, keep: Kept | None = None
    ) -> Float[Tensor, "B T_minus_1"]:
        tokens = tokens.to(device())
        with ExitStack() as hooks, torch.inference_mode():
            self.remember(keep, hooks)
            for layer, block in enumerate(self.model.blocks):
                hook = block.attn.placed.register_forward_hook(shown(see, layer, block.attn))
                hooks.callback(hook.remove)
            resid = self.model(tokens, stop_at_layer=self.card.n_layers)
            return losses(self.model, resid, tokens)

    def source(self, kept: Kept, layer: int) -> Source:
        (resid,), _ = kept.inputs[layer]
        block = self.model.blocks[layer]
        with torch.inference_mode():
            return source_of(
                block.attn.mixer, block.attn.place(block.attn.project(resid, block.ln1))
            )

    def replay(self, kept: Kept, layer: int, watch: Watch) -> None:
        args, kwargs = kept.inputs[layer]
        with ExitStack() as hooks, torch.inference_mode():
            self.hang(watch, hooks)
            self.model.blocks[layer](*args, **kwargs)

    def remember(self, keep: Kept | None, hooks: ExitStack) -> None:
        """Keep every block's input, where they are wanted, until `hooks` closes."""
        for layer, block in enumerate(self.model.blocks if keep is not None else ()):
            hook = block.register_forward_pre_hook(remember(keep, layer), with_kwargs=True)
            hooks.callback(hook.remove)

    def hang(self, watch: Watch, hooks: ExitStack) -> None:
        """Put watchers on taps until `hooks` closes; raises KeyError for a name there is not."""
        taps = dict(self.model.named_modules())
        for name, watcher in watch.items():
            if name not in taps:
                raise KeyError(f"{self.card.name} has no hook {name!r}")
            hook = taps[name].register_forward_hook(lambda m, i, out, w=watcher: w(out))
            hooks.callback(hook.remove)

    @cached_property
    def seen(self) -> Glimpse:
        """A short run that weights and readout are held to."""
        return glimpse(self, dict(self.model.named_modules()))

    def weights(self, layer: int) -> HeadWeights:
        attention, norm = self.model.blocks[layer].attn, self.model.blocks[layer].ln1
        heads = getattr(attention.mixer, "heads", None)
        names = ("W_Q", "W_K", "W_V", "W_O")
        if not isinstance(heads, Heads) or any(getattr(heads, n, None) is None for n in names):
            raise Refused(no_weights(self, layer))
        gain = norm.w.detach()
        apart = Norm(gain, torch.zeros_like(gain), centred=False, eps=norm.eps)
        parts = tuple(getattr(heads, n).detach() for n in names)
        return head_weights(self, layer, apart, self.seen, parts)

    def output_weights(self, layer: int) -> Float[Tensor, "H V E"]:
        return added_weights(self, layer, self.seen, self.model.blocks[layer].attn.W_O.detach())

    def readout(self) -> Readout:
        W_U, norm = self.model.embed.W_E.detach().T, self.model.ln_final
        made = Readout(W_U, None, norm.w.detach(), None, centred=False, eps=norm.eps)
        return checked_readout(self, self.seen, made)

    def embedding(self) -> Float[Tensor, "V E"]:
        return self.model.embed.W_E.detach()

    def twin(self, seed: int) -> "Own":
        title = f"{self.card.title}, twin"
        return untrained(
            self.card.name, title, self.model.config, seed + TWIN_SEEDS, self.tokenizer
        )


def check_streaming(model: Transformer) -> None:
    """Read a few tokens and look: raises ValueError where streaming shows another matrix."""
    c, attention = model.config, model.blocks[0].attn
    tokens = torch.arange(min(CHECK_TOKENS, c.n_ctx), device=device())[None] % c.vocab_size

    def hook(seam: Seam, args: tuple[Projected], p: Projected) -> None:
        check_form(attention.mixer, p)

    with torch.inference_mode():
        handle = attention.placed.register_forward_hook(hook)
        try:
            model(tokens, stop_at_layer=1)
        finally:
            handle.remove()


def shown(
    see: See, layer: int, attention: Attention
) -> Callable[[Seam, tuple[Projected], Projected], None]:
    """A forward hook that hands a layer's Source on and changes nothing."""

    def hook(seam: Seam, args: tuple[Projected], p: Projected) -> None:
        see(layer, source_of(attention.mixer, p))

    return hook


def losses(
    model: Transformer, resid: Float[Tensor, "B T E"], tokens: Int[Tensor, "B T"]
) -> Float[Tensor, "B T_minus_1"]:
    """Nats of surprise at each token after the first, some tokens at a time."""
    read, said = resid[:, :-1], tokens[:, 1:]
    step = max(1, LOGITS // (max(1, len(tokens)) * model.config.vocab_size))
    parts = [resid.new_zeros(len(tokens), 0)]
    for here, there in zip(read.split(step, 1), said.split(step, 1), strict=True):
        logits = model.ln_final(here) @ model.embed.W_E.T
        parts.append(F.cross_entropy(logits.mT, there, reduction="none"))
    return torch.cat(parts, 1)


def untrained(
    name: str,
    title: str,
    config: TransformerConfig,
    seed: int,
    tokenizer: Tokenizer | None = None,
) -> Own:
    """A Transformer as it is before training, from a seed; without a tokenizer it reads bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Own(name, title, Transformer(config), trained=False, tokenizer=tokenizer)


def card(name: str, title: str, model: Transformer, trained: bool, end: int | None) -> Card:
    """What there is to know about one of our models."""
    c, traits = model.config, variant(model.config.variant).traits
    return Card(
        name=name,
        title=title,
        trained=trained,
        variant=variant(c.variant).title,
        n_layers=c.n_layers,
        n_heads=c.n_heads,
        n_kv_heads=c.n_kv_heads,
        d_model=c.d_model,
        d_head=c.heads.d_head,
        n_ctx=c.n_ctx,
        vocab_size=c.vocab_size,
        n_parameters=sum(p.numel() for p in model.parameters()),
        positions=c.positions,
        dtype=str(model.embed.W_E.dtype).removeprefix("torch."),
        device=device_words(),
        row_stochastic=traits.row_stochastic,
        nonnegative=traits.nonnegative,
        sink_slot=traits.sink_slot,
        logits=traits.logits,
        exact=traits.exact,
        keys_per_token=traits.keys_per_token,
        gated=traits.side.get("gate") == "q",
        weights_sha256=weights_digest(model),
        bos=end,
        eos=end,
    )
