#!/usr/bin/env python3
"""Reads every dataset of a run with pyarrow, DuckDB and HF datasets and compares what they see: the manifest's rows, the same
values in all three, counts that add up to the entries, probabilities that add up to no more than one.

  python3 -m venv V && V/bin/pip install -q pyarrow duckdb datasets && V/bin/python internal/dataset/testdata/foreign_readers.py out/demo [EXPORTED_FILE...]
"""
import json, math, os, pathlib, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets, duckdb, pyarrow, pyarrow.parquet as pq

run = pathlib.Path(sys.argv[1])
cache = tempfile.mkdtemp()
datasets.disable_progress_bars()
print("pyarrow", pyarrow.__version__, "DuckDB", duckdb.__version__, "datasets", datasets.__version__)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or math.isnan(a) and math.isnan(b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def check(name, files, rows_wanted):
    arrow = [row for f in files for row in pq.read_table(f).to_pylist()]
    con = duckdb.connect()
    duck = con.execute("select * from read_parquet(?)", [[str(f) for f in files]]).to_arrow_table().to_pylist()
    hf = list(datasets.load_dataset("parquet", data_files=[str(f) for f in files], split="train", cache_dir=cache)) if arrow else []
    assert rows_wanted is None or len(arrow) == rows_wanted, (name, len(arrow), rows_wanted)
    for other, rows in {"DuckDB": duck, "datasets": hf}.items():
        assert len(rows) == len(arrow), (name, other, len(rows), len(arrow))
        for i, (a, b) in enumerate(zip(arrow, rows)):
            assert same(a, b), (name, other, i, [k for k in a if not same(a[k], b[k])])
    entries = 0
    for row in arrow:
        if "counts" not in row:
            continue
        assert sum(row["counts"]) == len(row["ids"]) == len(row["logprobs"]), (name, row["id"])
        at = 0
        for n in row["counts"]:
            logs = row["logprobs"][at : at + n]
            assert logs == sorted(logs, reverse=True), (name, row["id"])
            assert sum(map(math.exp, logs)) <= 1 + sum(math.exp(x) * -x for x in logs) / 128 + 1e-5, (name, row["id"])
            at += n
        entries += at
    print(f"{name}: {len(arrow)} rows, {entries} entries, the same in all three")


for header in sorted(run.rglob("_DATASET.json")):
    folder = header.parent
    manifest = json.loads(sorted(folder.glob("_MANIFEST-*.json"))[-1].read_text())
    check(str(folder.relative_to(run)), sorted(folder.glob("part-*.parquet")), manifest["rows"])
for path in map(pathlib.Path, sys.argv[2:]):
    if path.suffix == ".parquet":
        check(path.name, [path], None)
    rows = datasets.load_dataset({".parquet": "parquet", ".jsonl": "json"}[path.suffix], data_files=str(path), split="train", cache_dir=cache)
    for row in rows:
        if "chosen" in row:  # TRL's conversational preference format
            assert row["prompt"][-1]["role"] == "user" and [m["role"] for m in row["chosen"] + row["rejected"]] == ["assistant"] * 2
            assert row["score_chosen"] - row["score_rejected"] >= 0
        else:
            assert row["messages"][-1]["role"] == "assistant" and 0 <= row["weight"] <= 1
    print(f"{path.name}: {len(rows)} rows with the columns {', '.join(rows.column_names)}")
