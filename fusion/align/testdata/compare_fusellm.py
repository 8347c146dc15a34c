"""Runs FuseLLM's and FuseChat's own code beside `profuser` on real tokenizers and texts, and compares entry by entry.

    python3 compare_fusellm.py --fusellm FUSEAI --profuser bin/profuser --tokenizers DIR --texts FILE.jsonl.gz
    python3 compare_fusellm.py --fusellm FUSEAI --golden fusellm.json --small data/tokenizers --texts data/prompts.jsonl

FUSEAI is a checkout of their repository (github.com/18907305772/FuseAI). What runs of it, unchanged:

    FuseLLM/src/utils/vocab_mapping.py       the script, --vocab_mapping_type default (MinED)
    FuseLLM/src/utils/others.py              get_tokenizer, transform_step_logits ("hard" and "soft")
    FuseChat/train/align_token_and_vocab.py  transform_step_token, token_align_mapping, transform_step_logits ("default")

What is put around it: torch and datasets, which these functions do not use, are empty modules if they are not installed; the
pool of 64 processes is a loop, so that processor time is measured on one core; SentencePiece models are written from
tokenizer.json, since LlamaTokenizer reads nothing else; vocabularies are read in the order of ids, where a fast tokenizer
gives that of a hash table, by which they break ties. The co-alignment counts are kept in rows that are made when needed.

Needs: pip install transformers==4.44.2 numpy==1.26.4 editdistance scipy sentencepiece protobuf tqdm; in transformers 5
LlamaTokenizer is another class than theirs.
"""

import argparse
import contextlib
import gzip
import importlib.util
import json
import logging
import os
import random
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import types

import editdistance
import numpy as np
import sentencepiece.sentencepiece_model_pb2 as spm
import transformers

TOP = 10
# Besides the texts that are named: spaces, bytes, letters that the one or the other vocabulary lacks.
AWKWARD = ["def f(x):\n    if x:\n\t\treturn x   # twice\n        return 0\n",
           "It’s  12 — “well”,\n\tdéjà vu\r\n", "  twice 漢字 č Ċ ▁the Ġthe", "A b c", "12345 + 67.5\n\n\n#### 12412.5"]


