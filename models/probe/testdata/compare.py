"""Compares `profuser score` and `profuser sample --greedy --chat` with transformers on a model directory, in float32:

    python compare.py PROFUSER MODEL_DIR ROWS.jsonl   # rows as `profuser score` reads them

Prints the largest difference of a token's log-prob, of nats a token by row, whether the tokens and the first of the most
probable ones agree, and whether a greedy answer has the same tokens. Run by hand, with torch and transformers.
"""

import json
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

profuser, folder, path = sys.argv[1:]
rows = [json.loads(line) for line in open(path)]
done = subprocess.run([profuser, "score", "--model", folder, path], capture_output=True, text=True, check=True)
scores = [json.loads(line) for line in done.stdout.splitlines()]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
token = mean = 0.0
tokens = same_top = tops = 0
for row, got in zip(rows, scores, strict=True):
    if "messages" in row:
        prompt = tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        ids = tokenizer(row["response"], add_special_tokens=False)["input_ids"] + [got["ids"][-1]]
    else:
        prompt, ids = [], row.get("ids") or tokenizer(row["text"], add_special_tokens=False)["input_ids"]
    assert ids == got["ids"], (row, ids, got["ids"])
    with torch.no_grad():
        log_probs = torch.log_softmax(model(torch.tensor([prompt + ids])).logits[0].double(), -1)
    places = range(len(prompt) - 1, len(prompt) + len(ids) - 1) if prompt else range(len(ids) - 1)
    want = [log_probs[t, (prompt + ids)[t + 1]].item() for t in places]
    assert len(want) == len(got["token_logprobs"])
    token = max([token] + [abs(a - b) for a, b in zip(want, got["token_logprobs"])])
    mean = max(mean, abs(-sum(want) - got["nats"]) / max(1, len(want)))
    tokens += len(want)
    for t, top in zip(places, got["top_ids"]):
        same_top, tops = same_top + (log_probs[t].argmax().item() == top[0]), tops + 1
print(f"{len(rows)} rows, {tokens} tokens: log-prob of a token differs by up to {token:.2e}, nats a token of a row by {mean:.2e}; "
      f"most probable token equal at {same_top} of {tops} places")
for row in rows:
    if "messages" not in row:
        continue
    text = row["messages"][-1]["content"]
    out = subprocess.run([profuser, "sample", "--model", folder, "--prompt", text, "--chat", "--greedy", "--max-tokens", "40", "--json"],
                         capture_output=True, text=True, check=True)
    got = json.loads(out.stdout)
    prompt = torch.tensor([got["prompt_ids"]])
    want = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, repetition_penalty=1.0, max_new_tokens=40)[0, prompt.shape[1]:].tolist()
    same = next((i for i, (a, b) in enumerate(zip(want, got["ids"])) if a != b), min(len(want), len(got["ids"])))
    print(f"{same} of {len(want)} greedy tokens equal: {text[:40]!r} -> {got['text'][:100]!r}")
