#!/usr/bin/env python3
"""Writes a model file of a well-known shape with random weights, for tests of memory and speed. Needs numpy.

    tools/make_random_model.py SHAPE OUT [--type F16|BF16|F32|Q8_0|Q4_K_M] [--layers N] [--context N] [--seed N]

OUT ending in .gguf: a GGUF file; else a directory with model.safetensors, config.json and tokenizer.json (F32, F16,
BF16). Shapes: tinyllama-1.1b, qwen2.5-0.5b, llama-7b, tiny. Weights are scaled so that activations stay finite; blocks
of quantized types are random bytes with scales to match, and the mixture of Q4_K_M is llama.cpp's. The vocabulary has
the shape's size: all bytes, and pieces of random letters with what merges them. The character '~' is in no piece, so a
prompt of N of them has about N tokens.
"""
import argparse
import json
import os
import struct

import numpy as np

SHAPES = {
    # layers, embed, hidden, heads, kv heads, head dim, vocab, context, rope base, eps
    "tinyllama-1.1b": ("llama", 22, 2048, 5632, 32, 4, 64, 32000, 2048, 1e4, 1e-5),
    "qwen2.5-0.5b": ("qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768, 1e6, 1e-6),
    "llama-7b": ("llama", 32, 4096, 11008, 32, 32, 128, 32000, 4096, 1e4, 1e-5),
    "tiny": ("llama", 2, 256, 768, 4, 2, 64, 2000, 4096, 1e4, 1e-5),
}
FIELDS = "arch layers embed hidden heads kv_heads head_dim vocab context rope_base eps".split()

# ggml's type id, elements and bytes of a block
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2), "Q5_0": (6, 32, 22), "Q8_0": (8, 32, 34),
         "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210)}
FILE_TYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_K_M": 15}
CHUNK = 1 << 22  # elements made at a time


def plain(values, kind):
    if kind == "BF16":
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype("<f4" if kind == "F32" else "<f2").tobytes()


