"""Compares this repository's tokenizers with the reference libraries: ids and decoded text of fuzzed strings
(compare), or the speed on one thread in pieces of 4 KB (bench; processor time, as other work may run on the machine).

Run: pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0 protobuf
     python measure.py compare|bench MEASURE SHARED OUT [NAME...]
MEASURE is the compiled command of this folder, SHARED a folder with NAME.json.gz of real tokenizers, which
may be missing, OUT a folder for the vocabularies that are trained here and kept.
"""
import glob, gzip, json, os, random, subprocess, sys, sysconfig, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import sentencepiece, tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

STRINGS, PIECE = 15000, 4096
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
# The families that are byte-level: the same vocabulary, another pattern.
PATTERNS = {"gpt2": None, "llama3": [LLAMA3], "qwen2": [QWEN2], "deepseek": DEEPSEEK, "falcon": None}


def documents(shared):
    """English and code from what is installed everywhere: the standard library, and GSM8K where it is."""
    english, code = [], []
    for file in sorted(glob.glob(os.path.join(shared, "..", "data", "*.jsonl.gz"))):
        for line in gzip.open(file, "rt"):
            english.append("\n".join(str(value) for value in json.loads(line).values()))
    for file in sorted(glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*.py"))):
        code.append(open(file, errors="replace").read())
    english, code = "\n".join(english), "\n".join(code)
    size = min(len(english), len(code)) or len(code)
    return english[:size], code[:size]


def pieces(shared):
    out = []
    for text in documents(shared):
        out += [text[i:i + PIECE] for i in range(0, len(text), PIECE)]
    return out


def lines(shared):
    return [line for text in documents(shared) for line in text.split("\n") if line]


def trained(out, shared, name, train):
    file = os.path.join(out, name)
    if not os.path.exists(file):
        data = train(lines(shared))
        with open(file, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.to_str().encode())
    return file


def word_piece(text):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    t.train_from_iterator(text, trainers.WordPieceTrainer(vocab_size=30000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    return t


def unigram(precompiled):
    def train(text):
        t = Tokenizer(models.Unigram())
        t.normalizer, t.pre_tokenizer, t.decoder = precompiled or normalizers.NFKC(), pre_tokenizers.Metaspace(), decoders.Metaspace()
        t.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=30000, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
        return t
    return train


def pieces_model(kind, **options):
    def train(text):
        import io
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=model, vocab_size=12000, model_type=kind, hard_vocab_limit=False, minloglevel=2, num_threads=2, **options)
        return model.getvalue()
    return train


def byte_level(base, name):
    """The vocabulary of base with the pattern of a family."""
    j = json.loads(base)
    byte = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    if name == "falcon":
        parts = [{"type": "Punctuation", "behavior": "Contiguous"}, dict(byte, use_regex=True), {"type": "Digits", "individual_digits": False}, {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": False}]
    else:
        parts = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in PATTERNS[name]] + [byte]
    j["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
    return json.dumps(j)


def large(out, size=128000):
    """A byte-level file of the size of Llama-3's: every token is a merge of two others, some of more."""
    from tokenizers import pre_tokenizers as p
    file = os.path.join(out, "large-128k.json")
    if os.path.exists(file):
        return file
    rng = random.Random(1)
    tokens, merges, seen = sorted(p.ByteLevel.alphabet()), [], set()
    known = set(tokens)
    while len(tokens) < size:
        a, b = rng.choice(tokens), rng.choice(tokens[:20000])
        if len(a + b) < 14 and a + b not in known:
            known.add(a + b)
            tokens.append(a + b)
            merges.append([a, b])
            for i in range(1, len(a + b)):
                left, right = (a + b)[:i], (a + b)[i:]
                if left != a and left in known and right in known:
                    merges.append([left, right])
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    j = json.loads(t.to_str())
    j["model"].update(vocab={token: id for id, token in enumerate(tokens)}, merges=merges)
    with open(file, "w", encoding="utf-8") as f:
        json.dump(j, f, ensure_ascii=False)
    return file


def subjects(shared, out):
    """(name, file, arguments of the command, encode, decode)"""
    real = {}
    for packed in sorted(glob.glob(os.path.join(shared, "*.json.gz"))):
        name = os.path.basename(packed)[:-len(".json.gz")]
        real[name] = os.path.join(out, name + ".json")
        with open(real[name], "wb") as f:
            f.write(gzip.open(packed).read())
    if "gpt2" in real:
        base = open(real["gpt2"]).read()
        for name in PATTERNS:
            if name not in real:
                real[name] = os.path.join(out, name + ".json")
                with open(real[name], "w") as f:
                    f.write(byte_level(base, name))
    sp = trained(out, shared, "sp-unigram.model", pieces_model("unigram", normalization_rule_name="nmt_nfkc"))
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString(open(sp, "rb").read())
    real["wordpiece"] = trained(out, shared, "wordpiece.json", word_piece)
    real["unigram-nfkc"] = trained(out, shared, "unigram-nfkc.json", unigram(None))
    real["unigram-precompiled"] = trained(out, shared, "unigram-precompiled.json", unigram(normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)))
    for name, file in real.items():
        t = Tokenizer.from_file(file)
        yield name, [file], lambda s, t=t: t.encode(s, add_special_tokens=False).ids, lambda ids, t=t: t.decode(ids, skip_special_tokens=False)
    bpe = trained(out, shared, "sp-bpe.model", pieces_model("bpe", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False))
    for name, file in (("sp-unigram", sp), ("sp-bpe", bpe)):
        yield name, [file], sentencepiece.SentencePieceProcessor(model_file=file).encode, None
    if "gpt2" in real:
        symbols = {c: b for b, c in byte_symbols().items()}
        vocab = json.load(open(real["gpt2"]))["model"]["vocab"]
        ranks = {bytes(symbols[c] for c in token): id for token, id in vocab.items() if token != "<|endoftext|>"}
        import base64
        file = os.path.join(out, "gpt2-ranks.tiktoken")
        with open(file, "w") as f:
            f.writelines("%s %d\n" % (base64.b64encode(token).decode(), rank) for token, rank in sorted(ranks.items(), key=lambda item: item[1]))
        yield "tiktoken-cl100k", [file, CL100K], tiktoken.Encoding("cl100k", pat_str=CL100K, mergeable_ranks=ranks, special_tokens={}).encode_ordinary, None


def byte_symbols():
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + n) for n, b in enumerate(others)}}


