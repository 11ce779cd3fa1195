"""as_hooked(): one of our Transformers as a TransformerLens HookedRootModule, sharing its weights.

TransformerLens is imported here and not in models/transformer.py, so training and plain runs do
not pay for it.
"""

import copy
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import ActivationCache, HookedRootModule
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.hook_points import HookPoint

from models.positions import scheme
from models.transformer import Tap, Transformer


@runtime_checkable
class TextTokenizer(Protocol):
    """What TransformerLens's text helpers need of a tokenizer."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...


def as_hooked(model: Transformer, tokenizer: TextTokenizer | None = None) -> "HookedTransformer":
    """A view of `model` that TransformerLens's caches, patching and head detector work on.

    Parameters are shared, not copied: training one trains the other. The plain model stays plain.
    """
    return HookedTransformer(model, tokenizer)


class HookedTransformer(HookedRootModule):
    """Transformer with HookPoints for taps and the surface TransformerLens's tools expect."""

    def __init__(self, model: Transformer, tokenizer: TextTokenizer | None) -> None:
        super().__init__()
        shared = {id(p): p for p in model.parameters()}
        twin = copy.deepcopy(model, shared)
        for module in list(twin.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Tap):
                    setattr(module, name, HookPoint())
        for name, child in twin.named_children():
            setattr(self, name, child)
        self.config, self.text = model.config, tokenizer
        self.unembed = Unembed(self.embed.W_E)
        self.cfg = lens_config(model)
        self.eval()
        self.setup()

    def forward(
        self,
        tokens: Int[Tensor, "B T"] | str,
        stop_at_layer: int | None = None,
        return_type: str | None = "logits",
        **ignored: Any,
    ) -> Tensor | tuple[Tensor, Tensor] | None:
        """As Transformer.forward; `return_type` is "logits", "loss" (mean nats), "both" or None."""
        tokens = self.to_tokens(tokens) if isinstance(tokens, str) else tokens
        out = Transformer.forward(self, tokens, stop_at_layer)
        if stop_at_layer is not None or return_type == "logits":
            return out
        if return_type is None:
            return None
        loss = F.cross_entropy(out[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        return {"loss": loss, "both": (out, loss)}[return_type]

    def run_with_cache(
        self,
        *args: Any,
        return_cache_object: bool = True,
        remove_batch_dim: bool = False,
        **kwargs: Any,
    ) -> Any:
        """As TransformerLens: (output, ActivationCache), or a plain dict when asked."""
        out, cache = super().run_with_cache(*args, remove_batch_dim=remove_batch_dim, **kwargs)
        if not return_cache_object:
            return out, cache
        return out, ActivationCache(cache, self, has_batch_dim=not remove_batch_dim)

    @property
    def W_U(self) -> Float[Tensor, "E V"]:
        """Unembedding as multiplied, without the final norm's gain."""
        return self.unembed.W_U

    @property
    def b_U(self) -> Float[Tensor, " V"]:
        """There is no unembedding bias: zeros."""
        return self.W_U.new_zeros(self.W_U.shape[1])

    def to_tokens(self, text: str | list[str], **ignored: Any) -> Int[Tensor, "B T"]:
        """Token ids of one or several texts of equal length; no token is added."""
        encode, texts = self.need_tokenizer().encode, [text] if isinstance(text, str) else text
        return torch.tensor([encode(t) for t in texts], device=self.W_U.device)

    def to_single_token(self, text: str) -> int:
        """The id of a text that is one token; raises ValueError when it is not."""
        ids = self.need_tokenizer().encode(text)
        if len(ids) != 1:
            raise ValueError(f"{text!r} is {len(ids)} tokens, not one")
        return ids[0]

    def to_string(self, tokens: Int[Tensor, " T"] | list[int] | int) -> str:
        """The text of some token ids."""
        ids = torch.as_tensor(tokens).flatten().tolist()
        return self.need_tokenizer().decode(ids)

    def need_tokenizer(self) -> TextTokenizer:
        """The tokenizer, or a ValueError that says how to give one."""
        if self.text is None:
            raise ValueError("hooked without a tokenizer; use as_hooked(model, tokenizer)")
        return self.text

    def tokens_to_residual_directions(self, tokens: Any) -> Float[Tensor, "*shape E"]:
        """Columns of W_U with the final norm's gain folded in, so dot products give logits."""
        if isinstance(tokens, str):
            tokens = self.to_single_token(tokens)
        ids = torch.as_tensor(tokens, device=self.W_U.device)
        return (self.W_U * self.ln_final.w[:, None]).T[ids]

    def accumulated_bias(self, layer: int, *args: Any, **ignored: Any) -> Float[Tensor, " E"]:
        """Sum of biases written to the residual stream: zeros, there are none."""
        return self.W_U.new_zeros(self.cfg.d_model)

    def set_use_attn_result(self, use: bool) -> None:
        """hook_result fires whenever it is watched; the flag is kept for tools that read it."""
        self.cfg.use_attn_result = use

    def set_use_split_qkv_input(self, use: bool) -> None:
        """hook_{q,k,v}_input fork whenever they are watched; the flag is kept for tools."""
        self.cfg.use_split_qkv_input = use


class Unembed(nn.Module):
    """The tied table the other way round, as TransformerLens's logit lens applies it."""

    def __init__(self, table: nn.Parameter) -> None:
        super().__init__()
        self.table = table

    @property
    def W_U(self) -> Float[Tensor, "E V"]:
        return self.table.T

    def forward(self, x: Float[Tensor, "*B E"]) -> Float[Tensor, "*B V"]:
        return x @ self.W_U


def lens_config(model: Transformer) -> TransformerBridgeConfig:
    """Our config in TransformerLens's words."""
    c = model.config
    return TransformerBridgeConfig(
        d_model=c.d_model,
        d_head=c.heads.d_head,
        n_layers=c.n_layers,
        n_ctx=c.n_ctx,
        n_heads=c.n_heads,
        n_key_value_heads=None if c.n_kv_heads == c.n_heads else c.n_kv_heads,
        d_mlp=c.d_mlp,
        d_vocab=c.vocab_size,
        act_fn="silu",
        gated_mlp=True,
        normalization_type="RMS",
        uses_rms_norm=True,
        final_rms=True,
        positional_embedding_type="rotary" if scheme(c.positions).rotary else "standard",
        default_prepend_bos=False,
        dtype=model.embed.W_E.dtype,
        device=str(model.embed.W_E.device),
        model_name=f"headlamp-{c.variant}",
    )
