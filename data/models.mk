# The demo models, remade with our own trainer from the generator's texts: about an hour on two cores.
# Two trainings run side by side, one core each.
WORK ?= out/models
T = GOMAXPROCS=1 bin/profuser-trainer
L = data/tokenizers/llama
M = data/tokenizers/mpt

demo-models: build ## remake the demo models and print how able they are
	go run ./data/world/generate -models $(WORK)/texts
	$(T) pretrain --data $(WORK)/texts/sage.jsonl --config $(M)/config.json --tokenizer $(M) --out data/models/sage --tokens 2300000 & \
	  $(T) pretrain --data $(WORK)/texts/base.jsonl --config $(L)/config.json --tokenizer $(L) --out data/models/base --tokens 1800000 && \
	  $(T) pretrain --data $(WORK)/texts/reckoner.jsonl --init data/models/base --out data/models/reckoner --tokens 2400000 --learning-rate 2e-3 && wait $$!
