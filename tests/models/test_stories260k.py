"""A model that others trained, Karpathy's stories260K, tells its known story in our Transformer."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.transformer import Transformer, TransformerConfig

# llama2.c, doc/stories260K.md: what run.c prints at temperature 0 (MIT).
STORY = """\
Once upon a time, there was a little girl named Lily. She loved to play outside in the park. \
One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do. \
She said, "I want to play with your ball, but I can't find it."
Lily was sad and didn't know what to do. She said, "I'm sorry, Lily. I didn't know what to do."
Lily didn't want to help her mom, so she said, "I'm sorry, mom. I didn't know what to do." \
Her mom said, "Don't worry, Lily. We can help you."""
BOS = 1


class Export:
    """llama2.c's version 0 file: seven int32, then float32 tables one after the other."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        header = struct.unpack("7i", raw[:28])
        self.dim, self.hidden, self.layers, self.heads, self.kv, self.vocab, self.ctx = header
        self.floats, self.at = np.frombuffer(raw, "<f4", offset=28), 0

    def take(self, *shape: int) -> Tensor:
        """The next table."""
        start, self.at = self.at, self.at + int(np.prod(shape))
        return torch.tensor(self.floats[start : self.at]).reshape(shape)

    def heads_first(self, n: int) -> Tensor:
        """A stack of n·D x E projections as [layer, n, E, D]."""
        return self.take(self.layers, n, self.dim // self.heads, self.dim).mT


def halves(weight: Tensor) -> Tensor:
    """Columns for pairs (2i, 2i + 1) reordered to pairs (i, i + D/2)."""
    return torch.cat([weight[..., 0::2], weight[..., 1::2]], -1)


def read_model(path: Path) -> Transformer:
    """The export as one of our models."""
    f = Export(path)
    config = TransformerConfig(
        n_layers=f.layers,
        d_model=f.dim,
        n_heads=f.heads,
        n_kv_heads=f.kv,
        d_mlp=f.hidden,
        vocab_size=f.vocab,
        n_ctx=f.ctx,
    )
    tables = {"embed.W_E": f.take(f.vocab, f.dim)}
    stacks = {
        "ln1.w": f.take(f.layers, f.dim),
        "attn.mixer.heads.W_Q": halves(f.heads_first(f.heads)),
        "attn.mixer.heads.W_K": halves(f.heads_first(f.kv)),
        "attn.mixer.heads.W_V": f.heads_first(f.kv),
        "attn.mixer.heads.W_O": f.take(f.layers, f.dim, f.heads, f.dim // f.heads).permute(
            0, 2, 3, 1
        ),
        "ln2.w": f.take(f.layers, f.dim),
        "mlp.W_gate": f.take(f.layers, f.hidden, f.dim).mT,
        "mlp.W_out": f.take(f.layers, f.dim, f.hidden).mT,
        "mlp.W_in": f.take(f.layers, f.hidden, f.dim).mT,
    }
    tables["ln_final.w"] = f.take(f.dim)
    for name, stack in stacks.items():
        tables |= {f"blocks.{layer}.{name}": table for layer, table in enumerate(stack)}
    f.take(2, f.ctx, f.dim // f.heads // 2)  # cosines and sines that nobody reads any more
    assert f.at == len(f.floats), "the whole file is read, the unembedding is tied"
    model = Transformer(config)
    model.load_state_dict(tables)
    return model.eval()


def read_vocabulary(path: Path) -> list[str]:
    """tok512.bin: the longest length, then for each id a float score, a length and the bytes."""
    raw, at, pieces = path.read_bytes(), 4, []
    while at < len(raw):
        (length,) = struct.unpack("i", raw[at + 4 : at + 8])
        pieces.append(raw[at + 8 : at + 8 + length].decode())
        at += 8 + length
    return pieces


def text_of(ids: list[int], pieces: list[str]) -> str:
    """Ids after BOS as text; byte pieces read <0xNN> and the first word drops its space."""
    words = (pieces[i] for i in ids)
    text = "".join(chr(int(w[3:5], 16)) if w.startswith("<0x") else w for w in words)
    return text.removeprefix(" ")


Story = tuple[Transformer, list[str]]


@pytest.fixture(scope="module")
def story(shared_data: Callable[[str], Path]) -> Story:
    """The model and its vocabulary."""
    folder = shared_data("stories260K")
    return read_model(folder / "stories260K.bin"), read_vocabulary(folder / "tok512.bin")


def greedy(model: Transformer, n: int, slow: bool = False) -> list[int]:
    """The n likeliest next ids from BOS on; `slow` goes through the explicit matrix."""
    watch = [b.attn.hook_pattern.register_forward_hook(lambda *_: None) for b in model.blocks]
    if not slow:
        [hook.remove() for hook in watch]
    ids = [BOS]
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    [hook.remove() for hook in watch]
    return ids[1:]


def test_the_story_is_told_word_for_word(story: Story) -> None:
    model, pieces = story
    assert (model.config.n_layers, model.config.n_heads, model.config.n_kv_heads) == (5, 8, 4)
    assert text_of(greedy(model, 256), pieces) == STORY


def test_the_explicit_matrices_tell_the_same_story(story: Story) -> None:
    model, pieces = story
    told = text_of(greedy(model, 60, slow=True), pieces)
    assert len(told) > 100
    assert STORY.startswith(told)


def test_pairs_left_interleaved_would_spoil_it(story: Story) -> None:
    """The story depends on how rotary pairs lie, so it does test the rotation."""
    model, pieces = story
    weights = dict(model.state_dict())
    for name in [n for n in weights if n.endswith(("W_Q", "W_K"))]:
        weights[name] = torch.stack(weights[name].chunk(2, -1), -1).flatten(-2)
    wrong = Transformer(model.config).eval()
    wrong.load_state_dict(weights)
    assert not STORY.startswith(text_of(greedy(wrong, 40), pieces))