def fuzzed(shared, count=STRINGS):
    """Strings of words, code, markers, special strings, rare characters and any code points."""
    rng = random.Random(11)
    words = [w for line in lines(shared)[::7] for w in line.split(" ")]
    odd = ["  ", "    ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u200d", "▁", "Ġ", "##", "<s>", "</s>", "[CLS]", "[SEP]", "<|endoftext|>", "<0x0A>", "🙂", "👩‍👩‍👧", "🇩🇪", "e\u0301", "\u0301\u0323", "한글", "\u1112\u1161\u11ab", "日本語", "中文", "カタカナ", "Привет", "مرحبا", "हिन्दी", "ไทย", "ß", "ſ", "İ", "ﬁ", "½", "²", "Ⅷ", "'S", "'ll", "123", "4567", "...", "!?", "——", "$€", "\u0000", "\ufffd", "\uffff"]
    out = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(0, 12)):
            kind = rng.random()
            if kind < 0.45:
                parts.append(rng.choice(words) + rng.choice(["", " ", " "]))
            elif kind < 0.8:
                parts.append(rng.choice(odd))
            elif kind < 0.95:
                parts.append(chr(rng.choice([rng.randint(1, 0x7F), rng.randint(0x80, 0x24F), rng.randint(0x250, 0x33FF), rng.randint(0x3400, 0xD7FF)])))
            else:
                parts.append(chr(rng.choice([rng.randint(0xE000, 0xFFFF), rng.randint(0x10000, 0x1FFFF)])))
        out.append("".join(parts))
    return out


def run(command, texts=()):
    stdin = "".join(json.dumps(text) + "\n" for text in texts)
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, encoding="utf-8").stdout


def compare(measure, shared, out, names):
    texts = fuzzed(shared)
    # SentencePiece itself takes the strings of control pieces as text, and ends at a zero byte.
    plain = [text for text in texts if not any(s in text for s in ("<s>", "</s>", "<unk>", "\0"))]
    worst = 0
    for name, args, encode, decode in subjects(shared, out):
        if names and name not in names:
            continue
        chosen = plain if name.startswith("sp-") else texts
        bad, decoded = [], 0
        for text, row in zip(chosen, run([measure, "encode"] + args, chosen).split("\n")):
            row, want = json.loads(row), encode(text)
            if row["ids"] != want:
                bad.append(text)
            elif decode and row["text"] != decode(want):
                decoded += 1
                bad.append(text)
        worst = max(worst, len(bad) / len(chosen))
        print("%-22s %6d strings  %4d differ (%.3f %%), %d of them in the decoded text only" % (name, len(chosen), len(bad), 100 * len(bad) / len(chosen), decoded), flush=True)
        for text in bad[:4]:
            print("    %s" % json.dumps(text))
    sys.exit(worst > 0.0005)


def bench(measure, shared, out, names):
    texts = pieces(shared)
    size = sum(len(text.encode()) for text in texts)
    whole = "".join(texts)
    whole = whole * (5_000_000 // len(whole) + 1)
    print("%d pieces, %.1f MB, one thread, ids only, processor time, best of several rounds" % (len(texts), size / 1e6))
    print("%-22s %12s %12s %8s %18s %10s" % ("tokenizer", "reference", "ours", "times", "5 MB at once", "load"))
    for name, args, encode, _ in subjects(shared, out):
        if names and name not in names:
            continue
        reference, ours = 1e9, 1e9
        for _ in range(2):
            start = time.process_time()
            for text in texts:
                encode(text)
            reference = min(reference, time.process_time() - start)
            ours = min(ours, float(run([measure, "bench"] + args, texts)))
        one = float(run([measure, "bench"] + args, [whole[:5_000_000]]))
        load = float(run([measure, "load"] + args[:1])) if len(args) == 1 else 0
        print("%-22s %7.2f MB/s %7.2f MB/s %8.1f %13.2f MB/s %7.0f ms" % (name, size / 1e6 / reference, size / 1e6 / ours, reference / ours, 5 / one, load), flush=True)
    print("%-22s %65.0f ms" % ("load of 128,000", float(run([measure, "load", large(out)]))))


if __name__ == "__main__":
    os.makedirs(sys.argv[4], exist_ok=True)
    {"compare": compare, "bench": bench}[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
