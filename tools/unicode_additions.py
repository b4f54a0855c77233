#!/usr/bin/env python3
"""Writes runtime/text/tokenizer/unicode_additions.cc: where Hugging Face tokenizers use a different Unicode version from what Weft
uses. Their patterns know newer characters, their normalizers only older ones.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers unicodedata2
    /tmp/venv/bin/python tools/unicode_additions.py > runtime/text/tokenizer/unicode_additions.cc

Python itself (3.11: Unicode 14) says which characters are old, unicodedata2 how new ones normalize."""
import unicodedata

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
              "Sc", "Sk", "So"]


def additions():
    new = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) == "Cn"]
    for category in CATEGORIES:
        split = pre_tokenizers.Split(Regex(rf"\p{{{category}}}"), "removed")
        for c in new:
            if not split.pre_tokenize_str(c):
                yield ord(c), category


def not_normalized():
    """Characters that decompose or reorder by the standard and not by Hugging Face's normalizers."""
    nfkd, nfd = normalizers.NFKD(), normalizers.NFD()
    for c in (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000):
        decomposes = unicodedata2.normalize("NFKD", c) != c and nfkd.normalize_str(c) == c
        marked = "a\u0301" + c + "\u0316"
        if decomposes or (unicodedata2.combining(c) and nfd.normalize_str(marked) == marked):
            yield ord(c), ""


def ranges(characters):
    out = []
    for c, category in sorted(characters):
        if out and out[-1][1] == c - 1 and out[-1][2] == category:
            out[-1][1] = c
        else:
            out.append([c, c, category])
    return out


assert unicodedata.unidata_version == "14.0.0", "wanted a Python that knows Unicode 14"
print("// Written by tools/unicode_additions.py.")
print('#include "runtime/text/tokenizer/unicode_additions.h"\n\nnamespace weft {\nnamespace {\n')


def print_table(head, entries):
    print(head)
    line = "   "
    for entry in entries:
        if len(line + entry) > 112:
            print(line)
            line = "   "
        line += entry
    print(line + "\n};\n")


print_table("constexpr UnicodeAddition kAdditions[] = {",
            [f' {{0x{first:X}, 0x{last:X}, "{category}"}},' for first, last, category in ranges(additions())])
print_table("constexpr CharacterRange kNotNormalized[] = {",
            [f" {{0x{first:X}, 0x{last:X}}}," for first, last, _ in ranges(not_normalized())])
print("}  // namespace\n\nstd::span<const UnicodeAddition> unicode_additions() { return kAdditions; }\n")
print("std::span<const CharacterRange> not_normalized() { return kNotNormalized; }\n\n}  // namespace weft")
