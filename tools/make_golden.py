#!/usr/bin/env python3
"""Makes the golden models of tests/data/golden whose README names this script.

    python3 -m venv venv && venv/bin/pip install torch transformers sentencepiece
    venv/bin/python tools/make_golden.py NAME FOLDER --llama-cpp FOLDER_OF_ITS_SOURCE

A model is random (seeded), and small. FOLDER/NAME/hf gets config.json, model.safetensors (BF16) and a small tokenizer;
FOLDER/NAME/NAME-BF16.gguf is what llama.cpp's converter makes of it. expected.json and logits.f32 are what Hugging Face
transformers computes from these weights in float64 (norms, softmax and rotary tables in float32, as that library does).
Nothing here depends on Weft.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys

import sentencepiece
import torch
import transformers

SEED = 20261126
TOKENS = 48   # more than every window below
GREEDY = 16
VOCABULARY = 72

COMMON = dict(vocab_size=VOCABULARY, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0)
MODELS = {
    # Heads that are wider than embedding / heads.
    "qwen3": transformers.Qwen3Config(
        hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
        head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **COMMON),
    # A window of 12 in every other layer. (llama.cpp's converter leaves query_pre_attn_scalar out: it is the usual one.)
    "gemma2": transformers.Gemma2Config(
        hidden_size=40, intermediate_size=56, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, query_pre_attn_scalar=16, sliding_window=12, attn_logit_softcapping=5.0,
        final_logit_softcapping=12.0, rope_parameters={"rope_type": "default", "rope_theta": 1e4}, **COMMON),
    # Two global layers among seven: one period of the pattern and the beginning of the next; a stretched global context.
    "gemma3": transformers.Gemma3TextConfig(
        hidden_size=32, intermediate_size=36, num_hidden_layers=7, num_attention_heads=4, num_key_value_heads=1,
        head_dim=16, query_pre_attn_scalar=16, sliding_window=8,
        rope_parameters={"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}, **COMMON),
    # Learned positions, not many more than the tokens. (llama.cpp's converter reads n_ctx, and takes n_inner for 4 n_embd.)
    "gpt2": transformers.GPT2Config(
        n_embd=40, n_layer=3, n_head=5, n_positions=72, n_ctx=72, vocab_size=VOCABULARY, bos_token_id=1,
        eos_token_id=2, pad_token_id=0),
    # A context stretched from 32 tokens, fewer than there are; a window; three quarters of a head rotated.
    "phi3": transformers.Phi3Config(
        hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        sliding_window=20, original_max_position_embeddings=32, partial_rotary_factor=0.75,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75,
                         "original_max_position_embeddings": 32, "short_factor": [1.0, 1.1, 1.3, 1.6, 1.9, 2.0],
                         "long_factor": [1.2, 1.7, 2.5, 4.0, 6.5, 8.0]}, **COMMON),
}


def randomize(model, scale):
    """Matrices of unit gain, norms around their neutral weight, so that every weight counts."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            if weight.dim() == 1:
                has_neutral_zero = model.config.model_type.startswith("gemma") or name.endswith("bias")
                is_norm = "norm" in name or "ln_" in name
                values = (0.0 if has_neutral_zero else 1.0) + values * (0.2 if is_norm else 0.1)
            elif "embed_tokens" in name or "wte" in name or "wpe" in name:
                values *= scale
            else:
                inputs = weight.shape[0 if model.config.model_type == "gpt2" else 1]  # its Conv1D is [inputs, outputs]
                values *= (2.0 if "_proj" in name or ".c_" in name else scale) / inputs ** 0.5
            weight.copy_(values.to(torch.bfloat16).to(weight.dtype))


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0]


SPECIAL = ["<pad>", "<s>", "</s>"]
SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!"


def write_byte_level_tokenizer(folder):
    """A token per sign."""
    vocabulary = {text: i for i, text in enumerate([*SPECIAL, *SIGNS])}
    added = [{"id": i, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False} for i, text in enumerate(SPECIAL)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (folder / "tokenizer.json").write_text(json.dumps(
        {"version": "1.0", "added_tokens": added, "normalizer": None, "pre_tokenizer": level, "post_processor": None,
         "decoder": level, "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"}))


def write_sentencepiece(folder):
    sentences = [" ".join(SIGNS[i:i + n]) for n in (1, 3, 5) for i in range(len(SIGNS) - n + 1)]
    with (folder / "tokenizer.model").open("wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=out, model_type="bpe", vocab_size=VOCABULARY,
            pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="<pad>", hard_vocab_limit=False, num_threads=1,
            normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
            minloglevel=2)


# llama.cpp's converter recognizes tokenizers by the ids that they give a text; it does not recognize this one.
CONVERT = """
import runpy, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/gguf-py"]
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
sys.argv = ["convert_hf_to_gguf.py", sys.argv[2], "--outfile", sys.argv[3], "--outtype", "bf16"]
runpy.run_path(sys.path[0] + "/convert_hf_to_gguf.py", run_name="__main__")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--llama-cpp", required=True, help="source of llama.cpp, for convert_hf_to_gguf.py")
    options = parser.parse_args()
    config = MODELS[options.name]
    config._attn_implementation = "eager"  # the one that caps scores
    root = options.folder / options.name
    (root / "hf").mkdir(parents=True, exist_ok=True)

    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomize(model, 1.0)
    generator = torch.Generator().manual_seed(SEED + 1)
    tokens = [1] + torch.randint(3, VOCABULARY, (TOKENS - 1,), generator=generator).tolist()
    # Logits grow with what they are computed from: the embedding if it is tied, else the output.
    spread = logits_of(model, tokens).abs().max().item()
    if getattr(config, "final_logit_softcapping", None) is None:
        randomize(model, 10 / spread)
    model.to(torch.bfloat16).save_pretrained(root / "hf")
    write_tokenizer = write_byte_level_tokenizer if options.name in ("qwen3", "gpt2") else write_sentencepiece
    write_tokenizer(root / "hf")

    model = transformers.AutoModelForCausalLM.from_pretrained(
        root / "hf", dtype=torch.float64, attn_implementation="eager").eval()
    logits = logits_of(model, tokens)
    (root / "logits.f32").write_bytes(struct.pack(f"<{logits.numel()}f", *logits.flatten().tolist()))
    greedy, gap, largest = [], float("inf"), logits.abs().max().item()
    while len(greedy) < GREEDY:
        best = torch.topk(logits_of(model, tokens + greedy)[-1], 2)
        gap = min(gap, (best.values[0] - best.values[1]).item() / largest)
        greedy.append(best.indices[0].item())
    expected = {"tokens": tokens, "logits": "logits.f32", "logits_shape": list(logits.shape), "greedy": greedy,
                "greedy_min_gap": gap, "types": ["BF16", "F32"]}

    gguf = f"{options.name}-BF16.gguf"
    subprocess.run([sys.executable, "-c", CONVERT, options.llama_cpp, root / "hf", root / gguf], check=True)
    (root / "expected.json").write_text(json.dumps({"hf": expected, gguf: expected}, indent=1) + "\n")
    print(f"{options.name}: logits up to {largest:.2f}, smallest gap {gap:.1e}")


if __name__ == "__main__":
    main()
