"""Reads every part of a finished run with pyarrow and prints what it sees: pip install pyarrow, then

    python3 internal/dataset/testdata/check_pyarrow.py out/demo > internal/dataset/testdata/check_pyarrow.txt

It fails where a list does not have the length that the schema promises or a distribution has more mass than rounding
explains. The tests do not need it; its last output is kept beside it.
"""

import glob
import math
import os
import sys

import pyarrow
import pyarrow.parquet

out = sys.argv[1]
print("pyarrow", pyarrow.__version__)
datasets = sorted({os.path.dirname(p) for p in glob.glob(out + "/**/part-*.parquet", recursive=True)})
assert datasets, "no parts in " + out
for folder in datasets:
    if os.path.basename(folder) == "rejected":
        continue
    rows = 0
    for path in sorted(glob.glob(folder + "/part-*.parquet")):
        table = pyarrow.parquet.read_table(path)
        for column in table.schema:
            text = str(column.type)
            assert text in ("string", "int32", "int64", "double", "float", "bool") or text.startswith("list<"), (path, column)
        for row in table.to_pylist():
            rows += 1
            if "counts" not in row:
                continue
            text = row.get("token_ids", row.get("text_ids"))
            assert len(row["counts"]) == len(text), (path, row["id"])
            assert sum(row["counts"]) == len(row["ids"]) == len(row["logprobs"]), (path, row["id"])
            at = 0
            for count in row["counts"]:
                probs = [math.exp(x) for x in row["logprobs"][at : at + count]]
                slack = 2**-7 * sum(-p * math.log(p) for p in probs if p > 0) + 1e-5
                assert sum(probs) <= 1 + slack, (path, row["id"], sum(probs))
                at += count
    metadata = pyarrow.parquet.read_metadata(path).metadata
    schema = metadata[b"profuser.schema"].decode()
    print(f"\n{os.path.relpath(folder, out)}: {rows} rows, {schema}")
    for column in table.schema:
        print(f"    {column.name}: {column.type}{'' if column.nullable else ' not null'}")
