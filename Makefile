# ProFuser. `make` lists the targets.
export GOEXPERIMENT := simd
export CGO_ENABLED := 0
FUZZTIME ?= 60s
TOOL := go tool -modfile=internal/lint/tools.mod

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\#.*/\1/p' $(MAKEFILE_LIST))

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 22

build: ## both binaries in bin/, without cgo
	go build -trimpath -ldflags='-s -w' -o bin/profuser ./cmd/profuser
	go build -trimpath -ldflags='-s -w' -o bin/profuser-trainer ./cmd/profuser-trainer

build-xla: ## both with XLA as a second backend, bin/profuser-xla and bin/profuser-trainer-xla (needs cgo)
	CGO_ENABLED=1 go build -tags xla -trimpath -ldflags='-s -w' -o bin/profuser-xla ./cmd/profuser
	CGO_ENABLED=1 go build -tags xla -trimpath -ldflags='-s -w' -o bin/profuser-trainer-xla ./cmd/profuser-trainer

test: ## all tests
	go test ./...

check: lint test ## lint, then all tests

test-xla: ## the tests of the graphs on XLA; XLA_PLUGIN names a PJRT plugin (docs/architecture.md)
	@test -n "$(XLA_PLUGIN)" || { echo "make test-xla XLA_PLUGIN=/path/to/plugin.so" >&2; exit 1; }
	XLA_PLUGIN=$(abspath $(XLA_PLUGIN)) BACKEND=xla:$(abspath $(XLA_PLUGIN)) CGO_ENABLED=1 go test -tags xla ./models/processor ./models/decoder ./models/engine ./trainer/loop ./trainer/doctor

ROUNDS ?= 20
SEED ?= 1

chaos: ## kill -9, full disk, bucket and server faults: ROUNDS (20) by SEED (1), each ends with the right bytes
	go test ./pipelines -run TestChaos -count 1 -timeout 30m -v -rounds $(ROUNDS) -chaos-seed $(SEED)

test-runners: build ## the built program on a stand-alone Prism job server: LOOPBACK, PROCESS, EXTERNAL, kill -9 of a worker
	go build -trimpath -ldflags='-s -w' -o bin/prism github.com/apache/beam/sdks/v2/go/cmd/prism
	pipelines/runner/standalone/run.sh bin/profuser out/runners/prism prism $(abspath bin/prism)

test-python-runner: build ## the same on the local job service of Beam's Python SDK (needs PyPI: apache-beam)
	test -x out/runners/venv/bin/python || { $(PYTHON) -m venv out/runners/venv && out/runners/venv/bin/pip install -q 'apache-beam==2.77.0'; }
	pipelines/runner/standalone/run.sh bin/profuser out/runners/python python $(abspath out/runners/venv/bin/python)

