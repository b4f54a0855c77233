#!/usr/bin/env python3
"""Writes what llama.cpp computes with a real model, for tests/e2e/real_models_test.cc.

    python3 -m venv venv && venv/bin/pip install llama-cpp-python     # builds llama.cpp
    venv/bin/python tools/real_model_expectations.py FOLDER/gemma-3-270m-q4_k_m.gguf tests/data/real/gemma-3-270m.json

Ids of texts; for some prompts the ids that follow greedily, each with the least by which its logit leads all others, with
llama.cpp's usual cache and attention and with an f32 cache and plain attention, at once and token by token (it rounds
differently in each, by up to 0.2 of a logit); and the perplexity of a text (models/shipped/heldout.txt), over the second
halves of consecutive windows.
"""
import argparse
import json
import math
import pathlib

import llama_cpp
import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
GREEDY = 40
WINDOW = 512
PAGE = 24000  # bytes of the text: ten windows, so that rounding averages out
PROMPTS = ["2 + 2 =", "The capital of France is", "Once upon a time, there was a",
           "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n", "Die Hauptstadt von Deutschland ist",
           "Water boils at a temperature of", "1, 2, 3, 4, 5, 6,", "Monday, Tuesday, Wednesday,",
           "apple, apple, apple, apple,"]
TEXTS = ["", " ", "  ", "a", " a", "Hello, world!", " leading space", "trailing space ", "two  spaces   three",
         "a\nb\n\nc\n\n\nd", "tab\tand\t\ttabs", "\n", "\r\n", "Grüße, Ænglisc, naïve café", "Привет, как дела?",
         "日本語のテキスト", "한국어 텍스트", "नमस्ते दुनिया", "😀👩‍👩‍👧‍👦🏳️‍🌈", "\u0000\u0001\u007f", "3.14159 1234567890 0x1F",
         "for (int i = 0; i < 10; ++i) { x += a[i]; }", "https://example.org/a?b=c&d=e", "ﷺ ﬁ ２", "e\u0301 \u00a0nbsp",
         "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<bos><eos><unk>", "[multimodal] <unused0>",
         "<h1>a</h1><table><tr></tr></table>", "\u2581already marked\u2581", "x" * 40, " " * 40 + "y", "\n" * 9, "\t" * 9]


class Model:
    def __init__(self, path):
        parameters = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def context(self, plain=False):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 2 * WINDOW
        if plain:
            parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
            parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return Context(llama_cpp.llama_init_from_model(self.model, parameters), self.size)

    def ids(self, text, special, parse):
        data = text.encode()
        room = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), room, len(room), special, parse)
        assert count >= 0
        return list(room[:count])


class Context:
    def __init__(self, context, size):
        self.context, self.size = context, size

    def logits(self, tokens, chunk=None):
        """Of every position of a new sequence, `chunk` tokens at a time: float32 [tokens, vocabulary]."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        chunk = chunk or len(tokens)
        return numpy.concatenate([self.add(tokens[at:at + chunk], at) for at in range(0, len(tokens), chunk)])

    def add(self, tokens, at):
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, at + i, 1, 0
            batch.logits[i] = True
        assert llama_cpp.llama_decode(self.context, batch) == 0
        rows = [numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), shape=(self.size,)).copy()
                for i in range(len(tokens))]
        llama_cpp.llama_batch_free(batch)
        return numpy.stack(rows)


def lead(row, token):
    return float(row[token] - max(row[:token].max(initial=-numpy.inf), row[token + 1:].max(initial=-numpy.inf)))


def continued(contexts, prompt):
    """Ids that the first context generates, and by how much each leads at least."""
    usual, greedy = contexts[0], []
    row = usual.logits(prompt)[-1]
    while len(greedy) < GREEDY:
        greedy.append(int(row.argmax()))
        row = usual.add(greedy[-1:], len(prompt) + len(greedy) - 1)[-1]
    rows = [context.logits(prompt + greedy, chunk)[len(prompt) - 1:] for context in contexts for chunk in (None, 1)]
    return greedy, [round(min(lead(r[i], token) for r in rows), 4) for i, token in enumerate(greedy)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    model = Model(options.model)
    expected = {"model": options.model.name, "tokens": [], "greedy": []}
    for text in TEXTS:
        expected["tokens"].append({"text": text, "ids": model.ids(text, True, False),
                                   "special_ids": model.ids(text, True, True)})
    contexts = [model.context(), model.context(plain=True)]
    for prompt in PROMPTS:
        greedy, leads = continued(contexts, model.ids(prompt, True, False))
        expected["greedy"].append({"prompt": prompt, "ids": greedy, "leads": leads})
    text = (ROOT / "models/shipped/heldout.txt").read_bytes()[:PAGE].decode(errors="ignore")
    tokens, total, count = model.ids(text, True, False), 0.0, 0
    for begin in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = [tokens[0]] + tokens[begin + 1:begin + WINDOW]
        rows = contexts[0].logits(window).astype(numpy.float64)
        for i in range(WINDOW // 2, WINDOW - 1):
            total += numpy.log(numpy.exp(rows[i] - rows[i].max()).sum()) + rows[i].max() - rows[i][window[i + 1]]
            count += 1
    expected["perplexity"] = {"bytes": len(text.encode()), "window": WINDOW, "scored": count,
                              "value": round(math.exp(total / count), 4)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(expected, ensure_ascii=True, indent=1) + "\n")
    print(f"perplexity {expected['perplexity']['value']}")


if __name__ == "__main__":
    main()
