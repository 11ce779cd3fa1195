"""One attention layer as another with the same outputs."""

import torch
from torch import nn

from models.attention.contract import HeadConfig
from models.attention.kv_shared_s3 import KVSharedS3
from models.attention.softmax import Softmax


@torch.no_grad()
def to_kv_shared(mixer: Softmax) -> KVSharedS3:
    """MHA, GQA or MQA without positions as one shared key/value head of width 2·G·D.

    Su 2025 (kexue 11111): for a given cache, shared keys and values can do all that groups can.
    The latent holds every group's key and value; a head's query is zero but at its group's key,
    its W_O zero but at its group's value. Equal only while nothing turns q and k (NoPE).
    """
    c, old = mixer.config, mixer.heads
    d, g, width = c.d_head, c.n_kv_heads, 2 * c.n_kv_heads * c.d_head
    made = KVSharedS3(HeadConfig(d_model=c.d_model, n_heads=c.n_heads, n_kv_heads=1), width, 0)
    made.to(old.W_Q)
    for weight in made.parameters():
        nn.init.zeros_(weight)
    made.heads.W_K[0] = torch.cat([*old.W_K, *old.W_V], -1)
    for h in range(c.n_heads):
        key = h // (c.n_heads // g) * d
        value = g * d + key
        # Wider queries are divided by the root of 2·G times as many dimensions.
        made.heads.W_Q[h, :, key : key + d] = old.W_Q[h] * (2 * g) ** 0.5
        made.heads.W_O[h, value : value + d] = old.W_O[h]
    return made
