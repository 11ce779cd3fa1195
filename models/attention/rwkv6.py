"""RWKV-6, Finch (Peng et al. 2024, arXiv 2404.05892): a token reads first and fades afterwards.

o_t = (S_{t-1} + diag(u) k_t v_tᵀ)ᵀ q_t, then S_t = diag(w_t) S_{t-1} + k_t v_tᵀ. So a key reaches
the next query unfaded, A_ij = Σ_d q_id k_jd Π_{j < m < i} w_md below the diagonal, and the token
itself counts by a learned bonus, A_ii = Σ_d q_id u_d k_id. The decay comes from the token through
a bottleneck, w = exp(-exp(λ + tanh(x W_low) W_decay)). q is the paper's receptance r, without 1/√D.
A group norm per head and a SiLU gate follow. The paper's token shift, which mixes every input with
the token before, is left out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attention.contract import Cost, HeadConfig, Projected, State, Traits, repeat_groups
from models.attention.heads import HeadMixer, per_head, projections, unplaced
from models.forms import Recurrence
from models.kernels.decay import vector_decay_flops, vector_decay_mix, vector_decay_scores


def delayed(x: Float[Tensor, "B N T D"]) -> Float[Tensor, "B N T D"]:
    """Each token's row moved to the next token: what S_{t-1} is at t, S_t is for delayed keys."""
    return F.pad(x, (0, 0, 1, -1))


class RWKV6(HeadMixer):
    """Linear attention with a decay per key channel; `decay` is log w, below 0; u per key head."""

    traits = Traits(
        row_stochastic=False,
        nonnegative=False,
        rotary=False,
        subquadratic=True,
        side={"gate": "q"},
    )
    place = staticmethod(unplaced)

    def __init__(self, config: HeadConfig, rank: int = 16) -> None:
        super().__init__(config)
        h, g, e, d = config.n_heads, config.n_kv_heads, config.d_model, config.d_head
        self.W_low = nn.Parameter(torch.randn(e, rank) * e**-0.5)
        self.W_decay = nn.Parameter(torch.randn(g, rank, d) * rank**-0.5)
        # Channels start with memories of less than a token to 150 tokens.
        self.b_decay = nn.Parameter(torch.linspace(-5, 1, g * d).view(g, d))
        self.bonus = nn.Parameter(torch.zeros(g, d))
        self.W_gate = nn.Parameter(torch.randn(h, e, d) * e**-0.5)
        self.gain, self.bias = nn.Parameter(torch.ones(h, d)), nn.Parameter(torch.zeros(h, d))

    @property
    def cost(self) -> Cost:
        c, d = self.config, self.config.d_head
        low = self.W_low.numel() + self.W_decay.numel()
        weights = projections(c) + c.d_model**2 + low
        return Cost(
            parameters=weights + 2 * c.n_kv_heads * d + 2 * c.d_model,
            flops=lambda t: 2 * t * weights + vector_decay_flops(t, c.n_heads, d, d),
            cache=lambda t: c.n_kv_heads * d * d,
        )

    def project(self, x: Float[Tensor, "B T E"]) -> Projected:
        low = (x @ self.W_low).tanh()
        extra = {
            "decay": -(per_head(low, self.W_decay) + self.b_decay[:, None]).exp(),
            "gate": F.silu(per_head(x, self.W_gate)),
        }
        return Projected(*self.heads.split(x), extra)

    def own(self, p: Projected) -> Float[Tensor, "B H T 1"]:
        """The diagonal of A."""
        return (p.q * repeat_groups(self.bonus[:, None] * p.k, p.q.shape[1])).sum(-1, keepdim=True)

    def scores(self, p: Projected) -> Float[Tensor, "B H T S"]:
        late = vector_decay_scores(p.q, delayed(p.k), delayed(p.extra["decay"]))
        return F.pad(late[..., 1:], (0, 1)) + torch.diag_embed(self.own(p)[..., 0])

    def weigh(self, scores: Float[Tensor, "B H T S"], p: Projected) -> Float[Tensor, "B H T S"]:
        return scores

    def mix(self, p: Projected) -> Float[Tensor, "B H T V"]:
        before = vector_decay_mix(p.q, delayed(p.k), delayed(p.v), delayed(p.extra["decay"]))
        return before + self.own(p) * self.values(p)

    def step(self, p: Projected, state: State | None) -> tuple[Float[Tensor, "B H 1 V"], State]:
        write = p.k.mT @ p.v
        memory = torch.zeros_like(write) if state is None else state["memory"]
        o = p.q @ repeat_groups(memory + self.bonus[..., None] * write, p.q.shape[1])
        return o, {"memory": p.extra["decay"].exp().mT * memory + write}

    def recurrence(self, p: Projected) -> Recurrence:
        return Recurrence(q=p.q, k=p.k, g=p.extra["decay"], own=self.own(p)[..., 0])

    def readout(self, o: Float[Tensor, "B H T V"], p: Projected) -> Float[Tensor, "B H T V"]:
        normed = F.layer_norm(o, o.shape[-1:], eps=64e-5)
        return p.extra["gate"] * (normed * self.gain[:, None] + self.bias[:, None])
