"""Makes golden/: tiny random models, merge files, and what mergekit makes of them.

    python3 -m venv VENV && VENV/bin/pip install mergekit==0.1.5 torch==2.11.0 numpy
    VENV/bin/python golden.py

golden/float32, golden/bfloat16 (mergekit computes in bfloat16) and golden/bfloat16-in-float32 (the same models; dtype: float32,
out_dtype: bfloat16, so it rounds once, at the end, as we do) have the models (base, a, b, c, near, opposite; 4,308 weights each), CASE.yaml and CASE.safetensors
with mergekit's result. Tests compare ours with it and need no Python. Methods that draw random numbers are only here with density 1, where
they draw none. The merge files name models beside them, so mergekit runs in that folder.
"""

import json
import os
import shutil
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.io.tasks import LoaderCache
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file, save_file

HIDDEN, INNER, VOCABULARY, LAYERS = 12, 16, 32, 3
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
    "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "hidden_act": "silu",
}


def shapes():
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for n in "qkvo":
            yield p + f"self_attn.{n}_proj.weight", (HIDDEN, HIDDEN)
        yield p + "mlp.gate_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.up_proj.weight", (INNER, HIDDEN)
        yield p + "mlp.down_proj.weight", (HIDDEN, INNER)
        yield p + "input_layernorm.weight", (HIDDEN,)
        yield p + "post_attention_layernorm.weight", (HIDDEN,)


def models(dtype):
    g = torch.Generator().manual_seed(7)

    def noise(scale):
        return {n: torch.randn(s, generator=g) * scale for n, s in shapes()}

    base = noise(0.1)
    for n in base:
        if "norm" in n:
            base[n] += 1
    out = {"base": base}
    for name in "abc":
        d = noise(0.03)
        out[name] = {n: base[n] + d[n] for n in base}
    d = noise(0.0005)
    out["near"] = {n: base[n] + d[n] for n in base}
    out["opposite"] = {n: -2 * base[n] for n in base}
    return {m: {n: x.to(dtype).contiguous() for n, x in w.items()} for m, w in out.items()}


def listed(*names, **each):
    return [{"model": n, "parameters": {k: v[i] for k, v in each.items()}} if each else {"model": n} for i, n in enumerate(names)]


def sliced(*sources, **more):
    return {"sources": [{"model": m, "layer_range": r} for m, r in sources], **more}


def deltas(method, **parameters):
    return dict(merge_method=method, base_model="base", models=listed("a", "b", weight=[0.7, 0.4]), parameters=parameters)


