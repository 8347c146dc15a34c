"""Writes NAME.json of each folder of results/: the logits that transformers computes from it.

  go test ./trainer/result -run Transformers -rewrite     # results/
  python trainer/result/testdata/expect.py

Needs torch and transformers (2.11.0 and 5.24.0 when this was run). Weights are widened to float32, as ours are.
"""
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM

here = pathlib.Path(__file__).parent
tokens = torch.tensor([i * 7 % 80 for i in range(12)]).reshape(2, 6)
for folder in sorted((here / "results").iterdir()):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    with torch.no_grad():
        logits = model.eval()(tokens).logits.flatten().tolist()
    (here / (folder.name + ".json")).write_text(json.dumps([round(x, 5) for x in logits]) + "\n")
    print(folder.name, min(logits), max(logits))
