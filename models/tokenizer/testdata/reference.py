"""Makes the small tokenizers of this folder and the results of the reference implementation for them.

Run: pip install tokenizers==0.23.3 && python reference.py
Nothing in the tests runs this; they read what it wrote.
"""
import json, random
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = """The quick brown fox jumps over the lazy dog. They're sure that it's the fox's den, we'll see.
In 1984 there were 12345 foxes and 678 dogs; 3.14 is not 22/7.  Two  spaces,   three.
def f(x):\n    return x + 1\n\n\nif __name__ == "__main__":\n\tprint(f(41))\n
Die Füße des Bären. Où est l'élève naïve? Ångström, résumé, façade. Привет, мир! Привет! 東京都 日本 日本語.
the the the then them there these other another together """ * 3

LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789'\"\n\t.,;:!?()+=_/-éüÅПривет日本東京都")
EXTRA = ["  ", "    ", "\n\n", " \n ", "▁", "▁▁", "Ġ", "<s>", "</s>", "<unk>", "<0x0A>", "<|end|>", "<|tool|>", "word", "<gap>", "🙂", "👩‍👩‍👧", "e\u0301", "\u0301",
         "A\u030a", "\u212b", "한", "\u1112\u1161\u11ab", "ß", "ſ", "'S", "'ſ", "'re", "'LL", "\u00a0", "\u3000", "\r\n", "\u0000", "\uffff", "ﬁ", "½", "٣", "the", "fox", "日本", "12345", "\u0958"]


def texts():
    rng = random.Random(7)
    fixed = ["", " ", "  ", "a", " a", "a ", "\n", "The quick brown fox", " the fox", "the  fox", "a<s>b", "<s>", "<s> a", "</s>\n<s>", "x <|end|> y", "word", "a word b", "aword", "word.", "words", "_word",
             "in 1984, 12345", "it's IT'S we'LL", "\n\n\n x", "naïve café", "nai\u0308ve cafe\u0301", "▁the", "the▁fox", "🙂🙂", "日本語", "Q\u0323\u0307", " <gap> x", "a<gap>  b", "<|tool|>  a", "  <|tool|>a",
             "\u1100\u1161\u11a8", "a" * 60, "the" * 40, " " * 70, "e" + "\u0301\u0323" * 20]
    for _ in range(160):
        fixed.append("".join(rng.choice(EXTRA) if rng.random() < 0.35 else rng.choice(LETTERS) for _ in range(rng.randint(1, 24))))
    return fixed


def byte_level(vocab_size=420):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.decoder = decoders.ByteLevel()
    return t


def marked(vocab_size, fallback):
    special = ["<unk>", "<s>", "</s>"] + (["<0x%02X>" % b for b in range(256)] if fallback else [])
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False))
    return t


def change(t, **parts):
    """The tokenizer with parts of its JSON replaced."""
    j = json.loads(t.to_str())
    for path, value in parts.items():
        at, keys = j, path.split("__")
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value
    return Tokenizer.from_str(json.dumps(j))


def only_special(t):
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(j))


def sentence_piece_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")


def split(pattern):
    from tokenizers import Regex
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def variants():
    t = only_special(marked(560, True))
    t.pre_tokenizer = None
    t = change(t, pre_tokenizer=None)
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    t.decoder = sentence_piece_decoder()
    yield "prepend", t

    t = only_special(marked(560, True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    t.decoder = sentence_piece_decoder()
    t.add_tokens([AddedToken("<gap>", lstrip=True), AddedToken("<|tool|>", rstrip=True, normalized=False)])
    yield "metaspace-first", t

    t = marked(260, False)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.decoder = decoders.Metaspace(prepend_scheme="always")
    t.add_tokens([AddedToken("word", single_word=True, normalized=False), AddedToken("<gap>", normalized=True)])
    yield "metaspace-split", t

    t = change(marked(260, False), model__fuse_unk=False, model__ignore_merges=True)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    t.decoder = decoders.Metaspace(prepend_scheme="never")
    yield "unknown", t

    t = change(marked(260, False), model__unk_token=None, decoder=None)
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    yield "dropped", t

    t = byte_level()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.add_special_tokens([AddedToken("<|end|>", lstrip=True, rstrip=True, normalized=False), "<s>"])
    t.add_tokens([AddedToken("word", single_word=True), AddedToken("<gap>", lstrip=True)])
    yield "gpt2-prefix", t

    t = byte_level()
    t.normalizer = normalizers.NFC()
    t.add_special_tokens(["<|end|>", "<s>", "</s>"])
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    yield "gpt2-nfc", t

    t = change(byte_level(), model__ignore_merges=True)
    t.pre_tokenizer = split(LLAMA3)
    t.add_special_tokens(["<s>", "<|end|>"])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    yield "llama3", t

    t = byte_level()
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = split(QWEN2)
    t.add_special_tokens(["<|end|>"])
    yield "qwen2", t


for name, t in variants():
    t.save(name + ".json", pretty=False)
    with open(name + ".golden.jsonl", "w", newline="\n") as out:
        for text in texts():
            ids = t.encode(text).ids
            plain = t.encode(text, add_special_tokens=False).ids
            out.write(json.dumps({"text": text, "ids": ids, "ids_no_special": plain, "decoded_skip_special": t.decode(ids, skip_special_tokens=True),
                                  "decoded_no_special_ids": t.decode(plain, skip_special_tokens=False)}, ensure_ascii=True) + "\n")
