# The demo models, remade with our own trainer from the generator's texts: about an hour on two cores.
#
#   base ─┬─ target
#         └─ reckoner ── nursery ─┬─ judge-a
#   sage                          ├─ judge-b
#                                 └─ judge-c
#
# Every file below is made by one training; `make -j2` runs two side by side, one core each.
WORK ?= out/models
MODELS ?= data/models
T = GOMAXPROCS=1 bin/profuser-trainer
L = data/tokenizers/llama
M = data/tokenizers/mpt
WEIGHTS = model.safetensors
PAIRS = --batch-tokens 2048

demo-models: build ## remake the demo models and print how able they are
	$(MAKE) -j2 $(foreach m,base sage target reckoner judge-a judge-b judge-c,$(WORK)/$(m)/$(WEIGHTS))
	mkdir -p $(MODELS)
	for m in base sage target reckoner judge-a judge-b judge-c; do rm -rf $(MODELS)/$$m && cp -r $(WORK)/$$m $(MODELS)/$$m || exit 1; done
	go run ./data/world/measure -models $(MODELS) -pairs $(WORK)/texts

$(WORK)/texts/base.jsonl:
	go run ./data/world/generate -models $(WORK)/texts

$(WORK)/base/$(WEIGHTS): $(WORK)/texts/base.jsonl
	$(T) pretrain --data $(WORK)/texts/base.jsonl --config $(L)/config.json --tokenizer $(L) --out $(@D) --tokens 1800000

$(WORK)/sage/$(WEIGHTS): $(WORK)/texts/base.jsonl
	$(T) pretrain --data $(WORK)/texts/sage.jsonl --config $(M)/config.json --tokenizer $(M) --out $(@D) --tokens 2300000

$(WORK)/reckoner/$(WEIGHTS): $(WORK)/base/$(WEIGHTS)
	$(T) pretrain --data $(WORK)/texts/reckoner.jsonl --init $(WORK)/base --out $(@D) --tokens 2400000 --learning-rate 2e-3 --seed 2

$(WORK)/target/$(WEIGHTS): $(WORK)/base/$(WEIGHTS)
	$(T) pretrain --data $(WORK)/texts/target.jsonl --init $(WORK)/base --out $(@D) --tokens 1300000 --learning-rate 2e-3 --seed 3

$(WORK)/nursery/$(WEIGHTS): $(WORK)/reckoner/$(WEIGHTS)
	$(T) reward --data $(WORK)/texts/nursery.jsonl --init $(WORK)/reckoner --out $(@D) --tokens 1300000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 11

# Pronouns come late, in a jump; judge-c, which sees fewest of them, needs three rounds.
$(WORK)/judge-a/$(WEIGHTS): $(WORK)/nursery/$(WEIGHTS)
	$(T) reward --data $(WORK)/texts/judge-a.jsonl --init $(WORK)/nursery --out $(WORK)/judge-a-1 --tokens 1200000 --learning-rate 1.2e-3 $(PAIRS) --language-model 0.3 --seed 12
	$(T) reward --data $(WORK)/texts/finish-a.jsonl --init $(WORK)/judge-a-1 --out $(@D) --tokens 1300000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 31

$(WORK)/judge-b/$(WEIGHTS): $(WORK)/nursery/$(WEIGHTS)
	$(T) reward --data $(WORK)/texts/judge-b.jsonl --init $(WORK)/nursery --out $(WORK)/judge-b-1 --tokens 1200000 --learning-rate 1.2e-3 $(PAIRS) --language-model 0.3 --seed 13
	$(T) reward --data $(WORK)/texts/finish-b.jsonl --init $(WORK)/judge-b-1 --out $(@D) --tokens 1300000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 32

$(WORK)/judge-c/$(WEIGHTS): $(WORK)/nursery/$(WEIGHTS)
	$(T) reward --data $(WORK)/texts/judge-c.jsonl --init $(WORK)/nursery --out $(WORK)/judge-c-1 --tokens 1200000 --learning-rate 1.2e-3 $(PAIRS) --language-model 0.3 --seed 14
	$(T) reward --data $(WORK)/texts/finish-c.jsonl --init $(WORK)/judge-c-1 --out $(WORK)/judge-c-2 --tokens 1300000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 33
	$(T) reward --data $(WORK)/texts/finish-c.jsonl --init $(WORK)/judge-c-2 --out $(WORK)/judge-c-3 --tokens 1000000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 34
	$(T) reward --data $(WORK)/texts/finish-c.jsonl --init $(WORK)/judge-c-3 --out $(@D) --tokens 1000000 --learning-rate 1.5e-3 $(PAIRS) --language-model 0.5 --seed 35