class Weights:
    """Random elements. They are drawn once and read from random places after that: drawing all takes minutes."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.normal = self.random.standard_normal(1 << 23, dtype=np.float32)
        self.bytes = self.random.integers(0, 256, 1 << 23, dtype=np.uint8)

    def take(self, pool, count):
        assert count <= len(pool)
        begin = self.random.integers(0, len(pool) - count + 1)
        return pool[begin:begin + count]

    def encode(self, kind, count, deviation):
        """Bytes of `count` elements of that standard deviation, about."""
        _, elements, size = TYPES[kind]
        if elements == 1:
            return plain(self.take(self.normal, count) * np.float32(deviation), kind)
        blocks = np.concatenate([self.take(self.bytes, len(part)) for part in
                                 np.array_split(np.empty(count // elements * size, dtype=np.uint8), 8)])
        blocks = blocks.reshape(-1, size).copy()

        def scale(at, value):
            blocks[:, at:at + 2] = np.frombuffer(np.float16(value).tobytes(), dtype=np.uint8)

        if kind == "Q8_0":  # d * q, q of deviation 74
            scale(0, deviation / 74)
        elif kind == "Q5_0":  # d * (q - 16)
            scale(0, deviation / 9.2)
        elif kind == "Q4_K":  # d * scale * q - dmin * min, scale and min of 6 bits
            scale(0, deviation / 250)
            scale(2, deviation / 250 * 7.5)
        else:  # Q6_K: d * scale * (q - 32), scale of 8 bits; d comes last
            scale(208, deviation / (74 * 18.5))
        return blocks.tobytes()


def tensors(shape):
    """(GGUF name, HF name, extents from slow to fast, what it is)"""
    e, h, d = shape["embed"], shape["hidden"], shape["head_dim"]
    q, kv = shape["heads"] * d, shape["kv_heads"] * d
    yield "token_embd.weight", "model.embed_tokens.weight", (shape["vocab"], e), "embedding"
    for i in range(shape["layers"]):
        g, s = f"blk.{i}.", f"model.layers.{i}."
        yield g + "attn_norm.weight", s + "input_layernorm.weight", (e,), "norm"
        yield g + "attn_q.weight", s + "self_attn.q_proj.weight", (q, e), "matrix"
        yield g + "attn_k.weight", s + "self_attn.k_proj.weight", (kv, e), "matrix"
        yield g + "attn_v.weight", s + "self_attn.v_proj.weight", (kv, e), f"more bits {i}"
        if shape["arch"] == "qwen2":
            for name, extent in (("q", q), ("k", kv), ("v", kv)):
                yield g + f"attn_{name}.bias", s + f"self_attn.{name}_proj.bias", (extent,), "bias"
        yield g + "attn_output.weight", s + "self_attn.o_proj.weight", (e, q), "matrix"
        yield g + "ffn_norm.weight", s + "post_attention_layernorm.weight", (e,), "norm"
        yield g + "ffn_gate.weight", s + "mlp.gate_proj.weight", (h, e), "matrix"
        yield g + "ffn_up.weight", s + "mlp.up_proj.weight", (h, e), "matrix"
        yield g + "ffn_down.weight", s + "mlp.down_proj.weight", (e, h), f"more bits {i}"
    yield "output_norm.weight", "model.norm.weight", (e,), "norm"
    if shape["arch"] != "qwen2":  # which ties it
        yield "output.weight", "lm_head.weight", (shape["vocab"], e), "output"


def storage(shape, extents, role, wanted):
    """The type of a tensor in a file of type `wanted`."""
    if len(extents) == 1:
        return "F32"
    if wanted != "Q4_K_M":
        return wanted
    more = role == "output" or (role == "embedding" and shape["arch"] == "qwen2")
    if role.startswith("more bits"):
        i, n = int(role.split()[-1]), shape["layers"]
        more = i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
    if extents[-1] % 256 != 0:  # what llama.cpp falls back to
        return "Q8_0" if more else "Q5_0"
    return "Q6_K" if more else "Q4_K"


def write_tensor(out, weights, extents, role, kind):
    count = int(np.prod(extents))
    if role == "norm":
        out.write(plain(np.ones(count, dtype=np.float32), kind))
        return
    deviation = 0.1 if role == "bias" else extents[-1] ** -0.5
    while count > 0:
        part = min(count, CHUNK // 256 * 256)
        out.write(weights.encode(kind, part, deviation))
        count -= part


# --- vocabularies ---

def pieces(count, seed):
    """`count` distinct pieces of letters, each with the two that it is merged from: letters or earlier pieces."""
    random = np.random.default_rng(seed)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    known, result, short = set(letters), [], list(letters)
    while len(result) < count:
        left = short[random.integers(len(short))]
        right = letters[random.integers(26)]
        if left + right in known:
            continue
        known.add(left + right)
        result.append((left + right, left, right))
        if len(left) < 8:
            short.append(left + right)
    return result


def byte_alphabet():
    """The characters that stand for bytes in byte-level vocabularies (as GPT-2's)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(other)) for b in range(256)]


def byte_level(vocab, seed):
    """Tokens and merges; the last three tokens are special."""
    made = pieces(vocab - 256 - 3, seed)
    tokens = byte_alphabet() + [p for p, _, _ in made] + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return tokens, [f"{a} {b}" for _, a, b in made]


# --- GGUF ---

def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    kind = 8 if isinstance(value[0], str) else 6 if isinstance(value[0], float) else 5
    head = text(key) + struct.pack("<IIQ", 9, kind, len(value))
    if kind == 8:
        return head + b"".join(text(v) for v in value)
    return head + np.array(value, dtype="<f4" if kind == 6 else "<i4").tobytes()


def tokenizer_metadata(shape, seed):
    t, vocab = "tokenizer.ggml.", shape["vocab"]
    if shape["arch"] == "qwen2":
        tokens, merges = byte_level(vocab, seed)
        types = [1] * (vocab - 3) + [3] * 3
        return {t + "model": "gpt2", t + "pre": "qwen2", t + "tokens": tokens, t + "token_type": types,
                t + "merges": merges, t + "eos_token_id": vocab - 1, t + "add_bos_token": False}
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    made = [p for p, _, _ in pieces(vocab - 3 - 256 - 27, seed)]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["\u2581"] + letters + made
    types = [2, 3, 3] + [6] * 256 + [1] * (vocab - 259)
    return {t + "model": "llama", t + "tokens": tokens, t + "scores": [0.0] * 259 + [-float(i) for i in range(vocab - 259)],
            t + "token_type": types, t + "bos_token_id": 1, t + "eos_token_id": 2, t + "unknown_token_id": 0,
            t + "add_bos_token": True}


def write_gguf(path, name, shape, kind, seed):
    a = shape["arch"] + "."
    metadata = {"general.architecture": shape["arch"], "general.name": name, "general.alignment": 32,
                "general.file_type": FILE_TYPES[kind], a + "block_count": shape["layers"],
                a + "context_length": shape["context"], a + "embedding_length": shape["embed"],
                a + "feed_forward_length": shape["hidden"], a + "attention.head_count": shape["heads"],
                a + "attention.head_count_kv": shape["kv_heads"], a + "attention.layer_norm_rms_epsilon": shape["eps"],
                a + "rope.freq_base": shape["rope_base"], **tokenizer_metadata(shape, seed)}
    if shape["arch"] == "llama":
        metadata[a + "rope.dimension_count"] = shape["head_dim"]
    plan, table, offset = [], b"", 0
    for tensor, _, extents, role in tensors(shape):
        stored = storage(shape, extents, role, kind)
        number, elements, size = TYPES[stored]
        if extents[-1] % elements != 0:
            raise SystemExit(f"rows of {extents[-1]} of {tensor} are not whole blocks of {stored}")
        table += text(tensor) + struct.pack("<I", len(extents)) + struct.pack(f"<{len(extents)}Q", *reversed(extents))
        table += struct.pack("<IQ", number, offset)
        plan.append((extents, role, stored))
        offset += -(-int(np.prod(extents)) // elements * size // 32) * 32
    weights = Weights(seed)
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(plan), len(metadata)))
        for key, value in metadata.items():
            out.write(entry(key, value))
        out.write(table)
        for extents, role, stored in plan:
            out.write(bytes(-out.tell() % 32))
            write_tensor(out, weights, extents, role, stored)
        out.write(bytes(-out.tell() % 32))


