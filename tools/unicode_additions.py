#!/usr/bin/env python3
"""Writes runtime/unicode_additions.cc: the characters beyond Unicode 14 with the categories that Oniguruma, which
Hugging Face tokenizers use, gives them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers
    /tmp/venv/bin/python tools/unicode_additions.py > runtime/unicode_additions.cc

Python itself (3.11: Unicode 14) says which characters are old."""
import unicodedata
from tokenizers import Regex, pre_tokenizers

CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm",
              "Sc", "Sk", "So"]


def additions():
    new = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) == "Cn"]
    for category in CATEGORIES:
        split = pre_tokenizers.Split(Regex(rf"\p{{{category}}}"), "removed")
        for c in new:
            if not split.pre_tokenize_str(c):
                yield ord(c), category


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
print('#include "runtime/unicode_additions.h"\n\nnamespace weft {\nnamespace {\n')
print("constexpr UnicodeAddition kAdditions[] = {")
line = "   "
for first, last, category in ranges(additions()):
    entry = f' {{0x{first:X}, 0x{last:X}, "{category}"}},'
    if len(line + entry) > 112:
        print(line)
        line = "   "
    line += entry
print(line)
print("};\n\n}  // namespace\n\nstd::span<const UnicodeAddition> unicode_additions() { return kAdditions; }\n\n}  // namespace weft")
