#!/usr/bin/env python3
"""Runs the reading example of docs/datasets.md, as it stands there, on the shard beside this file and the demo's target, and
writes its two numbers to shard.json, which TestShard compares the trainer with.

  python3 -m venv V && V/bin/pip install -q torch transformers pyarrow && V/bin/python trainer/fusing/testdata/shard.py

The shard: the first 24 prompts of data/prompts.jsonl through fusion.yaml (profuser run fusion.yaml --set truncate.mass=0.95).
"""
import json, pathlib, re, subprocess, sys, tempfile

here = pathlib.Path(__file__).resolve().parent
root = here.parents[2]
example = re.search(r"```python\n(.*?)```", (root / "docs/datasets.md").read_text(), re.S).group(1)
with tempfile.NamedTemporaryFile("w", suffix=".py") as f:
    f.write(example)
    f.flush()
    out = {}
    for mode in ["inference", "training"]:
        said = subprocess.run([sys.executable, f.name, root / "data/models/target", here / "shard/fusion" / mode], check=True, capture_output=True, text=True).stdout
        print(mode, said, end="")
        rows, sft, kl = re.match(r"(\d+) rows: .*? ([\d.]+) nats, .*? ([\d.]+) nats", said).groups()
        out[mode] = {"rows": int(rows), "sft": float(sft), "kl": float(kl)}
(here / "shard.json").write_text(json.dumps(out, indent=2) + "\n")
