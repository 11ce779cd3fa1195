"""Run once and keep only what was asked for; edits are values: ablate, mask, patch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.subject import Refused, Subject, Watch, Watcher, pattern_name


@runtime_checkable
class Edit(Protocol):
    """A change to a run, at one hook."""

    def hook(self, subject: Subject) -> str:
        """The hook it edits; raises Refused where the model cannot be edited so."""
        ...

    def apply(self, value: Tensor) -> Tensor:
        """The edited value; the given one is left as it is."""
        ...


@dataclass(frozen=True)
class Ablate:
    """Set a head's output z to zero; with `row`, only in that row of the batch."""

    layer: int
    head: int
    row: int | None = None

    def hook(self, subject: Subject) -> str:
        check_head(subject, self.layer, self.head)
        return f"blocks.{self.layer}.attn.hook_z"

    def apply(self, value: Float[Tensor, "B T H D"]) -> Float[Tensor, "B T H D"]:
        value = value.clone()
        value[slice(None) if self.row is None else self.row, ..., self.head, :] = 0
        return value


@dataclass(frozen=True)
class MaskKey:
    """Hide one key from a head's later queries: its logit becomes minus infinity.

    The key still sees itself, so no row is left without any key. Positions do not move.
    """

    layer: int
    head: int
    key: int

    def hook(self, subject: Subject) -> str:
        check_head(subject, self.layer, self.head)
        if not subject.card.logits:
            raise Refused(
                f"Layer {self.layer} of {subject.card.name} ({subject.card.variant}) has no "
                "softmax logits: no key can be masked and the rest renormalised; drop it instead."
            )
        return f"blocks.{self.layer}.attn.hook_attn_scores"

    def apply(self, value: Float[Tensor, "B H T S"]) -> Float[Tensor, "B H T S"]:
        check_key(self.key, value.shape[-2])
        value = value.clone()
        value[:, self.head, self.key + 1 :, columns(self.key, value)] = -torch.inf
        return value


@dataclass(frozen=True)
class DropKey:
    """Take one key out of a head's matrix without renormalising; works on every variant."""

    layer: int
    head: int
    key: int

    def hook(self, subject: Subject) -> str:
        check_head(subject, self.layer, self.head)
        return pattern_name(self.layer)

    def apply(self, value: Float[Tensor, "B H T S"]) -> Float[Tensor, "B H T S"]:
        check_key(self.key, value.shape[-2])
        value = value.clone()
        value[:, self.head, self.key + 1 :, columns(self.key, value)] = 0
        return value


@dataclass(frozen=True, eq=False)
class Patch:
    """Put a value from another run at a hook."""

    name: str
    value: Tensor

    def hook(self, subject: Subject) -> str:
        return self.name

    def apply(self, value: Tensor) -> Tensor:
        if value.shape != self.value.shape:
            raise Refused(
                f"{self.name} is {tuple(value.shape)} here and {tuple(self.value.shape)} in the "
                "patch; both runs need the same number of tokens"
            )
        return self.value.to(value.device)


@dataclass(frozen=True, eq=False)
class Captured:
    """What was asked for, on the CPU."""

    logits: Float[Tensor, "B T V"]
    activations: dict[str, Tensor]


def capture(
    subject: Subject,
    tokens: Int[Tensor, "B T"],
    names: Iterable[str] = (),
    edits: Iterable[Edit] = (),
) -> Captured:
    """One forward pass with edits; keeps the named activations as they are after the edits."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Watcher:
        return lambda value: found.__setitem__(name, value.detach().cpu())

    watch = {name: keep(name) for name in names}
    logits = subject.forward(tokens, with_edits(subject, edits, watch))
    return Captured(logits.cpu(), found)


def with_edits(subject: Subject, edits: Iterable[Edit], watch: Watch) -> Watch:
    """Watchers that first apply the edits of their hook, in order, then look at the outcome."""
    by_hook: dict[str, list[Edit]] = {}
    for edit in edits:
        by_hook.setdefault(edit.hook(subject), []).append(edit)

    def edited(name: str) -> Watcher:
        def watcher(value: Tensor) -> Tensor | None:
            for edit in by_hook.get(name, ()):
                value = edit.apply(value)
            if name in watch:
                watch[name](value)
            return value if name in by_hook else None

        return watcher

    return {name: edited(name) for name in dict.fromkeys([*by_hook, *watch])}


def check_head(subject: Subject, layer: int, head: int) -> None:
    """Raise Refused for a head the model does not have."""
    card = subject.card
    if not (0 <= layer < card.n_layers and 0 <= head < card.n_heads):
        raise Refused(
            f"{card.name} has layers 0 to {card.n_layers - 1} and heads 0 to {card.n_heads - 1}; "
            f"there is no L{layer}H{head}"
        )


def columns(key: int, matrix: Float[Tensor, "B H T S"]) -> slice:
    """The columns of one token: several, for variants that write more than one key a token."""
    each = matrix.shape[-1] // matrix.shape[-2]
    return slice(key * each, (key + 1) * each)


def check_key(key: int, n_keys: int) -> None:
    """Raise Refused for a token the prompt does not have."""
    if not 0 <= key < n_keys:
        raise Refused(f"The prompt has tokens 0 to {n_keys - 1}; there is no token {key}.")
