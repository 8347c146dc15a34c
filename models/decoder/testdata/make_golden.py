"""Makes the golden models of golden_test.go: tiny random checkpoints saved by transformers, with its logits (and for
some, the gradients of the mean next-token cross-entropy). Run by hand, where transformers 5.23 and torch 2.11 are
installed; the tests need only the files:

    python make_golden.py            # rewrites the folders beside this file
    python make_golden.py check DIR  # loads a model directory that Go wrote, compares with its expected.safetensors
"""

import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, MptConfig, MptForCausalLM

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, rms_norm_eps=1e-5)
MPT = dict(vocab_size=48, d_model=16, n_heads=4, n_layers=2, max_seq_len=64, expansion_ratio=4)
LENGTHS = [13, 7]  # the second row is padded on the right


def seed_weights(model):
    """Weights large enough that every part of the graph matters; norms near one."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.copy_(torch.randn(p.shape, generator=generator) * 0.15 + (1.0 if p.dim() == 1 else 0.0))


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


if len(sys.argv) == 3 and sys.argv[1] == "check":
    check(sys.argv[2])
else:
    make("llama", LlamaForCausalLM(LlamaConfig(**LLAMA, tie_word_embeddings=True)), gradients=True)
    make("llama-gqa", LlamaForCausalLM(LlamaConfig(**LLAMA, num_key_value_heads=2, rope_theta=500000.0)), gradients=True)
    make("llama-bfloat16-shards", LlamaForCausalLM(LlamaConfig(**LLAMA, num_key_value_heads=1)), torch.bfloat16, "4KB")
    make("llama-float16-wide", LlamaForCausalLM(LlamaConfig(**LLAMA, head_dim=6)), torch.float16)
    make("llama-reward", LlamaForSequenceClassification(LlamaConfig(**LLAMA, num_labels=1, pad_token_id=0)))
    make("mpt", MptForCausalLM(MptConfig(**MPT)), gradients=True)
    # alibi_bias_max stays 8: MptForCausalLM of transformers ignores other values, the original MPT code heeds them.
    make("mpt-six-heads", MptForCausalLM(MptConfig(**{**MPT, "d_model": 24, "n_heads": 6})))