T = [{"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]}, {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]}, {"value": 0.5}]
CASES = {
    "linear": dict(merge_method="linear", models=listed("a", "b", "c", weight=[0.5, 0.3, 1.2])),
    "linear-sum": dict(merge_method="linear", models=listed("a", "b", weight=[0.5, -0.3]), parameters={"normalize": False}),
    "linear-gradient": dict(merge_method="linear", models=[
        {"model": "a", "parameters": {"weight": [{"filter": "mlp", "value": [0.2, 1]}, {"filter": "norm", "value": 2}]}},
        {"model": "b", "parameters": {"weight": [1, 0.5, 3]}}], parameters={"weight": 0.25}),
    "slerp": dict(merge_method="slerp", base_model="base", models=listed("base", "a"), parameters={"t": 0.3}),
    "slerp-slices": dict(merge_method="slerp", base_model="base", slices=[sliced(("base", [0, LAYERS]), ("a", [0, LAYERS]))], parameters={"t": T}),
    "slerp-near": dict(merge_method="slerp", base_model="base", models=listed("near", "base"), parameters={"t": 0.4}),
    "slerp-opposite": dict(merge_method="slerp", base_model="base", models=listed("opposite"), parameters={"t": 0.25}),
    "task_arithmetic": deltas("task_arithmetic"),
    "task_arithmetic-lambda": deltas("task_arithmetic", **{"lambda": 0.6, "normalize": True}),
    "ties": deltas("ties", density=0.5),
    "ties-three": dict(merge_method="ties", base_model="base", models=listed("base", "a", "b", "c", weight=[1, 0.5, -0.3, 0.8], density=[1, 0.3, 0.6, 1]),
                       parameters={"normalize": False, "lambda": 1.3, "int8_mask": True}),
    "ties-gradient": deltas("ties", density=[1, 0.7, 0.1]),
    "ties-rescale": deltas("ties", density=0.2, rescale=True),
    "dare_linear": deltas("dare_linear", density=1.0),
    "dare_ties": deltas("dare_ties", density=1.0, **{"lambda": 0.5}),
    "breadcrumbs": deltas("breadcrumbs", density=0.7, gamma=0.1),
    "breadcrumbs_ties": deltas("breadcrumbs_ties", density=0.95, gamma=0.1),
    "della": deltas("della", density=1.0),
    "della_linear": deltas("della_linear", density=1.0),
    "nuslerp": dict(merge_method="nuslerp", models=listed("a", "b", weight=[0.3, 0.5])),
    "nuslerp-base": dict(merge_method="nuslerp", base_model="base", models=listed("a", "b", weight=[1, 3])),
    "nuslerp-rows": dict(merge_method="nuslerp", models=listed("a", "base", weight=[1, 1]), parameters={"nuslerp_flatten": False}),
    "nuslerp-columns": dict(merge_method="nuslerp", base_model="base", models=listed("a", "b", weight=[1, 2]),
                            parameters={"nuslerp_flatten": False, "nuslerp_row_wise": True}),
    "model_stock": dict(merge_method="model_stock", base_model="base", models=listed("a", "b", "c")),
    "model_stock-filters": dict(merge_method="model_stock", base_model="base", models=listed("a", "b"), parameters={"filter_wise": True}),
    "sce": dict(merge_method="sce", base_model="base", models=listed("a", "b", "c")),
    "sce-topk": dict(merge_method="sce", base_model="base", models=listed("a", "b", "c"), parameters={"select_topk": 0.3}),
    "stack": dict(merge_method="passthrough", slices=[
        sliced(("a", [0, 2])),
        {"sources": [{"model": "b", "layer_range": [1, 3], "parameters": {"scale": [{"filter": "o_proj", "value": 0.5}, {"value": 1}]}}]}]),
    "slices-linear": dict(merge_method="linear", slices=[
        {"sources": [{"model": "a", "layer_range": [0, 2], "parameters": {"weight": [1, 2]}}, {"model": "b", "layer_range": [1, 3], "parameters": {"weight": 1}}]},
        {"sources": [{"model": "b", "layer_range": [2, 3]}, {"model": "c", "layer_range": [0, 1]}], "parameters": {"weight": 1}}]),
    "to-float16": dict(merge_method="linear", models=listed("a", "b", weight=[1, 1]), out_dtype="float16"),
    "to-bfloat16": dict(merge_method="linear", models=listed("a", "b", weight=[1, 1]), out_dtype="bfloat16"),
}


def main():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
    shutil.rmtree(here, ignore_errors=True)
    for name, dtype, arithmetic in (("float32", torch.float32, False), ("bfloat16", torch.bfloat16, False), ("bfloat16-in-float32", torch.bfloat16, True)):
        at = os.path.join(here, name)
        for model, weights in models(dtype).items():
            os.makedirs(os.path.join(at, model))
            save_file(weights, os.path.join(at, model, "model.safetensors"), metadata={"format": "pt"})
            with open(os.path.join(at, model, "config.json"), "w") as f:
                json.dump(CONFIG, f, indent=1)
        os.chdir(at)
        LoaderCache().loaders.clear()  # it knows models by their relative names
        for case, config in CASES.items():
            if arithmetic:
                config = dict(config, dtype="float32", out_dtype=config.get("out_dtype", "bfloat16"))
            text = yaml.safe_dump(config, sort_keys=False)
            with open(case + ".yaml", "w") as f:
                f.write(text)
            run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), "out",
                      MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True))
            files = [f for f in os.listdir("out") if f.endswith(".safetensors")]
            assert len(files) == 1, files
            save_file(load_file(os.path.join("out", files[0])), case + ".safetensors", metadata={"format": "pt"})
            shutil.rmtree("out")
            print(name, case, file=sys.stderr)


if __name__ == "__main__":
    main()
