"""What lm-evaluation-harness answers on our items, as JSON lines, or compared with profuser's.

Needs PyPI: lm_eval==0.4.13, torch, transformers, datasets. Nothing is downloaded; items are local files.

    expect.py write --model DIR --items DIR --out DIR             expectations for the Go test
    expect.py compare --model DIR --items DIR --profuser BINARY   runs both and compares (make compare-benchmarks)

One item after another (batch size 1), float32, on the processor. --context N replaces the model's own in a copy.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

YAML = {
    "arc_challenge": "arc/arc_challenge", "gsm8k": "gsm8k/gsm8k", "hellaswag": "hellaswag/hellaswag", "mmlu": "mmlu/default/mmlu_abstract_algebra",
    "truthfulqa_mc1": "truthfulqa/truthfulqa_mc1", "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2", "winogrande": "winogrande/default",
}
# name: examples, file of examples
TASKS = {
    "arc_challenge": (5, "train"), "gsm8k": (3, "train"), "hellaswag": (4, "train"), "mmlu": (5, "dev"),
    "truthfulqa_mc1": (0, None), "truthfulqa_mc2": (0, None), "winogrande": (5, "train"),
}
NEW_TOKENS = 40
MMLU = "The following are multiple choice questions (with answers) about {}.\n\n"


def tasks_of(name, items, sampling, shots, few, work):
    """Our name's tasks: files that include the harness's own, with local files instead of the hub's."""
    import lm_eval

    file = items / (("truthfulqa" if name.startswith("truthfulqa") else name) + ".jsonl")
    split = "test" if name in ("arc_challenge", "gsm8k", "mmlu") else "validation"
    few_file = items / f"{name}.{few}.jsonl" if few else None

    def config(task, own, examples, **more):
        files = {split: str(own.absolute())}
        base = pathlib.Path(lm_eval.__file__).parent / "tasks" / (YAML[name] + ".yaml")
        c = {"include": str(base), "task": task, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}, "num_fewshot": shots, **more}
        if examples:
            files[few] = str(examples.absolute())
        if shots and name != "mmlu":
            c["fewshot_config"] = {"sampler": "default" if sampling == "harness" else "first_n"}
        path = work / (task + ".yaml")
        path.write_text(json.dumps(c))
        return str(path)

    if name != "mmlu":
        more = {"generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0, "max_gen_toks": NEW_TOKENS}} if name == "gsm8k" else {}
        return {"": config("local_" + name, file, few_file, **more)}
    out = {}
    rows = [json.loads(l) for l in file.read_text().splitlines()]
    for subject in dict.fromkeys(r["subject"] for r in rows):
        paths = []
        for source, kind in ((file, "test"), (few_file, "dev")):
            path = work / f"{subject}.{kind}.jsonl"
            path.write_text("".join(l + "\n" for l in source.read_text().splitlines() if json.loads(l)["subject"] == subject))
            paths.append(path)
        out[subject] = config("local_" + subject, *paths, description=MMLU.format(subject.replace("_", " ")))
    return out


def run(lm, name, items, sampling, limit, chat, work, shots=None):
    """The harness's lines and results of one of our tasks."""
    import lm_eval

    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False)  # the defaults take a minute to list
    own, few = TASKS[name]
    shots = own if shots is None else shots
    lines, results = [], {}
    for subject, config in tasks_of(name, items, sampling, shots, few, work).items():
        got = lm_eval.simple_evaluate(model=lm, tasks=[config], task_manager=manager, limit=limit, log_samples=True, apply_chat_template=chat, fewshot_as_multiturn=chat,
                                      cache_requests=False)
        (task,) = got["samples"]
        label = "mmlu_" + subject if subject else name
        results[label] = {k: v for k, v in got["results"][task].items() if "," in k}
        by_doc = {}
        for s in got["samples"][task]:
            by_doc.setdefault(s["doc_id"], []).append(s)
        for doc_id in sorted(by_doc):
            samples = by_doc[doc_id]
            args = [list(v.values()) for v in samples[0]["arguments"].values()] if isinstance(samples[0]["arguments"], dict) else samples[0]["arguments"]
            line = {"doc_id": doc_id, **({"subject": subject} if subject else {})}
            if name == "gsm8k":
                line |= {"prompt": args[0][0], "text": samples[0]["resps"][0][0]}
                for s in samples:
                    line["strict" if s["filter"] == "strict-match" else "flexible"] = s["exact_match"]
            else:
                contexts = [a[0] for a in args]
                s = samples[0]
                line |= {"contexts": contexts[:1] if len(set(contexts)) == 1 else contexts, "continuations": [a[1] for a in args],
                         "lls": [float(r[0]) for r in s["filtered_resps"]], "acc": float(s["acc"])}
                if "acc_norm" in s:
                    line["acc_norm"] = float(s["acc_norm"])
            lines.append(line)
    return lines, results


def open_model(path, context, work):
    from lm_eval.models.huggingface import HFLM

    if context:
        copy = work / "model"
        shutil.copytree(path, copy, dirs_exist_ok=True)
        config = json.loads((copy / "config.json").read_text()) | {"max_position_embeddings": context}
        (copy / "config.json").write_text(json.dumps(config))
        path = copy
    return HFLM(pretrained=str(path), dtype="float32", device="cpu", batch_size=1, max_length=context or None), path


