#!/usr/bin/env python3
"""Compares `weft tokenize` with other tokenizers on random Unicode strings.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers tiktoken sentencepiece gguf
    /tmp/venv/bin/python tools/compare_tokenizers.py MODEL...

A MODEL is a tokenizer.json, a GGUF file with GPT-2's tokenizer, or a directory with Qwen2's vocab.json and merges.txt
(all by Hugging Face tokenizers), or a tokenizer.model (by sentencepiece or tiktoken). With --sample N the first N texts
and their ids by the other library are written as JSON instead (tests/golden/tokenizer_random/). The exit status is 1
where anything differs."""
import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
import tiktoken.load
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

WORDS = ["the", "The", "don't", "WE'VE", "I'll", "it's", "naïve", "cafe\u0301", "日本語", "русский", "עברית", "हिन्दी", "ไทย", "한국어",
         "👩\u200d👩\u200d👧", "🇩🇪", "x+=1;", "3.14", "1,000,000", "\r\n", "\n\n", "\t", "  ", "    ", " \n ", "http://a.b/c?d=e",
         "ﬁ", "①", "²", "Å", "\u2028", "\u00a0", "\u200b", "\ufeff", "▁", "▁▁", "<0x0A>", "'S", "'ſ", "\u1100\u1161\u11a8"]
# Ranges of characters in the texts; the last is everything, assigned or not.
RANGES = [(0x20, 0x7E), (0x0, 0x1F), (0x80, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
          (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x2BFF), (0x3000, 0x30FF),
          (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x10000, 0x1FFFF), (0x0, 0x10FFFF)]


def random_text(rng, special):
    text = ""
    for _ in range(rng.randrange(1, 12)):
        kind = rng.random()
        if kind < 0.25:
            text += rng.choice(WORDS)
        elif kind < 0.35:
            text += " " * rng.randrange(1, 4)
        elif kind < 0.40 and special:
            text += rng.choice(special)
        elif kind < 0.60:
            text += "".join(chr(rng.randrange(0x61, 0x7B)) for _ in range(rng.randrange(1, 9)))
        else:
            low, high = rng.choice(RANGES)
            text += "".join(chr(rng.randrange(low, high + 1)) for _ in range(rng.randrange(1, 7)))
    return "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")


class HuggingFace:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.special = sorted(t.content for t in tokenizer.get_added_tokens_decoder().values())

    def encode(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)]

    def decode(self, ids):
        return self.tokenizer.decode(ids)


class SentencePiece:
    special = []  # it does not read them

    def __init__(self, path):
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(self, texts):
        return [[self.model.bos_id()] + ids for ids in self.model.encode(texts)]

    def decode(self, ids):
        return self.model.decode(ids[1:])


class Tiktoken:
    """Llama-3's tokenizer.model."""

    def __init__(self, path):
        ranks = tiktoken.load.load_tiktoken_bpe(str(path))
        special = ["<|begin_of_text|>", "<|end_of_text|>"]
        self.special = special
        self.bos = len(ranks)
        self.model = tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks,
                                       special_tokens={s: len(ranks) + i for i, s in enumerate(special)})

    def encode(self, texts):
        return [[self.bos] + self.model.encode(text, allowed_special="all") for text in texts]

    def decode(self, ids):
        return self.model.decode([i for i in ids if i < self.bos])


def byte_level(vocab, merges, added, pattern=None, normalizer=None):
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = pattern and pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only]) if pattern else bytes_only
    tokenizer.decoder = decoders.ByteLevel()
    for token in added:
        tokenizer.add_tokens([token])
    return HuggingFace(tokenizer)


def from_vocab_json(directory):
    """What Qwen2's tokenizer class makes of vocab.json, merges.txt and tokenizer_config.json."""
    config = json.loads((directory / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"].startswith("Qwen2"), "only Qwen2's vocab.json is known here"
    vocab, merges = models.BPE.read_file(str(directory / "vocab.json"), str(directory / "merges.txt"))
    added = sorted(config["added_tokens_decoder"].items(), key=lambda item: int(item[0]))
    return byte_level(vocab, merges, [AddedToken(**token) for _, token in added], QWEN2, normalizers.NFC())


def from_gguf(path):
    fields = gguf.GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    assert get("model") == "gpt2" and get("pre") == "gpt-2", "only GPT-2's GGUF is known here"
    tokens, types = get("tokens"), get("token_type")
    added = [AddedToken(t, special=True) for t, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL]
    return byte_level({t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in get("merges")], added)


def load(path):
    if path.is_dir():
        path = path / "tokenizer.json" if (path / "tokenizer.json").exists() else path
    if path.is_dir():
        return from_vocab_json(path)
    if path.suffix == ".json":
        return HuggingFace(Tokenizer.from_file(str(path)))
    if path.suffix == ".gguf":
        return from_gguf(path)
    return SentencePiece(path) if path.read_bytes()[:1] == b"\n" else Tiktoken(path)


def weft(program, model, values, *flags):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values, file)
        file.flush()
        result = subprocess.run([program, "tokenize", "-m", str(model), "--batch", file.name, *flags], text=True,
                                stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--weft", default=str(Path(__file__).parent.parent / "build/release/bin/weft"))
    parser.add_argument("--reference", type=Path, help="what to compare with, if not MODEL itself")
    parser.add_argument("-n", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int)
    options = parser.parse_args()
    differing = 0
    for model in options.models:
        tokenizer = load(options.reference or model)
        rng = random.Random(options.seed)
        texts = [random_text(rng, tokenizer.special) for _ in range(options.sample or options.n)]
        wanted = tokenizer.encode(texts)
        if options.sample:
            rows = [json.dumps({"text": t, "ids": i}, separators=(",", ":")) for t, i in zip(texts, wanted)]
            print("[\n" + ",\n".join(rows) + "\n]")
            continue
        got = weft(options.weft, model, texts, "--parse-special")
        bad = [i for i in range(len(texts)) if got[i] != wanted[i]]
        for i in bad[:5]:
            print(f"{model}: {texts[i]!r}\n  wanted {wanted[i]}\n  got    {got[i]}")
        decoded, back = weft(options.weft, model, wanted), [tokenizer.decode(ids) for ids in wanted]
        bad_text = [i for i in range(len(texts)) if decoded[i] != back[i]]
        for i in bad_text[:5]:
            print(f"{model}: decoding {wanted[i]}\n  wanted {back[i]!r}\n  got    {decoded[i]!r}")
        print(f"{model}: {len(texts)} texts, {len(bad)} differ in ids, {len(bad_text)} in decoded text")
        differing += len(bad) + len(bad_text)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
