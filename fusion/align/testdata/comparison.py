"""Writes comparison.json: what the published rules of FuseLLM, FuseChat and PTA-LLM make of small texts.

    python3 comparison.py > comparison.json

The rules are those of the papers (Wan et al., "Knowledge fusion of large language models", 2024; Wan et al., "FuseChat", 2024;
Zeng et al., "Probabilistic token alignment for large language model fusion", 2025), as ProFuser's specification states
them; this is a slow implementation by the definition, sharing nothing with the Go code. Needs only Python.
"""

import functools
import json
import math
import random

rng = random.Random(20240115)


@functools.lru_cache(maxsize=None)
def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1, levenshtein(a[1:], b[1:]) + (a[0] != b[0]))


class Vocabulary:
    def __init__(self, marker, tokens):
        self.marker, self.tokens = marker, tokens
        self.ids = {}
        for i, token in enumerate(tokens):
            self.ids.setdefault(token, i)

    def bare(self, i):
        return self.tokens[i].replace(self.marker, "")

    def renamed(self, i, other):
        return self.tokens[i].replace(self.marker, other.marker)

    def plain(self):
        """As FuseChat compares: newline spelled as SentencePiece does (of its six spellings the texts here have this one)."""
        return Vocabulary(self.marker, [t.replace("Ċ", "<0x0A>") for t in self.tokens])


def fusellm_cost(source, target):
    return lambda s, t: levenshtein(source.bare(s), target.bare(t))


def fusechat_cost(source, target):
    def cost(s, t):
        if source.bare(s) and target.bare(t):
            return levenshtein(source.bare(s), target.bare(t))
        return levenshtein(source.renamed(s, target), target.tokens[t])

    source, target = source.plain(), target.plain()
    return cost


def warp(rows, cols, cost, left_first=False):
    """For each column the rows beside it."""
    d = {}
    for i in range(len(rows)):
        for j in range(len(cols)):
            before = min(d.get((i - 1, j), math.inf), d.get((i, j - 1), math.inf), d.get((i - 1, j - 1), math.inf))
            d[i, j] = cost(rows[i], cols[j]) + (0 if i == j == 0 else before)
    beside = [[] for _ in cols]
    i, j = len(rows) - 1, len(cols) - 1
    while i > 0 or j > 0:
        beside[j].insert(0, i)
        moves = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]  # diagonal, up, left
        if left_first:  # FuseChat
            moves[1:] = moves[:0:-1]
        values = [d.get(m, math.inf) for m in moves]
        i, j = moves[values.index(min(values))]
    beside[0].insert(0, 0)
    return beside


def min_edit_map(source, target):
    """x' -> target id."""
    out = {}
    for i in range(len(source.tokens)):
        x = source.renamed(i, target)
        if x in target.ids:
            out[x] = target.ids[x]
        else:
            distances = [levenshtein(x, y) for y in target.tokens]
            out[x] = distances.index(min(distances))
    return out


def statistics_map(source, target, pairs):
    """source id -> target id; pairs are (target id, source id) of the corpus."""
    counts = {}
    for p in pairs:
        counts[p] = counts.get(p, 0) + 1
    out = {}
    p, q = source.plain(), target.plain()
    for s in range(len(source.tokens)):
        if source.renamed(s, target) in target.ids:
            out[s] = target.ids[source.renamed(s, target)]
            continue
        best = None
        for t in range(len(target.tokens)):
            n = counts.get((t, s), 0)
            if n == 0:
                continue
            a, b = p.bare(s), q.bare(t)
            if not a or not b:
                a, b = source.renamed(s, target), target.tokens[t]
            d = levenshtein(a, b) * (0.1 if a in b or b in a else 1)
            d *= 1 / (1 + math.exp(-n))
            if best is None or d < best[0]:
                best = (d, t)
        if best is not None:
            out[s] = best[1]
    return out


def softmax(xs):
    e = [math.exp(x - max(xs)) for x in xs]
    return [x / sum(e) for x in e]


def sinkhorn(cost, r, c):
    p = [[math.exp(-30 * x) for x in row] for row in cost]
    total = sum(map(sum, p))
    p = [[x / total for x in row] for row in p]
    u = [0.0] * len(r)
    for _ in range(1000):
        sums = [sum(row) for row in p]
        if max(abs(a - b) for a, b in zip(u, sums)) <= 1e-5:
            break
        u = [max(s, 1e-10) for s in sums]
        p = [[x * r[i] / u[i] for x in row] for i, row in enumerate(p)]
        v = [max(sum(p[i][j] for i in range(len(r))), 1e-10) for j in range(len(c))]
        p = [[x * c[j] / v[j] for j, x in enumerate(row)] for row in p]
    return p


def rows_of(method, fallback, source, target, case, maps):
    """One row for each target token: [target id, value], and its status."""
    sids, tids = case["source_ids"], case["target_ids"]
    beside = warp(sids, tids, fusechat_cost(source, target), True) if method == "statistics" else warp(sids, tids, fusellm_cost(source, target))
    out = []
    for i, js in enumerate(beside):
        j = copied_from(method, source, target, sids, tids, i, js, maps)
        if j is not None:
            row, seen = [], []
            for id, value in case["rows"][j]:
                to = mapped(method, source, target, id, maps)
                if to is not None and to not in seen:
                    seen.append(to)
                    row.append([to, value])
            if method == "transport":
                row = transported(source, target, case["rows"][j], row, case["own"][i], maps)
            out.append((row, 1 if row else 0))
        elif fallback == "none":
            out.append(([], 0))
        else:
            at = i if fallback == "current" else min(i + 1, len(tids) - 1)
            out.append(([[tids[at], 1.0]], 4))
    return out


