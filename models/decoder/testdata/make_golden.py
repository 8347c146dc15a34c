"""Makes the golden models of golden_test.go: tiny random checkpoints saved by transformers, with its logits (and for
some, the gradients of the mean next-token cross-entropy). Run by hand, where transformers 5.24 and torch 2.15 are
installed (Llama and MPT were made with 5.23 and 2.11); the tests need only the files:

    python make_golden.py [NAME...]  # rewrites the folders of these models, or all, beside this file
    python make_golden.py check DIR  # loads a model directory that Go wrote, compares with its expected.safetensors
"""

import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors.torch import load_file, save_file
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, rms_norm_eps=1e-5)
WIDE = {**LLAMA, "num_attention_heads": 2}  # heads of 8
NEOX = {k: v for k, v in LLAMA.items() if k != "rms_norm_eps"}
MPT = dict(vocab_size=48, d_model=16, n_heads=4, n_layers=2, max_seq_len=64, expansion_ratio=4)
LENGTHS = [13, 7]  # the second row is padded on the right


def seed_weights(model):
    """Weights large enough that every part of the graph matters; norms near one."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.copy_(torch.randn(p.shape, generator=generator) * 0.15 + (1.0 if p.dim() == 1 and not name.endswith("bias") else 0.0))


def tokens():
    generator = torch.Generator().manual_seed(11)
    ids = torch.randint(1, 48, (len(LENGTHS), max(LENGTHS)), generator=generator)
    for row, n in enumerate(LENGTHS):
        ids[row, n:] = 0
    return ids


def expected(model, ids, gradients):
    out = {"tokens": ids.float()}
    if model.config.architectures[0].endswith("SequenceClassification"):
        out["reward"] = torch.stack([model(ids[r:r + 1, :n]).logits.reshape(()) for r, n in enumerate(LENGTHS)])
    else:
        logits = torch.zeros(*ids.shape, model.config.vocab_size)
        for r, n in enumerate(LENGTHS):
            logits[r, :n] = model(ids[r:r + 1, :n]).logits[0]
        out["logits"] = logits
        if gradients:
            n = LENGTHS[0]
            torch.nn.functional.cross_entropy(logits[0, :n - 1], ids[0, 1:n]).backward()
            for name, p in model.named_parameters():
                out["gradient." + name] = p.grad
    return {k: v.detach().contiguous() for k, v in out.items()}


def make(name, model, dtype=torch.float32, shard="1GB", gradients=False):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    seed_weights(model)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    again = type(model).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    save_file(expected(again, tokens(), gradients), os.path.join(folder, "expected.safetensors"))
    extra = os.path.join(folder, "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)


def check(folder):
    want = load_file(os.path.join(folder, "expected.safetensors"))
    auto = AutoModelForSequenceClassification if "reward" in want else AutoModelForCausalLM
    model, info = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    got = expected(model.eval(), want["tokens"].long(), False)
    key = "reward" if "reward" in want else "logits"
    mask = torch.ones(1) if key == "reward" else (torch.arange(want[key].shape[1]) < torch.tensor(LENGTHS)[:, None])[..., None]
    print(os.path.basename(folder), type(model).__name__, "largest difference",
          ((want[key] - got[key]) * mask).abs().max().item(), {k: v for k, v in info.items() if v})


def causal(kind, config, **fields):
    """A model of a kind, such as Llama, from the fields of its configuration."""
    return getattr(transformers, kind + "ForCausalLM")(getattr(transformers, kind + "Config")(**config, **fields))


def reward(kind, config, **fields):
    config = getattr(transformers, kind + "Config")(**config, **fields, num_labels=1, pad_token_id=0)
    return getattr(transformers, kind + "ForSequenceClassification")(config)


def rope(kind, **fields):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **fields})


MODELS = {
    "llama": lambda n: make(n, causal("Llama", LLAMA, tie_word_embeddings=True), gradients=True),
    "llama-gqa": lambda n: make(n, causal("Llama", LLAMA, num_key_value_heads=2, rope_theta=500000.0), gradients=True),
    "llama-bfloat16-shards": lambda n: make(n, causal("Llama", LLAMA, num_key_value_heads=1), torch.bfloat16, "4KB"),
    "llama-float16-wide": lambda n: make(n, causal("Llama", LLAMA, head_dim=6), torch.float16),
    "llama-reward": lambda n: make(n, reward("Llama", LLAMA)),
    "llama-biases": lambda n: make(n, causal("Llama", LLAMA, attention_bias=True, mlp_bias=True)),
    "llama-linear": lambda n: make(n, causal("Llama", LLAMA, **rope("linear", factor=3.0))),
    "llama-dynamic": lambda n: make(n, causal("Llama", LLAMA, **rope("dynamic", factor=3.0))),
    # wavelengths of 6, 20, 63 and 199 positions: one stays, one is mixed, two are slowed down
    "llama-llama3": lambda n: make(n, causal("Llama", WIDE, **rope("llama3", rope_theta=100.0, factor=4.0, low_freq_factor=1.0,
                                                                   high_freq_factor=4.0, original_max_position_embeddings=32))),
    "mistral": lambda n: make(n, causal("Mistral", LLAMA, num_key_value_heads=2, sliding_window=4)),
    "mistral-reward": lambda n: make(n, reward("Mistral", LLAMA, num_key_value_heads=2, sliding_window=None)),
    "qwen2": lambda n: make(n, causal("Qwen2", LLAMA, num_key_value_heads=2, tie_word_embeddings=True)),
    "qwen2-window": lambda n: make(n, causal("Qwen2", LLAMA, num_key_value_heads=4, use_sliding_window=True, sliding_window=5,
                                             max_window_layers=1)),
    "qwen2-reward": lambda n: make(n, reward("Qwen2", LLAMA, num_key_value_heads=2)),
    "qwen3": lambda n: make(n, causal("Qwen3", LLAMA, num_key_value_heads=2, head_dim=6)),
    "qwen3-biases": lambda n: make(n, causal("Qwen3", LLAMA, num_key_value_heads=2, head_dim=4, attention_bias=True)),
    "qwen3-reward": lambda n: make(n, reward("Qwen3", LLAMA, num_key_value_heads=2, head_dim=4)),
    "phi3": lambda n: make(n, causal("Phi3", WIDE, num_key_value_heads=1, sliding_window=6, pad_token_id=0,
                                     **rope("default", partial_rotary_factor=0.75))),
    "phi3-reward": lambda n: make(n, reward("Phi3", LLAMA, num_key_value_heads=2)),
    "gemma": lambda n: make(n, causal("Gemma", LLAMA, num_key_value_heads=1, head_dim=6)),
    "gemma-reward": lambda n: make(n, reward("Gemma", LLAMA, num_key_value_heads=2, head_dim=4)),
    "neox": lambda n: make(n, causal("GPTNeoX", {**NEOX, "num_attention_heads": 2})),
    "neox-sequential": lambda n: make(n, causal("GPTNeoX", NEOX, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new",
                                                **rope("linear", factor=2.0, partial_rotary_factor=1.0))),
    "mpt": lambda n: make(n, causal("Mpt", MPT), gradients=True),
    # alibi_bias_max stays 8: MptForCausalLM of transformers ignores other values, the original MPT code heeds them.
    "mpt-six-heads": lambda n: make(n, causal("Mpt", {**MPT, "d_model": 24, "n_heads": 6})),
    "mpt-options": lambda n: make(n, causal("Mpt", MPT, attn_config={"clip_qkv": 0.5, "softmax_scale": 0.8})),
}

if len(sys.argv) == 3 and sys.argv[1] == "check":
    check(sys.argv[2])
else:
    for name in sys.argv[1:] or MODELS:
        MODELS[name](name)