def summarize(name, lines):
    """The harness's own means and standard errors of its metrics of the items."""
    from lm_eval.api.metrics import mean, mean_stderr, pooled_sample_stderr, unweighted_mean_stderr

    metrics = [k for k in ("acc", "acc_norm", "strict", "flexible") if k in lines[0]]
    out, subjects = {}, list(dict.fromkeys(l.get("subject") for l in lines))
    for subject in subjects:
        values = {k: [l[k] for l in lines if l.get("subject") == subject] for k in metrics}
        out["mmlu_" + subject if subject else name] = {k: [mean(v), mean_stderr(v)] for k, v in values.items()}
    if name == "mmlu":
        each = [out["mmlu_" + s]["acc"] for s in subjects]
        sizes = [sum(l["subject"] == s for l in lines) for s in subjects]
        errors = [e for _, e in each]
        pooled = [sum(m * n for (m, _), n in zip(each, sizes)) / sum(sizes), float(pooled_sample_stderr(errors, sizes))]
        out["mmlu"] = {"acc": pooled, "acc_subjects": [mean([m for m, _ in each]), float(unweighted_mean_stderr(errors))]}
    return out


def write(a, work):
    """One file a task and way of choosing examples; those that are there stay."""
    import lm_eval

    lm, _ = open_model(a.model, a.context, work)
    a.out.mkdir(parents=True, exist_ok=True)
    summary = {"lm_eval": lm_eval.__version__, "context": a.context, "max_new_tokens": NEW_TOKENS, "limit": a.limit, "runs": {}}
    for name in TASKS:
        for kind in ("harness", "first_n", "chat"):
            if kind == "first_n" and (not TASKS[name][1] or name == "mmlu") or kind == "chat" and name.startswith("truthfulqa"):
                continue
            path = a.out / f"{name}.{kind}.jsonl"
            if not path.exists():
                lines, _ = run(lm, name, a.items, "first_n" if kind == "first_n" else "harness", a.limit, kind == "chat", work)
                path.write_text("".join(json.dumps(l, ensure_ascii=False) + "\n" for l in lines))
            lines = [json.loads(l) for l in path.read_text().splitlines()]
            summary["runs"][f"{name}.{kind}"] = {"shots": TASKS[name][0], "results": summarize(name, lines)}
    (a.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    parquet(a.items, a.out.parent)


def parquet(items, out):
    """Three of the files as Hugging Face's library writes them."""
    import datasets

    for name in ("arc_challenge", "truthfulqa", "mmlu"):
        rows = [json.loads(l) for l in (items / (name + ".jsonl")).read_text().splitlines()]
        datasets.Dataset.from_list(rows).to_parquet(out / (name + ".parquet"))


def compare(a, work):
    import lm_eval

    lm, path = open_model(a.model, a.context, work)
    print(f"lm_eval {lm_eval.__version__}, {a.limit} items of each task, the task's own number of examples as far as the files have them")
    print("| task | items | examples | largest difference of a log-likelihood | other prompts | other metrics |\n|---|---|---|---|---|---|")
    worst, faults = 0.0, 0
    for name, (shots, few) in TASKS.items():
        lines, results = run(lm, name, a.items, "harness", a.limit, False, work)
        out = work / "out" / name
        items = a.items / (("truthfulqa" if name.startswith("truthfulqa") else name) + ".jsonl")
        command = [a.profuser, "evaluate", "--task", name, "--model", str(path), "--items", str(items), "--limit", str(a.limit), "--shots", str(shots),
                   "--fewshot-sampling", "harness", "--jsonl", "--max-new-tokens", str(NEW_TOKENS), "--out", str(out)]
        if few:
            command += ["--fewshot-file", str(a.items / f"{name}.{few}.jsonl")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        ours = [json.loads(l) for l in (out / "items.jsonl").read_text().splitlines()]
        assert len(ours) == len(lines), (len(ours), len(lines))
        difference, prompts, metrics = 0.0, 0, 0
        for got, want in zip(ours, lines):
            if name == "gsm8k":
                prompts += got["prompt"] != want["prompt"]
                metrics += got["text"] != want["text"] or any(got[k] != want[k] for k in ("strict", "flexible"))
                continue
            n = len(want["continuations"])
            contexts = want["contexts"] * (n if len(want["contexts"]) == 1 else 1)
            prompts += got["prompts"] != [[c, t] for c, t in zip(contexts, want["continuations"])]
            difference = max([difference] + [abs(x - y) for x, y in zip(got["lls"], want["lls"])])
            metrics += any(abs(got[k] - want[k]) > (1e-3 if name == "truthfulqa_mc2" else 0) for k in ("acc", "acc_norm") if k in want)
        print(f"| {name} | {len(lines)} | {shots} | {difference:.2g} | {prompts} | {metrics} |", flush=True)
        worst, faults = max(worst, difference), faults + prompts + metrics
    if worst > a.tolerance or faults:
        sys.exit(f"they differ: {worst:.2g} nats (allowed {a.tolerance}), {faults} prompts or metrics")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("work", choices=["write", "compare"])
    p.add_argument("--model", type=pathlib.Path, required=True)
    p.add_argument("--items", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path)
    p.add_argument("--profuser")
    p.add_argument("--context", type=int, default=0)
    p.add_argument("--limit", type=int, default=8)
    p.add_argument("--tolerance", type=float, default=1e-3)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        os.environ["HF_DATASETS_CACHE"] = str(work / "cache")
        {"write": write, "compare": compare}[a.work](a, work)


main()
