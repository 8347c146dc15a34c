"""Measures profuser-trainer merge against mergekit, and linear against dd, in one run on one machine.

    VENV/bin/python bench.py PROFUSER_TRAINER FOLDER [ROUNDS]

VENV as in golden.py (mergekit==0.1.5 torch==2.11.0). Makes three random bfloat16 models of 611 M weights in FOLDER (3.7 GB, and
as much again for results), merges them with both in turns, ROUNDS times (3), prints CPU seconds (user + system), wall
seconds and peak resident memory of each process, and removes the models. dd copies what linear reads.
"""

import json
import math
import os
import shutil
import sys
import time

HIDDEN, INNER, VOCABULARY, LAYERS = 1024, 3584, 151936, 30
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
    "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 16, "num_key_value_heads": 16,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "hidden_act": "silu", "torch_dtype": "bfloat16",
}
MODELS = "base", "a", "b"


def shapes():
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for n in "qkvo":
            yield p + f"self_attn.{n}_proj.weight", (HIDDEN, HIDDEN)
        yield p + "mlp.gate_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.up_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.down_proj.weight", (HIDDEN, INNER)
        yield p + "input_layernorm.weight", (HIDDEN,)
        yield p + "post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)


def make(folder):
    """Writes the models piece by piece; numbers come from pools of normal ones, read from random places."""
    import numpy as np

    r = np.random.default_rng(1)
    n = 1 << 22
    pools = {m: r.standard_normal(n, dtype=np.float32) * (0.02 if m == "base" else 0.002) for m in MODELS}
    header, at, places = {}, 0, []
    for name, shape in shapes():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
        places.append(size // 2)
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    files = {}
    for m in MODELS:
        os.makedirs(os.path.join(folder, m))
        with open(os.path.join(folder, m, "config.json"), "w") as f:
            json.dump(CONFIG, f)
        files[m] = open(os.path.join(folder, m, "model.safetensors"), "wb")
        files[m].write(len(raw).to_bytes(8, "little") + raw)
    for elements in places:
        for start in range(0, elements, n // 2):
            count = min(n // 2, elements - start)
            base = pools["base"][(o := int(r.integers(n // 2))):o + count]
            for m in MODELS:
                x = base if m == "base" else base + pools[m][(o := int(r.integers(n // 2))):o + count]
                u = x.view(np.uint32)
                files[m].write(((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16).tobytes())
    for f in files.values():
        f.close()


RECIPES = {
    "ties": "merge_method: ties\nbase_model: base\nparameters: {weight: 0.5, density: 0.5}\nmodels: [{model: a}, {model: b}]\ndtype: bfloat16\n",
    "slerp": "merge_method: slerp\nbase_model: base\nparameters: {t: 0.4}\nmodels: [{model: base}, {model: a}]\ndtype: bfloat16\n",
    "linear": "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: base}, {model: a}, {model: b}]\ndtype: bfloat16\n",
}


def measure(*command):
    """Runs a command; CPU seconds, wall seconds and peak resident bytes of it."""
    shutil.rmtree("out", ignore_errors=True)
    os.sync()
    start = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, fd, "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for fd in (1, 2)])
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"{' '.join(command)} failed: " + open("log").read()[-2000:])
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024


def main():
    trainer, folder, rounds = os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3
    mergekit = os.path.join(os.path.dirname(sys.executable), "mergekit-yaml")
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    for m in MODELS:
        shutil.rmtree(m, ignore_errors=True)
    if not (child := os.fork()):  # a process starts with the peak memory of its parent, so this one stays small
        make(".")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("the models could not be made")
    size = 2 * sum(math.prod(shape) for _, shape in shapes())
    print(f"3 models of {size // 2 / 1e6:.0f} M weights, {size / 1e9:.2f} GB each")
    try:
        for name, text in RECIPES.items():
            with open(name + ".yaml", "w") as f:
                f.write(text)
        report(trainer, mergekit, rounds, size)
    finally:
        for m in (*MODELS, "out", "out.partial", "copy"):
            shutil.rmtree(m, ignore_errors=True)


def report(trainer, mergekit, rounds, size):
    row = "{:8} {:10} {:>8.2f} CPU s {:>8.2f} s wall {:>8.0f} MB peak   load {:.1f}"
    for name in ("ties", "slerp"):
        for _ in range(rounds):
            load = os.getloadavg()[0]
            ours = measure(trainer, "merge", "--config", name + ".yaml", "--out", "out")
            print(row.format(name, "profuser", *ours[:2], ours[2] / 1e6, load), flush=True)
            load = os.getloadavg()[0]
            theirs = measure(mergekit, name + ".yaml", "out", "--no-copy-tokenizer", "--no-write-model-card", "--quiet")
            print(row.format(name, "mergekit", *theirs[:2], theirs[2] / 1e6, load), f"  CPU ratio {theirs[0] / ours[0]:.1f}", flush=True)
    copy = "mkdir copy && for m in base a b; do dd if=$m/model.safetensors of=copy/$m bs=1M{} 2>&1 || exit 1; done"
    for _ in range(2 * rounds):
        rates = {}
        for kind, command in {"dd": ("sh", "-c", copy.format("")), "dd+sync": ("sh", "-c", copy.format(" conv=fsync")), "profuser": (trainer, "merge", "--config", "linear.yaml", "--out", "out")}.items():
            shutil.rmtree("copy", ignore_errors=True)
            load = os.getloadavg()[0]
            cpu, wall, peak = measure(*command)
            rates[kind] = (4 if kind == "profuser" else 6) * size / wall  # linear writes one model, dd three
            print(row.format("linear", kind, cpu, wall, peak / 1e6, load), f"  {rates[kind] / 1e9:.2f} GB/s read and written", flush=True)
        print(f"linear reads and writes at {rates['profuser'] / rates['dd']:.2f} of dd's rate, {rates['profuser'] / rates['dd+sync']:.2f} of dd's with conv=fsync", flush=True)


if __name__ == "__main__":
    main()
