"""Writes logits.json of llama/ and mpt/: what PEFT makes of adapters on the base models here.

  go test ./trainer/lora -run PEFT -rewrite      # base/ and adapter/, ours (the comparison fails until this has run)
  python trainer/lora/testdata/expect.py           # peft/ and logits.json

Needs torch, transformers and peft (2.11.0, 5.24.0 and 0.21.2 when this was run). adapter/ is what our trainer writes, loaded by
PeftModel.from_pretrained; peft/ is an adapter that PEFT made and saved itself, with rank-stabilised scale.
"""
import json
import pathlib

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

here = pathlib.Path(__file__).parent
tokens = torch.tensor([i * 7 % 80 for i in range(12)]).reshape(2, 6)
places = [1, 5, 7, 11]


def logits(model):
    with torch.no_grad():
        out = model(tokens).logits
    return [x for place in places for x in out.reshape(12, -1)[place].tolist()]


for name, targets in (("llama", ["q_proj", "o_proj", "down_proj"]), ("mpt", ["Wqkv", "up_proj"])):
    base = lambda: AutoModelForCausalLM.from_pretrained(here / name / "base", dtype=torch.float32).eval()
    ours = PeftModel.from_pretrained(base(), here / name / "adapter").eval()
    result = {"adapter": logits(ours)}
    merged = logits(ours.merge_and_unload())
    assert max(abs(a - b) for a, b in zip(result["adapter"], merged)) < 1e-5

    torch.manual_seed(1)
    made = get_peft_model(base(), LoraConfig(r=3, lora_alpha=6, use_rslora=True, target_modules=targets, task_type="CAUSAL_LM")).eval()
    for key, value in made.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(value, std=0.2)
    result["peft"] = logits(made)
    made.save_pretrained(here / name / "peft")
    (here / name / "peft" / "README.md").unlink()  # peft's empty model card
    settings = here / name / "peft" / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": "base"}, indent=2) + "\n")  # no path of this machine
    text = json.dumps({key: [round(x, 6) for x in value] for key, value in result.items()})
    (here / name / "logits.json").write_text(text + "\n")
    print(name, {key: (min(value), max(value)) for key, value in result.items()})