# --- safetensors ---

def write_safetensors(path, shape, kind, seed):
    if kind not in ("F32", "F16", "BF16"):
        raise SystemExit(f"safetensors files hold F32, F16 and BF16, not {kind}")
    os.makedirs(path, exist_ok=True)
    width = TYPES[kind][2]
    header, offset, plan = {}, 0, []
    for _, tensor, extents, role in tensors(shape):
        size = int(np.prod(extents)) * width
        header[tensor] = {"dtype": kind, "shape": extents, "data_offsets": [offset, offset + size]}
        offset += size
        plan.append((extents, role))
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    weights = Weights(seed)
    with open(os.path.join(path, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(encoded)) + encoded)
        for extents, role in plan:
            write_tensor(out, weights, extents, role, kind)
    qwen = shape["arch"] == "qwen2"
    config = {"architectures": ["Qwen2ForCausalLM" if qwen else "LlamaForCausalLM"], "model_type": shape["arch"],
              "hidden_size": shape["embed"], "intermediate_size": shape["hidden"], "num_hidden_layers": shape["layers"],
              "num_attention_heads": shape["heads"], "num_key_value_heads": shape["kv_heads"],
              "max_position_embeddings": shape["context"], "rms_norm_eps": shape["eps"], "rope_theta": shape["rope_base"],
              "vocab_size": shape["vocab"], "tie_word_embeddings": qwen, "hidden_act": "silu",
              "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[kind],
              "bos_token_id": shape["vocab"] - 3, "eos_token_id": shape["vocab"] - 1}
    tokens, merges = byte_level(shape["vocab"], seed)
    special = [{"id": shape["vocab"] - 3 + i, "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i, t in enumerate(tokens[-3:])]
    tokenizer = {"version": "1.0", "added_tokens": special, "normalizer": None,
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                 "post_processor": None, "decoder": {"type": "ByteLevel"},
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "vocab": {t: i for i, t in enumerate(tokens[:-3])},
                           "merges": merges}}
    for name, value in (("config.json", config), ("tokenizer.json", tokenizer)):
        with open(os.path.join(path, name), "w", encoding="utf-8") as out:
            json.dump(value, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out")
    parser.add_argument("--type", default="F16", choices=FILE_TYPES)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--context", type=int, help="tokens that the file says the model was trained for")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shape = dict(zip(FIELDS, SHAPES[options.shape]))
    shape["layers"] = options.layers or shape["layers"]
    shape["context"] = options.context or shape["context"]
    if options.out.endswith(".gguf"):
        write_gguf(options.out, f"random {options.shape}", shape, options.type, options.seed)
    else:
        write_safetensors(options.out, shape, options.type, options.seed)


if __name__ == "__main__":
    main()
