"""Read the golden event files with TensorBoard's own reader and write what it finds to read.json.

    python -m venv out/venv && out/venv/bin/pip install tensorboard==2.21.0
    out/venv/bin/python trainer/board/testdata/read.py
"""

import json
import pathlib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

here = pathlib.Path(__file__).parent
events = EventAccumulator(str(here), size_guidance={"scalars": 0, "tensors": 0}, purge_orphaned_data=True)
events.Reload()
scalars, texts = {}, {}
for tag in events.Tags()["scalars"]:
    scalars[tag] = [[e.step, e.value] for e in events.Scalars(tag)]
for tag in events.Tags()["tensors"]:
    plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
    for e in events.Tensors(tag):
        value = tensor_util.make_ndarray(e.tensor_proto)
        if plugin == "text":
            texts.setdefault(tag, []).append([e.step, value.item().decode()])
        else:
            scalars.setdefault(tag, []).append([e.step, float(value.item())])
text = json.dumps({"scalars": scalars, "texts": texts}, indent=1, sort_keys=True, ensure_ascii=False)
(here / "read.json").write_text(text + "\n")
print(text)