class Empty(types.ModuleType):
    """A module of which every name is None."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def fill_in(name, **names):
    if importlib.util.find_spec(name.split(".")[0]) is None or names:
        module = Empty(name)
        for key, value in names.items():
            setattr(module, key, value)
        sys.modules[name] = module


def their_code(root):
    """Their modules: FuseLLM's others, the path of its vocab_mapping, FuseChat's align_token_and_vocab."""
    if importlib.util.find_spec("torch") is None:
        fill_in("transformers.trainer_pt_utils", LabelSmoother=type("LabelSmoother", (), {"ignore_index": -100}))
    fill_in("torch")
    fill_in("datasets")
    sys.path.insert(0, os.path.join(root, "FuseLLM"))
    import src.utils.others as others

    logging.disable(logging.WARNING)

    spec = importlib.util.spec_from_file_location("align_token_and_vocab", os.path.join(root, "FuseChat", "train", "align_token_and_vocab.py"))
    chat = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chat)
    return others, os.path.join(root, "FuseLLM", "src", "utils", "vocab_mapping.py"), chat


def sentencepiece_model(data):
    """tokenizer.json of the Llama kind as a SentencePiece model, piece by piece."""
    special = {t["id"] for t in data["added_tokens"]}
    pieces = sorted(data["model"]["vocab"].items(), key=lambda item: item[1])
    assert [id for _, id in pieces] == list(range(len(pieces)))
    m = spm.ModelProto()
    m.trainer_spec.model_type, m.trainer_spec.byte_fallback, m.trainer_spec.vocab_size = 2, True, len(pieces)
    m.normalizer_spec.name, m.normalizer_spec.remove_extra_whitespaces = "identity", False
    kinds = spm.ModelProto.SentencePiece
    for piece, id in pieces:
        kind = kinds.NORMAL
        if piece == "<unk>":
            kind = kinds.UNKNOWN
        elif id in special:
            kind = kinds.CONTROL if piece in ("<s>", "</s>") else kinds.USER_DEFINED
        elif len(piece) == 6 and piece.startswith("<0x"):
            kind = kinds.BYTE
        m.pieces.add(piece=piece, score=-float(id), type=kind)
    return m.SerializeToString()


class Side:
    """One tokenizer: theirs, and the file of ours."""

    def __init__(self, others, name, data):
        self.name, self.llama = name, data["model"].get("byte_fallback", False)
        folder = ("llama-" if self.llama else "mpt-") + name  # get_tokenizer chooses by the name
        os.makedirs(folder, exist_ok=True)
        self.json = os.path.join(folder, "tokenizer.json")
        merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]  # transformers 4.44 knows only strings
        json.dump(dict(data, model=dict(data["model"], merges=merges)), open(self.json, "w"))
        known = [t["content"] for t in data["added_tokens"]]
        config = {"tokenizer_class": "LlamaTokenizer" if self.llama else "GPTNeoXTokenizer"}
        end = "</s>" if "</s>" in known else "<|endoftext|>"
        config.update(eos_token=end, bos_token="<s>" if "<s>" in known else end, unk_token="<unk>" if "<unk>" in known else end)
        json.dump(config, open(os.path.join(folder, "tokenizer_config.json"), "w"))
        if self.llama:
            open(os.path.join(folder, "tokenizer.model"), "wb").write(sentencepiece_model(data))
            os.rename(self.json, folder + ".json")  # else it would be read in place of the model
            self.json = folder + ".json"
        self.folder = folder
        self.tokenizer, _ = others.get_tokenizer(folder, None, 1 << 20)
        self.unordered = self.tokenizer.get_vocab()
        self.vocab = dict(sorted(self.unordered.items(), key=lambda item: item[1]))
        self.tokenizer.get_vocab = lambda: self.vocab
        self.tokens = self.tokenizer.convert_ids_to_tokens(list(range(max(self.vocab.values()) + 1)))
        self.marker = others.TOKENIZER_TO_SPECIAL_TOKEN[self.tokenizer.__class__]

    def encode(self, text, special):
        return self.tokenizer(text, add_special_tokens=special)["input_ids"]


class Loop:
    """multiprocessing.Pool in one process."""

    spent = 0.0

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def starmap(self, f, rows):
        start = time.process_time()
        out = [f(*row) for row in rows]
        Loop.spent = time.process_time() - start
        return out


def their_map(others, script, source, target, ids):
    """x' -> target string, as their script writes it for the source tokens ids; and the seconds."""
    import multiprocessing

    class Part:  # the source with fewer tokens; its class is what their table is asked for
        __class__ = source.tokenizer.__class__

        def get_vocab(self):
            return {source.tokens[i]: i for i in ids}

    kept = others.get_tokenizer, multiprocessing.Pool, sys.argv
    others.get_tokenizer = lambda name, *_: (target.tokenizer if name == target.folder else Part(), None)
    multiprocessing.Pool = Loop
    sys.argv = [script, "--base_model_name_or_path", target.folder, "--blending_model_name_or_path", source.folder + "/", "--dataset_dir", "", "--vocab_mapping_save_dir", "map.json"]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        others.get_tokenizer, multiprocessing.Pool, sys.argv = kept
    return json.load(open("map.json")), Loop.spent


