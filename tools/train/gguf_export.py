"""Writes the model as GGUF Q8_0 and reads it back."""

import os
from pathlib import Path

import gguf
import numpy as np
import sentencepiece

from add_chat_template import CHAT_TEMPLATE
from model import ModelConfig
from tokenizer import BOS, EOS, UNK

NAME = "Austen 5M"
LICENSE = "CC0-1.0"


def gguf_tensor_name(parameter: str) -> str:
    """blocks.3.feed_forward.gate.weight -> blk.3.ffn_gate.weight"""
    for ours, theirs in (
        ("embedding", "token_embd"),
        ("blocks.", "blk."),
        ("attention_norm", "attn_norm"),
        ("attention.", "attn_"),
        ("feed_forward_norm", "ffn_norm"),
        ("feed_forward.", "ffn_"),
    ):
        parameter = parameter.replace(ours, theirs)
    return parameter


def piece_type(sp: sentencepiece.SentencePieceProcessor, token: int) -> gguf.TokenType:
    if sp.is_unknown(token):
        return gguf.TokenType.UNKNOWN
    if sp.is_control(token):
        return gguf.TokenType.CONTROL
    return gguf.TokenType.BYTE if sp.is_byte(token) else gguf.TokenType.NORMAL


def write_gguf(
    path: Path,
    config: ModelConfig,
    weights: dict[str, np.ndarray],
    sp: sentencepiece.SentencePieceProcessor,
) -> None:
    """Matrices in Q8_0, norms in F32. A reader never sees a half-written file."""
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_name(NAME)
    writer.add_license(LICENSE)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_vocab_size(config.vocabulary)

    tokens = range(sp.get_piece_size())
    writer.add_tokenizer_model("llama")
    writer.add_token_list([sp.id_to_piece(token) for token in tokens])
    writer.add_token_scores([sp.get_score(token) for token in tokens])
    writer.add_token_types([piece_type(sp, token) for token in tokens])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNK)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT_TEMPLATE.read_text())

    for name, value in weights.items():
        value = value.astype(np.float32)
        if value.ndim == 2:
            q8_0 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_tensor_name(name), gguf.quants.quantize(value, q8_0), raw_dtype=q8_0)
        else:
            writer.add_tensor(gguf_tensor_name(name), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a GGUF file, dequantised to float32, by its GGUF name."""
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
    }