def copied_from(method, source, target, sids, tids, i, js, maps):
    if method == "statistics":
        p, q = source.plain(), target.plain()
        for j in js:
            s, t = (p.bare(sids[j]), q.bare(tids[i])) if len(js) > 1 else (p.renamed(sids[j], q), q.tokens[tids[i]])
            if s.endswith(t) or t.endswith(s):
                return j
        return None
    if len(js) != 1:
        return None
    s, t = source.renamed(sids[js[0]], target), target.tokens[tids[i]]
    if source.marker == "Ġ" and i == 0 and t.startswith(target.marker) and not s.startswith(target.marker):
        s = target.marker + s
    if s == t:
        return js[0]
    if method != "exact_match" and s in maps["min_edit"] and maps["min_edit"][s] == tids[i]:
        return js[0]
    return None


def mapped(method, source, target, id, maps):
    if method == "exact_match":
        return target.ids.get(source.renamed(id, target))
    if method == "statistics":
        return maps["statistics"].get(id)
    return maps["min_edit"][source.renamed(id, target)]


def transported(source, target, entries, row, own, maps):
    if len(row) < 10 or len(own) < 10:
        return row
    weights, seen = softmax([v for _, v in entries]), []
    r = []
    for (id, _), w in zip(entries, weights):
        to = maps["min_edit"][source.renamed(id, target)]
        if to not in seen:
            seen.append(to)
            r.append(w)
    r, mine = r[:10], own[:10]
    c = softmax([v for _, v in own])[:10]
    cost = [[levenshtein(target.tokens[a], target.tokens[b]) for b, _ in mine] for a, _ in row[:10]]
    p = sinkhorn(cost, r, c)
    if not all(x >= 0 and math.isfinite(x) for line in p for x in line):
        return row
    out = {}
    for line in p:
        best = line.index(max(line))
        id = mine[best][0]
        out[id] = out.get(id, 0) + line[best]
    return [[id, mass] for id, mass in out.items()]


def tokens_of(vocabulary, text, noise):
    """A tokenisation of a text, mostly by the longest match."""
    text = text.replace(" ", vocabulary.marker).replace("\n", vocabulary.tokens[7])
    out = []
    while text:
        fits = [i for i, t in enumerate(vocabulary.tokens) if text.startswith(t)]
        best = max(fits, key=lambda i: len(vocabulary.tokens[i]))
        if rng.random() < noise:
            best = rng.choice(fits)
        out.append(best)
        text = text[len(vocabulary.tokens[best]):]
    return out


def entries_of(vocabulary, size):
    ids = rng.sample(range(len(vocabulary.tokens)), size)
    values = sorted((round(rng.uniform(-9, 3), 3) for _ in ids), reverse=True)
    return [[i, v] for i, v in zip(ids, values)]


def vocabulary_of(marker):
    tokens = ["</s>" if marker == "▁" else "<|end|>"] + list("abc12") + [marker, "Ċ" if marker == "Ġ" else "<0x0A>"]
    words = ["ab", "bc", "abc", "cab", "12", "11", "aa", "cc", "acb", "121"]
    for w in rng.sample(words, rng.randint(4, len(words))):
        tokens.append(w)
        if rng.random() < 0.7:
            tokens.append(marker + w)
    tokens += rng.sample([marker + "a", marker + marker, "c" + marker + "a", marker + "1"], 2)
    return Vocabulary(marker, tokens)


def case_of(number):
    markers = [("Ġ", "▁"), ("▁", "Ġ"), ("Ġ", "Ġ"), ("▁", "▁")][number % 4]
    source, target = vocabulary_of(markers[0]), vocabulary_of(markers[1])
    text = "".join(rng.choice("aabc12  \n") for _ in range(rng.randint(1, 24)))
    lead = rng.choice(["", " "])
    case = {"source_ids": tokens_of(source, text, 0.1) + [0], "target_ids": tokens_of(target, lead + text, 0.1) + [0]}
    case["rows"] = [entries_of(source, rng.choice([3, 12, 14])) for _ in case["source_ids"]]
    case["own"] = [entries_of(target, rng.choice([9, 11])) for _ in case["target_ids"]]
    pairs = [(target.tokens.index(t), s) for s in range(len(source.tokens)) for t in rng.sample(target.tokens, 2) for _ in range(rng.randint(0, 3))]
    maps = {"min_edit": min_edit_map(source, target), "statistics": statistics_map(source, target, pairs)}
    out = {
        "source": {"marker": source.marker, "tokens": source.tokens},
        "target": {"marker": target.marker, "tokens": target.tokens},
        **case,
        "pairs": pairs,
        "warp": warp(case["source_ids"], case["target_ids"], fusellm_cost(source, target)),
        "warp_statistics": warp(case["source_ids"], case["target_ids"], fusechat_cost(source, target), True),
        "min_edit": [maps["min_edit"][source.renamed(i, target)] for i in range(len(source.tokens))],
        "statistics": [maps["statistics"].get(i, -1) for i in range(len(source.tokens))],
        "results": [],
    }
    for method in ["exact_match", "min_edit_distance", "statistics", "transport"]:
        for fallback in ["none", "next", "current"]:
            rows = rows_of(method, fallback, source, target, case, maps)
            out["results"].append({"method": method, "fallback": fallback, "rows": [r for r, _ in rows], "status": [s for _, s in rows]})
    return out


print("[" + ",\n".join(json.dumps(case_of(n), ensure_ascii=False, separators=(",", ":")) for n in range(24)) + "]")
