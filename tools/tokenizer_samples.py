#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_samples/*.json: small tokenizers with the ids that their options give random texts, by
Hugging Face tokenizers.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers tiktoken sentencepiece gguf
    /tmp/venv/bin/python tools/tokenizer_samples.py"""
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from compare_tokenizers import LLAMA3, WORDS, random_text

OUT = Path(__file__).parent.parent / "tests/golden/tokenizer_samples"
TEXT = [" ".join(WORDS), "the cat sat on the mat and then they ate", "Once upon a time there was a naïve café"] * 3
SPECIAL = ["<s>", "</s>"]
SPM_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                 decoders.Strip(" ", 1, 0)])


def trained(byte_level, vocab=340, **options):
    """A model with a few merges; if not byte-level, characters of TEXT and byte tokens."""
    tokenizer = Tokenizer(models.BPE())
    if byte_level:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        special = []
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        alphabet = []
        special = ["<unk>"] + ([f"<0x{b:02X}>" for b in range(256)] if options.get("byte_fallback") else [])
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=vocab + len(special), initial_alphabet=alphabet,
                                                            special_tokens=special, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return Tokenizer(models.BPE(model["vocab"], [tuple(m) for m in model["merges"]], **options))


def byte_level(pre=None, normalizer=None, regex=False, prefix=False, **options):
    tokenizer = trained(True, **options)
    last = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*pre, last]) if pre else last
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def spm(pre=None, normalizer=None, decoder=SPM_DECODER, **options):
    tokenizer = trained(False, **options)
    if pre:
        tokenizer.pre_tokenizer = pre
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def template(tokenizer, single):
    ids = [(s, tokenizer.token_to_id(s)) for s in SPECIAL]
    return processors.TemplateProcessing(single=single, special_tokens=ids)


def with_added(tokenizer, **options):
    tokenizer.add_tokens([AddedToken("cat", **options), AddedToken("the", single_word=True, **options),
                          AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
                          AddedToken("<both>", lstrip=True, rstrip=True, normalized=False, special=True)])
    return tokenizer


def tokenizers():
    split = pre_tokenizers.Split
    yield "gpt2_prefix_space", byte_level(regex=True, prefix=True)
    llama3 = byte_level([split(Regex(LLAMA3), "isolated")], ignore_merges=True)
    llama3.post_processor = processors.Sequence([processors.ByteLevel(), template(llama3, "<s> $A </s>")])
    yield "llama3_ignore_merges", llama3
    yield "nfkc_lowercase", byte_level([split(" ", "merged_with_previous")],
                                       normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]))
    yield "split_removed", byte_level([split(Regex(r"\s+|\d"), "removed")], normalizers.NFD())
    yield "split_with_next", byte_level([split(Regex(r"[\s\d]"), "merged_with_next")], normalizers.NFC())
    yield "split_contiguous_inverted", byte_level([split(Regex(r"\w"), "contiguous", invert=True)])
    yield "split_boundary", byte_level([split(Regex(r"\b|[\S\n]{4}"), "isolated")], normalizers.NFKD())
    yield "digits", byte_level([pre_tokenizers.Digits(individual_digits=True)], regex=True)
    yield "digits_contiguous", byte_level([pre_tokenizers.Digits(individual_digits=False)])
    for scheme in ["always", "never", "first"]:
        space = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "first")
        decoder = decoders.Metaspace(prepend_scheme=scheme) if scheme != "first" else SPM_DECODER
        yield f"metaspace_{scheme}", spm(space, decoder=decoder, byte_fallback=True, fuse_unk=True)
    legacy = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "legacy_fallback", with_added(spm(None, legacy, unk_token="<unk>", byte_fallback=True), normalized=True)
    yield "legacy_fused_unknown", spm(None, legacy, unk_token="<unk>", fuse_unk=True)
    yield "legacy_unknown", spm(None, normalizers.Replace(Regex(r"\s+"), "▁"), unk_token="<unk>")
    yield "no_unknown", spm(pre_tokenizers.Metaspace())
    yield "added_byte_level", with_added(byte_level(regex=True), normalized=False)
    yield "added_lowercase", with_added(byte_level(regex=True, normalizer=normalizers.Lowercase()), normalized=True)


def main():
    for path in OUT.glob("*.json"):
        path.unlink()
    for name, tokenizer in tokenizers():
        rng = random.Random(name)
        added = [t.content for t in tokenizer.get_added_tokens_decoder().values()] + [" cat ", " the ", "The cat", "  "]
        samples = []
        for text in ["", " ", "the cat", *(random_text(rng, added) for _ in range(40))]:
            ids = tokenizer.encode(text).ids
            samples.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids)})
        with open(OUT / f"{name}.json", "w") as file:
            file.write('{"tokenizer":' + json.dumps(json.loads(tokenizer.to_str()), separators=(",", ":")))
            file.write(',\n"samples":[\n')
            file.write(",\n".join(json.dumps(s, separators=(",", ":")) for s in samples) + "\n]}\n")


if __name__ == "__main__":
    main()