def profuser(binary, source, target, method, fallback, rows):
    """Ours: one result for each row of raw values; and the processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [binary, "align", "--source", source.json, "--target", target.json, "--method", method, "--fallback", fallback, "--raw-values", "--cache", "cache"],
        input="".join(json.dumps(row) + "\n" for row in rows), capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{binary} align: {done.stderr}")
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(out) == len(rows)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows_of(result):
    at, out = 0, []
    for count in result["counts"]:
        out.append(list(zip(result["ids"][at:at + count], result["logprobs"][at:at + count])))
        at += count
    return out


def our_map(binary, source, target):
    """Target id by source id, read off rows that are copied: one entry each."""
    same = next(i for i, t in enumerate(source.tokens) if t and t.isalpha() and t.isascii() and t in target.vocab)
    there = target.vocab[source.tokens[same]]
    out, size = {}, 1000
    blocks = [list(range(at, min(at + size, len(source.tokens)))) for at in range(0, len(source.tokens), size)]
    rows = [{"source_ids": [same] * len(b), "target_ids": [there] * len(b), "counts": [1] * len(b), "ids": b, "logprobs": [0] * len(b)} for b in blocks]
    results, _ = profuser(binary, source, target, "min_edit_distance", "none", rows)
    for block, result in zip(blocks, results):
        for id, row in zip(block, rows_of(result)):
            out[id] = row[0][0] if row else None
    return out


def random_rows(rng, pool, n):
    """Logits of any size, highest first; some entries stand near each other, so that they meet on one target."""
    out = []
    for _ in range(n):
        at = rng.randrange(len(pool))
        ids = list(dict.fromkeys(pool[at:at + TOP // 2] + rng.sample(pool, TOP)))[:TOP]
        rng.shuffle(ids)
        out.append([ids, sorted((round(rng.uniform(-6, 25), 4) for _ in ids), reverse=True)])
    return out


def case(rng, source, target, text, special, pool):
    s, t = source.encode(text, special), target.encode(text, special)
    return {"source_ids": s, "target_ids": t, "rows": random_rows(rng, pool, len(s))}


def scramble(rng, source, target):
    """Short tokens in any order, markers alone among them: many paths of equal cost."""
    short = lambda side: [i for i, t in enumerate(side.tokens) if t.isascii() is False and t.replace(side.marker, "") in ("", "a", "ab", "at", "the", "he") or t in ("a", "at", "the", "he", "b")]
    s, t = ([rng.choice(short(side)) for _ in range(rng.randint(2, 9))] for side in (source, target))
    return {"source_ids": s, "target_ids": t, "rows": [[[i], [float(n)]] for n, i in enumerate(s, 2)]}


def as_row(c):
    return {"source_ids": c["source_ids"], "target_ids": c["target_ids"], "counts": [len(ids) for ids, _ in c["rows"]],
            "ids": [i for ids, _ in c["rows"] for i in ids], "logprobs": [v for _, values in c["rows"] for v in values]}


def their_rows(module, source, target, c, **more):
    """Their result of one text, and the processor seconds."""
    start = time.process_time()
    logits, indices = module.transform_step_logits(
        base_model_tokenizer=target.tokenizer, blending_model_tokenizer=source.tokenizer, base_model_vocab=target.vocab,
        base_model_input_ids=c["target_ids"], blending_model_input_ids=c["source_ids"],
        blending_model_per_step_logits=[values for _, values in c["rows"]], blending_model_per_step_indices=[ids for ids, _ in c["rows"]], **more)
    return [list(zip(i, v)) for i, v in zip(indices, logits)], time.process_time() - start


class Counted(np.ndarray):
    """A matrix of co-alignment counts whose rows are made when they are read."""

    @staticmethod
    def of(height, width, counts):
        m = np.zeros((height, 1)).view(Counted)
        m.width, m.counts, m.none = width, counts, np.zeros(width)
        return m

    def __getitem__(self, i):
        if i not in self.counts:
            return self.none
        row = np.zeros(self.width)
        for at, n in self.counts[i].items():
            row[at] = n
        return row


def their_statistics(chat, source, target, cases):
    """FuseChat's map, source id -> target id, from its alignment of all texts. Their loop adds 1 at a list of indices,
    which numpy does once for each different one."""
    counts = {}
    for c in cases:
        beside = chat.transform_step_token(target.tokenizer, c["target_ids"], source.tokenizer, c["source_ids"])[-1]
        for t, js in zip(c["target_ids"], beside):
            for s in {c["source_ids"][j] for j in js}:
                row = counts.setdefault(s, {})
                row[t] = row.get(t, 0) + 1
    matrix = Counted.of(len(source.tokens), len(target.tokens), counts)
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        return chat.token_align_mapping(source.tokenizer, target.tokenizer, "default", matrix), counts


class Differences:
    """What was compared and what differed."""

    def __init__(self, what):
        self.what, self.of, self.entries, self.one_hot, self.found = what, 0, 0, 0, []

    def position(self, where, theirs, ours):
        self.of += 1
        self.entries += len(theirs)
        self.one_hot += len(theirs) == 1 and theirs[0][1] == 1.0
        if list(map(tuple, theirs)) != list(map(tuple, ours)):
            self.found.append(f"{where}: theirs {theirs}, ours {ours}")

    def report(self):
        print(f"{self.what}: {self.of} positions, {self.entries} entries, {self.one_hot} one-hot; {len(self.found)} differ", flush=True)
        for line in self.found[:5]:
            print("    " + line)
        return len(self.found)


def compare_maps(binary, source, target, mapping, what):
    ours = our_map(binary, source, target)
    bad, nearest, tied = [], 0, 0
    for id, token in enumerate(source.tokens):
        x = token.replace(source.marker, target.marker)
        if x not in mapping:
            continue
        theirs = target.vocab[mapping[x]]
        if x not in target.vocab:
            nearest += 1
            least = editdistance.eval(x, mapping[x])
            tied += sum(len(y) >= len(x) - least and editdistance.eval(x, y) == least for y in target.vocab) > 1 if nearest <= 200 else 0
        if ours[id] != theirs:
            bad.append(f"{id} {token!r}: theirs {target.tokens[theirs]!r}, ours {target.tokens[ours[id]]!r}")
    print(f"map {what}: {len(mapping)} strings, {nearest} of them mapped by distance ({tied} of the first {min(nearest, 200)} with a tie); {len(bad)} differ", flush=True)
    for line in bad[:5]:
        print("    " + line)
    return len(bad)


def pair(others, script, chat, a, source, target, texts, rng):
    """Everything for one source and target; gives the number of differences."""
    what, bad = f"{source.name} -> {target.name}", 0
    blank = [{"source_ids": source.encode(t, n % 2 == 0), "target_ids": target.encode(t, n % 2 == 0)} for n, t in enumerate(texts)]
    used = {i for c in blank for i in c["source_ids"]}
    ids = sorted(used | set(rng.sample(range(len(source.tokens)), min(a.sample, len(source.tokens)))))
    mapping, seconds = their_map(others, script, source, target, ids)
    far = sum(source.tokens[i].replace(source.marker, target.marker) not in target.vocab for i in ids)
    print(f"\n{what}: their map of {len(ids)} source tokens took {seconds:.1f} s, {seconds / max(1, far) * 1000:.1f} ms for each of the {far} without the same string", flush=True)
    whole = sum(t.replace(source.marker, target.marker) not in target.vocab for t in source.tokens)
    print(f"    that is {whole * seconds / max(1, far) / 60:.1f} min for all {whole} of them", flush=True)
    bad += compare_maps(a.profuser, source, target, mapping, what)
    some = [i for i in ids if source.tokens[i].replace(source.marker, target.marker) not in target.vocab][:200]
    target.tokenizer.get_vocab = lambda: target.unordered
    other, _ = their_map(others, script, source, target, some)
    target.tokenizer.get_vocab = lambda: target.vocab
    print(f"    in the order in which their tokenizer gives its vocabulary, {sum(mapping[x] != y for x, y in other.items())} of {len(other)} would be others")
    cases = [dict(c, rows=random_rows(rng, ids, len(c["source_ids"]))) for c in blank]
    rows = [as_row(c) for c in cases]
    for mode, method in [("hard", "exact_match"), ("soft", "min_edit_distance")]:
        d = Differences(f"FuseLLM {mode}, {what}")
        ours, _ = profuser(a.profuser, source, target, method, "current", rows)
        for n, (c, result) in enumerate(zip(cases, ours)):
            theirs, _ = their_rows(others, source, target, c, vocab_align_type=mode, blending_to_base_mapping=mapping)
            for i, (x, y) in enumerate(zip(theirs, rows_of(result), strict=True)):
                d.position(f"text {n}, position {i}", x, y)
        bad += d.report()
    return bad + statistics(chat, a, source, target, cases, what)


def statistics(chat, a, source, target, cases, what):
    """FuseChat's default mode. Source tokens that the texts lack are mapped to the unknown token there and to nothing here, so
    entries on it are left out on both sides; so are the tokens that begin and end a text, which it maps by their role."""
    to_base, _ = their_statistics(chat, source, target, cases)
    unknown = target.tokenizer.unk_token_id if target.tokenizer.unk_token is not None else target.tokenizer.eos_token_id
    roles = {source.tokenizer.bos_token_id, source.tokenizer.eos_token_id}
    for c in cases:
        c["rows"] = [[[i for i in ids if i not in roles], [v for i, v in zip(ids, values) if i not in roles]] for ids, values in c["rows"]]
    ours, _ = profuser(a.profuser, source, target, "statistics", "next", [as_row(c) for c in cases])
    d = Differences(f"FuseChat, {what}")
    for n, (c, result) in enumerate(zip(cases, ours)):
        theirs, _ = their_rows(chat, source, target, c, use_token_alignment_matrix=True, blending_to_base=to_base)
        for i, (x, y) in enumerate(zip(theirs, rows_of(result), strict=True)):
            d.position(f"text {n}, position {i}", [e for e in x if e[0] != unknown], [e for e in y if e[0] != unknown])
    return d.report()


def times(others, a, source, target, texts, mapping_of, rng):
    """Processor seconds at 2,048 target tokens and of the whole vocabulary map."""
    text = "\n\n".join(texts)
    t = target.encode(text, False)[:2048]
    s = source.encode(target.tokenizer.decode(t), False)
    c = {"source_ids": s, "target_ids": t, "rows": random_rows(rng, sorted(mapping_of), len(s))}
    mapping = {source.tokens[i].replace(source.marker, target.marker): target.tokens[mapping_of[i]] for i in mapping_of}
    print(f"\n{source.name} -> {target.name}, {len(t)} target tokens, {len(s)} source tokens; load {os.getloadavg()[0]:.1f}", flush=True)
    for mode, method in [("hard", "exact_match"), ("soft", "min_edit_distance")]:
        theirs, seconds = their_rows(others, source, target, c, vocab_align_type=mode, blending_to_base_mapping=mapping)
        ours, once = profuser(a.profuser, source, target, method, "current", [as_row(c)])
        _, many = profuser(a.profuser, source, target, method, "current", [as_row(c)] * 101)
        d = Differences(f"FuseLLM {mode} at 2,048 tokens")
        for i, (x, y) in enumerate(zip(theirs, rows_of(ours[0]), strict=True)):
            d.position(i, x, y)
        d.report()
        print(f"    theirs {seconds:.2f} s, ours {(many - once) * 10:.1f} ms with reading and writing JSON (processor time)")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for method in ["exact_match", "min_edit_distance"]:
        subprocess.run([a.profuser, "vocabulary", "--source", source.json, "--target", target.json, "--method", method, "--cache", ""], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"    ours, profuser vocabulary --method {method}: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.2f} s, tokenizers read included")
        before = after


def golden(others, script, chat, a, texts):
    """Writes what their code makes of the demo's tokenizers and texts."""
    rng, out = random.Random(6), []
    sides = [Side(others, name, json.load(open(os.path.join(a.small, name, "tokenizer.json")))) for name in ("mpt", "llama")]
    for source, target in [sides, sides[::-1]]:
        everything = list(range(len(source.tokens)))
        mapping, _ = their_map(others, script, source, target, everything)
        cases = [case(rng, source, target, t, n % 2 == 0, everything) for n, t in enumerate(texts)]
        cases += [scramble(rng, source, target) for _ in range(60)]
        to_base, counts = their_statistics(chat, source, target, cases)
        for c in cases:
            for name, module, more in [("hard", others, {"vocab_align_type": "hard"}), ("soft", others, {"vocab_align_type": "soft", "blending_to_base_mapping": mapping}),
                                       ("statistics", chat, {"use_token_alignment_matrix": True, "blending_to_base": to_base})]:
                c[name], _ = their_rows(module, source, target, c, **more)
        out.append({"source": source.name, "target": target.name, "min_edit": [target.vocab[mapping[t.replace(source.marker, target.marker)]] for t in source.tokens],
                    "co_aligned": to_base, "counts": sorted([s, t, n] for s, row in counts.items() for t, n in row.items()), "texts": cases})
    return "[" + ",\n".join(json.dumps(x, separators=(",", ":")) for x in out) + "]\n"


