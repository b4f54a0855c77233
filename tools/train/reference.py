"""The model's arithmetic in NumPy float64, written apart from the PyTorch model, over the tensors of
a GGUF file. It gives the expected logits that the C++ tests compare with."""

import numpy as np

from model import ModelConfig


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(x, base):
    """x: [position, head, element]; turns the pairs (2i, 2i+1) by position * base^(-2i/width)."""
    positions, _, width = x.shape
    angle = np.arange(positions)[:, None] * base ** (-np.arange(0, width, 2) / width)
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None, :]
    return np.stack((pairs.real, pairs.imag), axis=-1).reshape(x.shape)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logits(tensors: dict[str, np.ndarray], config: ModelConfig, ids: list[int]) -> np.ndarray:
    """[position, token] in float64."""
    weights = {name: value.astype(np.float64) for name, value in tensors.items()}
    length, head_width = len(ids), config.head_width
    group = config.heads // config.kv_heads
    future = np.triu(np.full((length, length), -np.inf), 1)

    x = weights["token_embd.weight"][ids]
    for layer in range(config.layers):
        w = lambda part: weights[f"blk.{layer}.{part}.weight"]

        h = rms_norm(x, w("attn_norm"), config.norm_epsilon)
        q = rotate((h @ w("attn_q").T).reshape(length, config.heads, head_width), config.rope_base)
        k = rotate((h @ w("attn_k").T).reshape(length, config.kv_heads, head_width), config.rope_base)
        v = (h @ w("attn_v").T).reshape(length, config.kv_heads, head_width)
        attended = np.empty_like(q)
        for head in range(config.heads):
            scores = q[:, head] @ k[:, head // group].T / np.sqrt(head_width) + future
            attended[:, head] = softmax(scores) @ v[:, head // group]
        x = x + attended.reshape(length, -1) @ w("attn_output").T

        h = rms_norm(x, w("ffn_norm"), config.norm_epsilon)
        gate = h @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    x = rms_norm(x, weights["output_norm.weight"], config.norm_epsilon)
    return x @ weights["token_embd.weight"].T
