"""Pretrained families by architecture: random weights, real code, patterns as transformers' own."""

import pytest
import torch
import transformers as hf

from interp.adapters.streamed import dense
from interp.catalog import load
from interp.measurements import prompt, repeats
from interp.progress import Silent
from interp.registry import PROBES
from interp.subject import Refused, pattern_name

SMALL = dict(
    vocab_size=330, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=128, intermediate_size=64,
)  # fmt: skip
GROUPED = dict(SMALL, num_key_value_heads=2)
FAMILIES = {
    "neox": (hf.GPTNeoXConfig, SMALL),
    "opt": (hf.OPTConfig, dict(SMALL, ffn_dim=64, word_embed_proj_dim=32)),
    "bloom": (hf.BloomConfig, dict(vocab_size=330, hidden_size=32, n_layer=2, n_head=4)),
    "qwen3": (hf.Qwen3Config, dict(GROUPED, head_dim=8)),
    "mistral": (hf.MistralConfig, dict(GROUPED, sliding_window=8)),
    "gemma2": (hf.Gemma2Config, dict(GROUPED, head_dim=8)),
    "phi": (hf.PhiConfig, SMALL),
    "gpt_oss": (
        hf.GptOssConfig,
        dict(GROUPED, head_dim=8, num_local_experts=2, num_experts_per_tok=1),
    ),
    "falcon": (
        hf.FalconConfig,
        dict(vocab_size=330, hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
    ),
}


def save(folder, family, tokenizer):
    """A folder with a random model of that family."""
    config, widths = FAMILIES[family]
    torch.manual_seed(0)
    hf.AutoModelForCausalLM.from_config(config(**widths)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_matrices_logits_replay_and_probes(family, tmp_path, text_tokenizer):
    subject = load(str(save(tmp_path, family, text_tokenizer)))
    ids = subject.encode("the cat sat on the mat, and the dog saw the cat").ids
    seen: dict[int, torch.Tensor] = {}
    watch = {pattern_name(i): lambda a, i=i: seen.__setitem__(i, a) for i in range(2)}
    logits = subject.forward(torch.tensor([ids]), watch)
    plain = hf.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = plain(torch.tensor([ids]), output_attentions=True)
    # The bridge runs the family's own arithmetic; alibi and joint weights round once more.
    assert (logits - expected.logits).abs().max() < 1e-6
    for layer, pattern in seen.items():
        assert (pattern - expected.attentions[layer]).abs().max() < 1e-6
    assert subject.card.sink_slot == (family == "gpt_oss")
    assert subject.card.row_stochastic == (family != "gpt_oss")

    request, silent = prompt.PromptRequest(ids=ids), Silent()
    reading = prompt.read(subject, request, silent)
    again = dense(subject.source(reading.kept, 1))
    assert (again - seen[1]).abs().max() < 1e-6
    twice = repeats.RepeatsRequest(length=8, sequences=2)
    for probe in PROBES.values():
        result = probe.run(subject, request if probe.measurement.needs_prompt else twice, silent)
        assert all(score.controls for score in result.scores)


def test_a_model_without_attention_matrices_is_refused_by_layer(tmp_path, text_tokenizer):
    config = hf.MambaConfig(vocab_size=330, hidden_size=32, num_hidden_layers=2)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    text_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(Refused, match="Layer 0 of .* shows no attention matrix"):
        load(str(tmp_path))