def read_texts(path, n, key):
    open_it = gzip.open if path.endswith(".gz") else open
    with open_it(path, "rt") as f:
        return [json.loads(line)[key] for line, _ in zip(f, range(n))]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--fusellm", required=True)
    p.add_argument("--profuser")
    p.add_argument("--tokenizers")
    p.add_argument("--texts", required=True)
    p.add_argument("--sample", type=int, default=3000, help="source tokens of each vocabulary map, besides those of the texts")
    p.add_argument("--count", type=int, default=100, help="texts")
    p.add_argument("--pairs", default="mptchat:vicuna,vicuna:mptchat,gpt2:vicuna")
    p.add_argument("--golden", help="write a golden file of the tokenizers in --small instead")
    p.add_argument("--small")
    a = p.parse_args()
    for name in ["fusellm", "profuser", "tokenizers", "texts", "golden", "small"]:
        if getattr(a, name):
            setattr(a, name, os.path.abspath(getattr(a, name)))
    others, script, chat = their_code(a.fusellm)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if a.golden:
            result = golden(others, script, chat, a, read_texts(a.texts, 4, "reference") + AWKWARD)
            open(a.golden, "w").write(result)
            return 0
        texts = read_texts(a.texts, max(a.count, 100), "answer") + AWKWARD
        sides, bad = {}, 0
        for names in a.pairs.split(","):
            for name in names.split(":"):
                if name not in sides:
                    sides[name] = Side(others, name, json.load(gzip.open(os.path.join(a.tokenizers, name + ".json.gz"))))
            source, target = (sides[name] for name in names.split(":"))
            bad += pair(others, script, chat, a, source, target, texts[:a.count] + AWKWARD, random.Random(names))
        source, target = (sides[name] for name in a.pairs.split(",")[0].split(":"))
        times(others, a, source, target, texts, our_map(a.profuser, source, target), random.Random(1))
        print(f"\n{bad} differences")
        return bad > 0


sys.exit(main())
