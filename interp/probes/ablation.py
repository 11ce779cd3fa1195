"""Does a head cause anything here? Zero it and read the loss, beside the layer's other heads."""

import numpy as np
import torch
from jaxtyping import Float

from interp.capture import Ablate, check_head, with_edits
from interp.measurements.passes import batches, token_losses
from interp.measurements.prompt import PromptRequest
from interp.nulls import block_length, mean_interval
from interp.progress import Progress
from interp.result import Figure, Result
from interp.subject import Refused, Subject


def ablation_losses(
    subject: Subject, ids: tuple[int, ...], layer: int, progress: Progress
) -> Float[np.ndarray, "H_plus_1 T_minus_1"]:
    """Loss at every token: row 0 clean, row h + 1 with head h of the layer set to zero."""
    n_heads, found = subject.card.n_heads, []
    copies = torch.tensor([ids]).repeat(n_heads + 1, 1)
    start = 0
    for batch in batches(copies):
        progress.breathe()
        progress.step(start, n_heads + 1, f"ablating the heads of layer {layer}")
        heads = range(start, start + len(batch))
        edits = [Ablate(layer, copy - 1, copy - start) for copy in heads if copy]
        logits = subject.forward(batch, with_edits(subject, edits, {}))
        found.append(token_losses(logits, batch).cpu())
        start += len(batch)
    return torch.cat(found).double().numpy()


def run_ablation(
    subject: Subject, request: PromptRequest, layer: int, head: int, progress: Progress
) -> Result:
    """Change in loss on this prompt when one head is zeroed, beside the layer's other heads.

    Raises Refused for a head that does not exist or a prompt of one token, which has no loss.
    """
    check_head(subject, layer, head)
    if len(request.ids) < 3:
        raise Refused(
            "The effect of ablating a head is a change in loss, and its interval needs 3 tokens or "
            f"more; this prompt has {len(request.ids)}."
        )
    losses = ablation_losses(subject, request.ids, layer, progress)
    change = losses[1:] - losses[0]
    block = block_length(change.shape[1])
    value, low, high, n = mean_interval(change[None], block, request.seed)
    others = np.delete(value[0], head)
    return Result(
        probe="ablation",
        model=subject.card.name,
        digest=subject.card.digest,
        device=subject.card.device,
        request={
            "ids": list(request.ids),
            "seed": request.seed,
            "layer": layer,
            "head": head,
        },  # fmt: skip
        scores=(),
        figures=(
            Figure(
                key="loss_change",
                title=f"Change in loss without L{layer}H{head}",
                unit="nats per token",
                provenance="measured",
                definition=(
                    "Mean loss on this prompt with the head's output z set to zero, minus the loss "
                    "as it is. The null is the largest change, up or down, that zeroing any "
                    f"other head of layer {layer} makes."
                ),
                value=float(value[0, head]),
                low=float(low[0, head]),
                high=float(high[0, head]),
                n=int(n[0, head]),
                n_of="tokens with a loss",
                null=float(others[np.abs(others).argmax()]) if len(others) else None,
                null_name=f"strongest of the {len(others)} other heads of layer {layer}",
            ),
        ),
        notes=("Zero is outside what later layers ever saw; a large change is a first hint.",),
    )