lint: ## formatting, vet, staticcheck, house rules
	@unformatted=$$($(TOOL) gofumpt -l .); test -z "$$unformatted" || { echo "run gofumpt -w on: $$unformatted" >&2; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	go test ./internal/lint/...

# GoMLX's vector kernels compute addresses as integers, which checkptr, part of -race, does not allow.
race: ## tests of the concurrent packages under the race detector (needs cgo)
	CGO_ENABLED=1 go test -race ./transforms/inflight ./models/tokenizer/... ./internal/dataset ./trainer/prefetch ./trainer/merge ./trainer/merge/stream
	CGO_ENABLED=1 go test -race -gcflags=all=-d=checkptr=0 ./models/engine ./models/serving/...

fuzz: ## every fuzz target for FUZZTIME (60s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[++n]=$$1} /^ok/ {for (i=1;i<=n;i++) print f[i], $$2; n=0}' | while read f p; do \
		echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done

bench: ## all benchmarks, once
	go test -run '^$$' -bench . -benchtime 1x ./...

compare-backends: ## tokenizer back ends against the reference's results, into docs/tokenizers.md (needs ../shared)
	@if test -d ../shared/tokenizers; then go run ./models/tokenizer/sugarme/compare -document docs/tokenizers.md ../shared/tokenizers models/tokenizer/testdata models/tokenizer/testdata/kinds; \
	else echo "skipped: the real tokenizers are not here (no ../shared/tokenizers)"; fi

TOKENIZERS ?= ../shared/tokenizers
PYTHON ?= python3

compare-tokenizer: ## 15,000 fuzzed strings per tokenizer against the reference (needs PyPI, see measure.py)
	go build -o out/measure/measure ./models/tokenizer/measure
	$(PYTHON) models/tokenizer/measure/measure.py compare out/measure/measure $(TOKENIZERS) out/measure

compare-serving: build ## profuser serve with the official openai client (needs PyPI, see openai_client.py)
	$(PYTHON) models/serving/server/testdata/openai_client.py bin/profuser data/models/target data/models/judge-a

bench-tokenizer: ## speed against the reference on one thread (needs PyPI, see measure.py)
	go build -o out/measure/measure ./models/tokenizer/measure
	$(PYTHON) models/tokenizer/measure/measure.py bench out/measure/measure $(TOKENIZERS) out/measure

bench-engine: ## the demo models in process: answers in one stream and in batches, teacher forcing; SMOLLM2=DIR: a real one too
	go test -run '^$$' -bench "Demo|SmolLM2" ./models/engine

bench-train: ## training beside PyTorch, tokens a CPU-second, in turns: PYTHON has torch and safetensors; XLA_PLUGIN=FILE: XLA too (docs/training-speed.md)
	CGO_ENABLED=$(if $(XLA_PLUGIN),1,0) go build $(if $(XLA_PLUGIN),-tags xla) -o out/speed/speed ./trainer/speed
	$(PYTHON) trainer/speed/bench.py --speed out/speed/speed --plugin "$(XLA_PLUGIN)" out/speed

bench-resume: ## profuser run on a finished run of 1,000 parts a dataset: on disk, and in a bucket that takes 20 ms a request (docs/runs.md)
	go test -run '^$$' -bench FinishedRun -benchtime 5x ./pipelines

bench-serving: ## how much of a server's capacity one process uses, and the heap over 100,000 requests and 100,000 prompts
	go test -run '^$$' -bench Capacity -benchtime 100000x ./models/serving/transport
	go test -run '^$$' -bench PromptsOverHTTP -benchtime 100000x -timeout 30m ./pipelines

bench-saturation: ## busy share of a 64-slot server while profuser evaluate --task asks about 10,000 items (docs/benchmarks.md)
	go test -run '^$$' -bench Saturation -benchtime 10000x -timeout 30m ./pipelines/exam

ROWS ?= 100000

bench-overhead: ## busy slots of a 64-slot server; Beam against a plain loop over ROWS (100,000)
	go test -run '^$$' -bench BusySlots -benchtime 51200x ./transforms/inflight
	go test -run '^$$' -bench Overhead -benchtime $(ROWS)x ./pipelines

SIZES ?= 1000,10000,100000,1000000
bench-scale: build ## a million prompts through ingest, generate, reward, crossentropy and fuse against simulated servers: time and memory of each step (docs/scale.md)
	go run ./pipelines/simulation -prompts $(SIZES) -profuser bin/profuser

bench-align: ## alignment on real tokenizers and texts, one core: positions/s, vocabulary maps, FuseLLM's rule at 2,048 tokens (needs ../shared)
	go test -run '^$$' -bench . -cpu 1 -benchtime 2s ./fusion/align ./fusion/vocabulary

FUSELLM ?=
TEXTS ?= ../shared/data/gsm8k_train_2000.jsonl.gz

compare-fusellm: ## FuseLLM's and FuseChat's own code beside ours, entry by entry; FUSELLM is their repository (needs ../shared, PyPI: see compare_fusellm.py)
	@test -d "$(FUSELLM)/FuseLLM" || { echo "make compare-fusellm FUSELLM=DIR PYTHON=…: DIR is a checkout of github.com/18907305772/FuseAI" >&2; exit 1; }
	go build -trimpath -ldflags='-s -w' -o bin/profuser ./cmd/profuser
	$(PYTHON) fusion/align/testdata/compare_fusellm.py --fusellm $(FUSELLM) --profuser bin/profuser --tokenizers $(TOKENIZERS) --texts $(TEXTS)

SMOLLM2 ?= out/smollm2
LIKELIHOOD_TEXTS ?= 100
LIKELIHOOD_ENTRIES ?= 2048

likelihood: ## what exact alignment keeps of SmolLM2's likelihood, by target tokenizer (needs ../shared, PyPI; LIKELIHOOD_ENTRIES=0: all, slow)
	test -f $(SMOLLM2)/model.safetensors || $(PYTHON) ../shared/tools/smollm2.py $(SMOLLM2)
	go run ./data/likelihood -model $(SMOLLM2) -texts $(LIKELIHOOD_TEXTS) -entries $(LIKELIHOOD_ENTRIES) -targets vicuna,mptchat,gpt2,mistral03

BROWSER_PROMPTS ?= 10000

bench-browser: ## the report's browser of BROWSER_PROMPTS (10,000) invented prompts: size, and in Chromium loading, searching, opening (docs/report-browser.md; needs ../shared)
	go run ./internal/report/browser/measure -prompts $(BROWSER_PROMPTS)

LM_EVAL ?= $(PYTHON)
BENCHMARK_ITEMS ?= 3

compare-benchmarks: build ## profuser evaluate --task beside lm_eval on SmolLM2-135M, item by item; LM_EVAL=python of a venv with lm_eval==0.4.13
	test -f $(SMOLLM2)/model.safetensors || $(PYTHON) ../shared/tools/smollm2.py $(SMOLLM2)
	$(LM_EVAL) pipelines/exam/testdata/expect.py compare --model $(SMOLLM2) --items data/benchmarks --profuser bin/profuser --limit $(BENCHMARK_ITEMS)

REAL ?=
MERGEKIT ?= out/mergekit/bin/python

bench-merge: build ## merging against mergekit and dd: CPU seconds, peak memory; MERGEKIT=python of a venv with mergekit (docs/merging.md)
	$(MERGEKIT) trainer/merge/testdata/bench.py bin/profuser-trainer out/bench-merge

bench-dataset: ## reading and writing fusion datasets, bytes an entry; REAL=out/x/crossentropy/MODEL takes real distributions (docs/datasets.md)
	go test -run '^$$' -bench Storage -cpu 1 ./internal/dataset -real "$(if $(REAL),$(abspath $(REAL)))"

LOADER_PROMPTS ?= 100000
REAL_RUN ?=

bench-loader: ## a training's loader on twice LOADER_PROMPTS (100,000) rows, its share of a step, and packing; REAL_RUN=out/real for its lengths (docs/training.md)
	go test -run '^$$' -bench Loader -benchtime $(LOADER_PROMPTS)x -timeout 30m ./trainer/fusing
	go test -run '^$$' -bench Waiting -benchtime 50x ./trainer/fusing
	go test -run '^$$' -bench Packing -benchtime 20x ./trainer/fusing -real "$(if $(REAL_RUN),$(abspath $(REAL_RUN)))"

demo: build ## the whole job on the demo data, under out/demo
	bin/profuser run fusion.yaml
	bin/profuser-trainer train fusion.yaml --resume auto
	bin/profuser evaluate fusion.yaml
	bin/profuser report fusion.yaml

PROBE ?= 128
compare-plan: build ## profuser plan, by a probe of PROBE prompts, beside what out/demo has (make demo): fails beyond 20 %
	bin/profuser plan fusion.yaml --out out/plan --probe $(PROBE) --compare out/demo

readme: ## the demo's life of a prompt, table and times into README.md
	go run ./internal/report/readme -run out/demo -readme README.md

experiment: build ## the paper's comparison on the demo's world, into docs/experiment.md: two hours on two cores; QUICK=1: ten minutes
	go run ./experiment $(if $(QUICK),-quick -out out/experiment-quick -document out/experiment-quick/experiment.md)

real-prompts: build ## 200 GSM8K problems, real tokenizers, random models (needs ../shared)
	go run ./data/real -dir out/real
	bin/profuser run out/real/fusion.yaml
	bin/profuser-trainer train out/real/fusion.yaml --resume auto
	go run ./data/real -dir out/real -check

include data/models.mk

clean: ## remove binaries and the demo's results
	rm -rf bin out
