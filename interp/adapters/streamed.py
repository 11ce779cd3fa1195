"""A pretrained model run without its n x n matrices: layer by layer, with losses in pieces."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from logging import getLogger
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.adapters import attending
from interp.adapters.attending import Attended
from interp.measurements.passes import token_losses
from interp.stats.layers.dots_source import DotsSource
from interp.stats.sources import Source
from interp.subject import Kept, See
from models.forms import Dots
from models.pretrained import Pretrained

log = getLogger(__name__)
LOGITS_AT_ONCE = 2**22  # next-token logits computed at a time: 16 MiB in float32
KEEP_BYTES = 64 * 2**20  # hidden states kept of one run; the layers between are run again
AGREEMENT = 1e-4  # largest difference of a weight from the bridge's, and of a loss in relation


class Streamed:
    """The plain model taken apart: its body's layers, and its head if that runs by itself."""

    def __init__(self, loaded: Pretrained, head: torch.nn.Module | None) -> None:
        self.model, self.blocks, self.head = loaded.plain, loaded.bridge.blocks, head
        attending.use(self.model)
        text = self.model.config.get_text_config()
        self.width, self.vocabulary = text.hidden_size, text.vocab_size
        self.layers = [self.model.get_submodule(block.name) for block in self.blocks]

    def run(
        self,
        tokens: Int[Tensor, "B T"],
        see: See,
        keep: Kept | None = None,
        keep_bytes: int = KEEP_BYTES,
    ) -> Float[Tensor, "B T_minus_1"]:
        """Show every layer's Source in one pass; losses in nats, without all logits at once."""

        def attended(layer: int, dots: Dots, v: Tensor) -> None:
            see(layer, DotsSource(dots, v, self.written(layer)))

        with attending.watched(attended), torch.inference_mode(), ExitStack() as stack:
            if keep is not None:
                keep.tokens = tokens
                for at, hook in enumerate(self.keepers(keep, keep_bytes, attended)):
                    handle = self.layers[at].register_forward_pre_hook(hook, with_kwargs=True)
                    stack.callback(handle.remove)
            if self.head is None:
                return token_losses(self.model(tokens, use_cache=False).logits, tokens)
            return self.losses(self.model.get_decoder()(tokens, use_cache=False), tokens)

    def losses(self, body: Any, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T_minus_1"]:
        """Nats at each token, from the body's output, through the model's own head."""
        (b, t), hidden = tokens.shape, body.last_hidden_state
        step = max(1, LOGITS_AT_ONCE // (b * self.vocabulary))
        found = [hidden.new_zeros(b, 0)]
        for start in range(0, t - 1, step):
            stop = min(start + step, t - 1)
            part = type(body)(last_hidden_state=hidden[:, start:stop])
            logits = self.head(inputs_embeds=part, use_cache=False).logits.float()
            targets = tokens[:, start + 1 : stop + 1]
            found.append(F.cross_entropy(logits.mT, targets, reduction="none"))
        return torch.cat(found, 1)

    def keepers(self, keep: Kept, room: int, attended: Attended) -> Iterator[Callable[..., None]]:
        """Hooks that keep each layer's arguments, with every stride-th hidden state, as room is."""
        states = room // (4 * keep.tokens.numel() * self.width)
        stride = ceil(len(self.layers) / states) if states else len(self.layers) + 1
        for at in range(len(self.layers)):

            def hook(module: Any, args: tuple, kwargs: dict, at: int = at) -> None:
                if attending.WATCHING.get() is attended:  # not another thread's run
                    own = states > 0 and at % stride == 0
                    keep.calls[at] = (args if own else (None, *args[1:]), kwargs)

            yield hook

    def source(self, kept: Kept, layer: int) -> Source:
        """One layer's Source again, from the nearest hidden state that was kept before it."""

        def attended(at: int, dots: Dots, v: Tensor) -> None:
            if at == layer:
                raise Reached(dots, v)

        starts = [at for at in range(layer + 1) if kept.calls[at][0][0] is not None]
        try:
            with attending.watched(attended), torch.inference_mode():
                if not starts:
                    self.model(kept.tokens, use_cache=False)
                else:
                    self.between(kept, starts[-1], layer)
        except Reached as reached:
            return DotsSource(reached.dots, reached.v, self.written(layer))
        raise RuntimeError(f"layer {layer} was run and showed no attention")

    def between(self, kept: Kept, first: int, last: int) -> None:
        """Run some layers one after the other, each called as it was."""
        hidden = kept.calls[first][0][0]
        for at in range(first, last + 1):
            args, kwargs = kept.calls[at]
            out = self.layers[at](hidden, *args[1:], **kwargs)
            hidden = out[0] if isinstance(out, tuple) else out

    def written(self, layer: int) -> Float[Tensor, "H D E"]:
        """W_O of a layer, a view of its weights."""
        return self.blocks[layer].attn.W_O.detach()


def streamed(
    loaded: Pretrained,
    tokens: Int[Tensor, "B T"],
    patterns: dict[int, Float[Tensor, "B H T T"]],
    logits: Float[Tensor, "B T V"],
) -> Streamed | None:
    """The model ready to be streamed, if on these tokens it does what its bridge did.

    None where it doesn't: families that don't ask for their attention by name, or that add
    something to its logits. Where only the head cannot be run by itself, losses need all logits.
    """
    losses = token_losses(logits, tokens)
    for head in (head_alone, no_head):
        try:
            made = Streamed(loaded, head(loaded.plain))
            if agree(made, tokens, patterns, losses):
                return made
        except Exception as problem:  # any family's code, on a path its authors did not foresee
            log.info("%s cannot be streamed: %s", loaded.name, problem)
    return None


def agree(made: Streamed, tokens: Tensor, patterns: dict[int, Tensor], losses: Tensor) -> bool:
    """Whether matrices and losses are the bridge's, and the last matrix is rebuilt as it was."""
    seen: dict[int, Tensor] = {}
    kept = Kept()
    first_only = 4 * tokens.numel() * made.width
    found = made.run(tokens, lambda at, source: seen.update({at: dense(source)}), kept, first_only)
    if seen.keys() != patterns.keys():
        return False
    far = [(seen[layer] - pattern).abs().max() for layer, pattern in patterns.items()]
    last = max(seen)
    return (
        max(far) < AGREEMENT
        and torch.allclose(found, losses, rtol=AGREEMENT, atol=AGREEMENT)
        and torch.equal(dense(made.source(kept, last)), seen[last])
    )


def dense(source: Source) -> Float[Tensor, "B H T T"]:
    """A short prompt's whole matrices."""
    _, heads, t = source.shape
    return torch.stack([source.window(h, slice(0, t), slice(0, t)) for h in range(heads)], 1)


def head_alone(model: Any) -> torch.nn.Module:
    """What turns the body's output into logits, with the family's own scales and caps."""
    return with_body(model, model.get_decoder(), Given())


def no_head(model: Any) -> None:
    """All logits come from the whole model."""


class Reached(Exception):
    """Ends a run at the layer that was asked for."""

    def __init__(self, dots: Dots, v: Tensor) -> None:
        super().__init__()
        self.dots, self.v = dots, v


class Given(torch.nn.Module):
    """In place of a model's body: its output is the one it is given for embeddings."""

    def forward(self, *args: Any, inputs_embeds: Any, **kwargs: Any) -> Any:
        return inputs_embeds


def with_body(model: torch.nn.Module, body: torch.nn.Module, other: torch.nn.Module) -> Any:
    """The model with another body; it shares every weight, and the model itself is unchanged."""
    if model is body:
        return other
    made = copy.copy(model)
    made._modules = {n: m and with_body(m, body, other) for n, m in model._modules.items()}
    return made
