"""Makes the golden files of the kinds that reference.py has not: components one by one, WordPiece, Unigram,
the patterns of byte-level families, SentencePiece models and tiktoken lists, each trained or built with the
reference library itself.

Run: pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0 protobuf && python make_golden.py
Nothing in the tests runs this; they read what it wrote:
  components.golden.jsonl.gz         {"kind", "json", "in", "out"}: one component on one text (decoder: tokens)
  kinds/NAME.{json,model,tiktoken}.gz and kinds/NAME.golden.jsonl.gz, rows as in reference.py
"""
import base64, gzip, io, json, os, random

import sentencepiece, tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

BASE = """The quick brown fox jumps over the lazy dog. They're sure that it's the fox's den, we'll see. I can't, don't and won't.
In 1984 there were 12345 foxes and 678 dogs; 3.14 is not 22/7.  Two  spaces,   three. Unaffordable, unbelievable, tokenization!
def f(x):\n    return x + 1\n\n\nif __name__ == "__main__":\n\tprint(f(41))\n
Die Füße des Bären. Où est l'élève naïve? Ångström, résumé, façade. Привет, мир! Привет! 東京都 日本 日本語. ｆｕｌｌ ﬁne ½ ²
the the the then them there these other another together whether weather feather leather """
WORDS = "time year people way day man thing woman life child world school state family student group country problem hand part place case week company system program question work government number night point home water room mother area money story fact month lot right study book eye job word business issue side kind head house service friend father power hour game line end member law car city community name president team minute idea kid body information back parent face others level office door health person art war history party result change morning reason research girl guy moment air teacher force education".split()


def corpus():
    rng = random.Random(3)
    lines = BASE.split("\n") * 4
    for _ in range(400):
        words = [rng.choice(WORDS) + rng.choice(["", "", "s", "ing", "ed", "er", "ly"]) for _ in range(rng.randint(4, 12))]
        lines.append(" ".join(words).capitalize() + rng.choice([".", "!", "?", ","]))
    return [line for line in lines if line]


LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789'\"\n\t.,;:!?()+=_/-éüÅПривет日本東京都")
EXTRA = ["  ", "    ", "\n\n", " \n ", "▁", "▁▁", "Ġ", "##", "[SEP]", "[CLS]", "[UNK]", "<s>", "</s>", "<unk>", "<0x0A>", "<|end|>", "<mask>", "🙂", "👩‍👩‍👧", "🇩🇪", "e\u0301", "\u0301",
         "A\u030a", "\u212b", "한", "\u1112\u1161\u11ab", "ß", "ſ", "'S", "'ſ", "'re", "'LL", "don't", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff", "\r\n", "\r", "\u0000", "\u0001", "\u007f", "\u0085", "\uffff", "\ufffd", "ﬁ", "½", "²", "Ⅷ", "٣", "İ", "Σ", "Ǆ", "㍿", "the", "fox", "time ", " world", "日本", "中文", "12345", "\u0958", "１２", "«»", "…", "―", "$", "€", "ⓐ", "\u1734", "́́"]


def texts(count=160, seed=7):
    rng = random.Random(seed)
    fixed = ["", " ", "  ", "a", " a", "a ", "\n", "The quick brown fox", " the fox", "the  fox", "a<s>b", "[CLS] a[SEP]", "the [MASK] fox", "x <|end|> y", "in 1984, 12345", "it's IT'S we'LL", "\n\n\n x", "x \n  ", "x  ",
             "naïve café", "nai\u0308ve cafe\u0301", "▁the", "the▁fox", "🙂🙂", "日本語", "Q\u0323\u0307", "\u1100\u1161\u11a8", "a" * 60, "the" * 40, " " * 70, "e" + "\u0301\u0323" * 20, "unaffordable tokenizations",
             "x1y22z333w4444", "!abc ?Def #x $y", "a\u0301b\u0302\u0303", "don't do not", "\ta\r\nb\u2028c", "ΑΣ ΑΣ.", "1234567 12 1", "こんにちは世界カタカナ漢字abc", "m²³¹¼ x", "https://a.b/c?d=e&f#g", "ﬁx ＡＢＣ ㌔ ﷺ"]
    for _ in range(count):
        fixed.append("".join(rng.choice(EXTRA) if rng.random() < 0.35 else rng.choice(LETTERS) for _ in range(rng.randint(1, 24))))
    return fixed


def write(name, data):
    with open(name, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as out:
        out.write(data)


def write_rows(name, rows):
    write(name, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode())


# Patterns, as published in the tokenizer.json files of the families.
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^""" + "\r\n" + r"""\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[""" + "\r\n" + r"""]*|\s*[""" + "\r\n" + r"""]+|\s+(?!\S)|\s+"""]
CODER = ["[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+"]
O200K = "|".join([r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


def split(*patterns, then=None):
    parts = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] + (then or [])
    return pre_tokenizers.Sequence(parts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def falcon():
    return pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])


def as_json(**part):
    t = Tokenizer(models.BPE())
    for name, value in part.items():
        setattr(t, name, value)
        return json.loads(t.to_str())[name]


def components():
    P, N, D = pre_tokenizers, normalizers, decoders
    some = texts(60)
    for n in [N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.Nmt(), N.StripAccents(), N.Strip(), N.Strip(left=False), N.Strip(right=False), N.Prepend("▁"), N.Prepend("ab"), N.Replace(" ", "▁"), N.Replace("the", ""),
              N.Replace(Regex(" {2,}"), " "), N.Replace(Regex(r"\s+$"), ""), N.Replace(Regex(r"[^\w]"), "-"), N.BertNormalizer(), N.BertNormalizer(lowercase=False), N.BertNormalizer(strip_accents=False), N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
              N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents()]), N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " "), N.Strip()])]:
        for text in some:
            yield {"kind": "normalizer", "json": as_json(normalizer=n), "in": text, "out": n.normalize_str(text)}
    pre = [P.Whitespace(), P.WhitespaceSplit(), P.BertPreTokenizer(), P.Digits(), P.Digits(True), P.CharDelimiterSplit("o"), P.ByteLevel(), P.ByteLevel(add_prefix_space=False), P.ByteLevel(use_regex=False), falcon()]
    behaviors = ["isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next"]
    pre += [P.Punctuation(b) for b in behaviors]
    pre += [P.Split(p, b, invert) for p in [" ", "the", Regex(r"\s+"), Regex("[a-z]"), Regex(r"x*")] for b in behaviors for invert in (False, True)]
    pre += [P.Metaspace(prepend_scheme=s, split=cut) for s in ("always", "first", "never") for cut in (True, False)]
    pre += [P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")]), P.Sequence([P.Punctuation(), P.Metaspace()])]
    pre += [split(p) for p in (GPT2, QWEN2, LLAMA3, O200K, CL100K, R50K, r"\w+|\W", r"[\w]+", r"\bthe\b", r"^.|\s*$", r"(?m:.+)")] + [split(*DEEPSEEK), split(*CODER, then=[P.Digits(True)])]
    pre += [P.Sequence([P.ByteLevel(add_prefix_space=False), P.Split(Regex(r"[a-zĠ]+"), "contiguous")]), P.Sequence([P.ByteLevel(), P.Digits(True)])]
    for p in pre:
        for text in some:
            yield {"kind": "pre_tokenizer", "json": as_json(pre_tokenizer=p), "in": text, "out": [piece for piece, _ in p.pre_tokenize_str(text)]}
    rng = random.Random(5)
    pool = ["a", "▁a", "▁", "Ġb", "##c", "c</w>", "<0x0A>", "<0xE6>", "<0x97>", "<0xA5>", "<0xFF>", " ", "  ", "æ", "Ĺ", "¥", "|", "<pad>", "日", "'s", "##ing", ".", "n't", "do", "not", "Ċ", "🙂"]
    dec = [None, D.ByteLevel(), D.WordPiece(), D.WordPiece(cleanup=False), D.Metaspace(), D.Metaspace(prepend_scheme="never"), D.Metaspace(prepend_scheme="first"), D.Replace("▁", " "), D.Replace(Regex("[abc]+"), "x"), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0), D.BPEDecoder(), D.CTC(),
           D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]), D.Sequence([D.Fuse(), D.Replace("aa", "b")]), D.Sequence([D.ByteLevel(), D.Replace(" ", "_")])]
    for d in dec:
        for _ in range(40):
            tokens = [rng.choice(pool) for _ in range(rng.randint(0, 12))]
            yield {"kind": "decoder", "json": as_json(decoder=d) if d else None, "in": tokens, "out": d.decode(tokens) if d else " ".join(tokens)}


def byte_level(size=500):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.decoder = decoders.ByteLevel()
    return t


def train_pieces(kind, **options):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=out, vocab_size=options.pop("vocab_size", 500), model_type=kind, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    return out.getvalue()


def charsmap(model):
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    m.ParseFromString(model)
    return m.normalizer_spec.precompiled_charsmap


def word_piece(size=400, **options):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.decoder = decoders.WordPiece()
    return t


def unigram(size=400, specials=("<pad>", "</s>", "<unk>"), **model):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=size, special_tokens=list(specials), unk_token="<unk>", show_progress=False))
    t.decoder = decoders.Metaspace()
    if model:
        j = json.loads(t.to_str())
        j["model"].update(model)
        if model.get("byte_fallback"):
            j["model"]["vocab"] += [["<0x%02X>" % b, 0.0] for b in range(256)]
        t = Tokenizer.from_str(json.dumps(j))
    return t


def kinds(nmt):
    P, N = pre_tokenizers, normalizers
    t = word_piece()
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    yield "bert-uncased", t
    t = word_piece(max_input_chars_per_word=8)
    t.normalizer, t.pre_tokenizer = N.Sequence([N.NFC(), N.Strip()]), P.Sequence([P.Whitespace(), P.Digits(True)])
    t.post_processor, t.decoder = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)), decoders.WordPiece(cleanup=False)
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    yield "bert-cased", t
    t = byte_level()
    t.post_processor = processors.RobertaProcessing(("</s>", 501), ("<s>", 500))
    t.add_special_tokens(["<s>", "</s>", AddedToken("<mask>", lstrip=True)])
    yield "roberta", t
    t = unigram()
    t.normalizer, t.pre_tokenizer = N.Precompiled(nmt), P.Sequence([P.WhitespaceSplit(), P.Metaspace()])
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    yield "t5", t
    t = unigram(specials=("[PAD]", "[CLS]", "[SEP]", "<unk>"))
    t.normalizer = N.Sequence([N.Strip(), N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = P.Sequence([P.Punctuation(), P.Metaspace(prepend_scheme="first")])
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    t.add_special_tokens(["[MASK]"])
    yield "deberta", t
    t = unigram(byte_fallback=True)
    t.normalizer, t.pre_tokenizer = N.Sequence([N.Nmt(), N.Lowercase()]), P.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    yield "unigram-bytes", t
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.pre_tokenizer = P.Whitespace()
    t.train_from_iterator(corpus(), trainers.WordLevelTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False))
    yield "word-level", t
    for name, pre in [("falcon", falcon()), ("deepseek", split(*DEEPSEEK)), ("deepseek-coder", split(*CODER, then=[P.Digits(True)])), ("o200k", split(O200K))]:
        t = byte_level()
        t.pre_tokenizer = pre
        t.add_special_tokens(["<|end|>"])
        yield name, t
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer, t.pre_tokenizer = N.Sequence([N.NFC(), N.Lowercase()]), P.Sequence([P.Split(Regex(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", True)])
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))
    t.decoder = decoders.BPEDecoder()
    yield "suffix", t
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.pre_tokenizer = P.BertPreTokenizer()
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]"], continuing_subword_prefix="##", show_progress=False))
    t.decoder = decoders.WordPiece()
    yield "prefix", t


def rows(t):
    for text in texts():
        ids, plain = t.encode(text).ids, t.encode(text, add_special_tokens=False).ids
        yield {"text": text, "ids": ids, "ids_no_special": plain, "decoded_skip_special": t.decode(ids, skip_special_tokens=True), "decoded_no_special_ids": t.decode(plain, skip_special_tokens=False)}


def sentence_pieces():
    yield "sp-unigram", train_pieces("unigram", normalization_rule_name="nmt_nfkc", user_defined_symbols=["<sep>", "fox"])
    yield "sp-unigram-bytes", train_pieces("unigram", normalization_rule_name="identity", byte_fallback=True, vocab_size=700, remove_extra_whitespaces=False)
    yield "sp-bpe", train_pieces("bpe", normalization_rule_name="identity", byte_fallback=True, vocab_size=700, remove_extra_whitespaces=False, user_defined_symbols=["<sep>"], split_digits=True)
    yield "sp-bpe-plain", train_pieces("bpe", normalization_rule_name="identity", add_dummy_prefix=False)


def main():
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    os.makedirs("kinds", exist_ok=True)
    write_rows("components.golden.jsonl.gz", components())
    models_of = dict(sentence_pieces())
    for name, t in kinds(charsmap(models_of["sp-unigram"])):
        write("kinds/%s.json.gz" % name, t.to_str().encode())
        write_rows("kinds/%s.golden.jsonl.gz" % name, rows(t))
    for name, model in models_of.items():
        sp = sentencepiece.SentencePieceProcessor(model_proto=model)
        write("kinds/%s.model.gz" % name, model)
        # Strings of control pieces are text for SentencePiece and tokens for us, as for transformers.
        plain = [text for text in texts() if not any(s in text for s in ("<s>", "</s>", "<unk>")) and "\0" not in text]
        write_rows("kinds/%s.golden.jsonl.gz" % name, ({"text": text, "ids_no_special": sp.encode(text)} for text in plain))
    t = byte_level(700)
    vocab = json.loads(t.to_str())["model"]["vocab"]
    table = {c: b for b, c in bytes_to_symbols().items()}
    ranks = {bytes(table[c] for c in token): id for token, id in vocab.items()}
    ranks = {token: rank for rank, (token, _) in enumerate(sorted(ranks.items(), key=lambda item: item[1]))}
    data = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())
    for name, pattern in [("r50k", R50K), ("cl100k", CL100K), ("o200k", O200K)]:
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|end|>": len(ranks)})
        write("kinds/tiktoken-%s.tiktoken.gz" % name, data)
        write_rows("kinds/tiktoken-%s.golden.jsonl.gz" % name, ({"text": text, "ids_no_special": encoding.encode(text, allowed_special="all")} for text in texts()))


def bytes_to_symbols():
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + n) for n, b in enumerate(others)}}


main()
