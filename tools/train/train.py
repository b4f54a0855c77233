#!/usr/bin/env python3
"""Trains the small model that the repository ships, on Jane Austen's novels, and exports it as GGUF.

One run does everything: corpus, tokenizer, training, export, perplexity, files for the tests. The
recipe is fixed by the seed and the number of steps. A run that is stopped (Ctrl-C, --minutes) goes
on from its last checkpoint when it is started again with the same --work-dir.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import reference
import tokenizer
from gguf_export import gguf_tensor_name, read_weights, write_gguf
from model import Llama, ModelConfig, parameter_count

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL_FILE = "austen-5m-q8_0.gguf"
EXPECTED_LOGITS_PROMPT = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune"
)
EXPECTED_LOGITS_TOKENS = 24


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=corpus.DEFAULT_DATA_DIR,
                        help="the data folder of the installed r-cran-janeaustenr (%(default)s)")
    parser.add_argument("--work-dir", type=Path, required=True,
                        help="where checkpoints, the tokenizer and the log go")
    parser.add_argument("--out-dir", type=Path, default=REPOSITORY / "models" / "shipped",
                        help="where the model and the files for the tests go (models/shipped)")
    parser.add_argument("--seed", type=int, default=1811, help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=2200, help="(%(default)s)")
    parser.add_argument("--descent-steps", type=int, default=237,
                        help="at the end, in which the learning rate falls (%(default)s)")
    parser.add_argument("--batch", type=int, default=8,
                        help="windows of the whole context in a step (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="peak (%(default)s)")
    parser.add_argument("--warmup-steps", type=int, default=150, help="(%(default)s)")
    parser.add_argument("--dropout", type=float, default=0.15, help="(%(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.1, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16",
                        help="of the matrix products in training (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--export-minutes", type=float, default=10.0,
                        help="between checkpoints, each exported as the model file (%(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf,
                        help="stop (to be resumed) after this time, whatever the step")
    return parser.parse_args()


class TokenWindows:
    """Random windows of the training text. Chapters are laid end to end as BOS text EOS; the first
    token of a window is replaced by BOS, as at inference every context begins with it."""

    def __init__(self, sp, chapters: list[str], context: int):
        ids = [[tokenizer.BOS, *sp.encode(chapter), tokenizer.EOS] for chapter in chapters]
        self.stream = torch.tensor([token for chapter in ids for token in chapter])
        self.context = context

    def batch(self, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(self.stream) - self.context, (size, 1), generator=generator)
        windows = self.stream[starts + torch.arange(self.context + 1)]
        inputs, targets = windows[:, :-1].clone(), windows[:, 1:]
        inputs[:, 0] = tokenizer.BOS
        return inputs, targets


def make_optimizer(model: Llama, arguments) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() != 2]
    groups = [
        {"params": matrices, "weight_decay": arguments.weight_decay},
        {"params": norms, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)


def learning_rate(step: int, arguments) -> float:
    """Linear warm-up, a plateau, and a linear descent to zero over the last steps. While a run is on
    the plateau, --steps may still be changed without changing what was done so far."""
    warm_up = (step + 1) / arguments.warmup_steps
    descent = (arguments.steps - step) / arguments.descent_steps
    return arguments.learning_rate * min(1.0, warm_up, descent)


@torch.no_grad()
def perplexity(model: Llama, ids: list[int]) -> tuple[float, int, int]:
    """(perplexity, windows, scored tokens) by llama.cpp's definition: consecutive windows of the
    context, the first token of each replaced by BOS, the second half scored. `ids` begins with BOS."""
    model.eval()
    context = model.config.context
    count = len(ids) // context
    windows = torch.tensor(ids[: count * context]).view(count, context)
    loss, scored = 0.0, 0
    for window in windows:
        targets = window[context // 2 + 1 :].clone()
        window[0] = tokenizer.BOS
        logits = model(window[None])[0, context // 2 : -1]
        loss += F.cross_entropy(logits.double(), targets, reduction="sum").item()
        scored += len(targets)
    return math.exp(loss / scored), count, scored


def export(model: Llama, sp, path: Path) -> None:
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    write_gguf(path, model.config, weights, sp)


def load_exported(path: Path, config: ModelConfig) -> Llama:
    """The model with the weights that the file holds, dequantised."""
    tensors = read_weights(path)
    model = Llama(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.tensor(tensors[gguf_tensor_name(name)]))
    return model


def train(arguments, config: ModelConfig, sp, windows: TokenWindows, held_out_ids) -> bool:
    """Trains up to the last step; False if the time ran out first."""
    checkpoint_path = arguments.work_dir / "checkpoint.pt"
    torch.manual_seed(arguments.seed)
    model = Llama(config, arguments.dropout)
    optimizer = make_optimizer(model, arguments)
    first_step, seconds_before = 0, 0.0
    if checkpoint_path.exists():
        checkpoint = torch.load(checkpoint_path, weights_only=True)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first_step, seconds_before = checkpoint["step"], checkpoint["seconds"]

    log_file = (arguments.work_dir / "log.txt").open("a")

    def log(text: str) -> None:
        print(text, flush=True)
        print(text, file=log_file, flush=True)

    log(f"{parameter_count(model)} parameters, {len(windows.stream)} training tokens, "
        f"{len(held_out_ids)} held-out tokens, from step {first_step} to {arguments.steps}")
    forward = torch.compile(model) if arguments.compile else model
    generator = torch.Generator()
    started = last_export = time.monotonic()
    tokens_since_log, last_log, running_loss = 0, started, None

    def save(step: int) -> None:
        nonlocal last_export
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
                 "seconds": seconds_before + time.monotonic() - started}
        partial = checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, checkpoint_path)
        export(model, sp, arguments.out_dir / MODEL_FILE)
        result = perplexity(model, held_out_ids)[0]
        log(f"step {step}: checkpoint at {state['seconds'] / 60:.1f} min, "
            f"held-out perplexity {result:.3f}")
        last_export = time.monotonic()

    for step in range(first_step, arguments.steps):
        # Seeding every step makes a resumed run the same as an uninterrupted one.
        step_seed = arguments.seed * 1_000_003 + step
        torch.manual_seed(step_seed)
        inputs, targets = windows.batch(arguments.batch, generator.manual_seed(step_seed))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, arguments)

        model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16"):
            logits = forward(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

        value = loss.item()
        running_loss = value if running_loss is None else 0.98 * running_loss + 0.02 * value
        tokens_since_log += inputs.numel()
        now = time.monotonic()
        if (step + 1) % 20 == 0:
            log(f"step {step + 1} loss {running_loss:.4f} "
                f"{tokens_since_log / (now - last_log):.0f} tokens/s")
            tokens_since_log, last_log = 0, now
        if now - started > arguments.minutes * 60:
            save(step + 1)
            return False
        if now - last_export > arguments.export_minutes * 60:
            save(step + 1)
    if first_step < arguments.steps:
        save(arguments.steps)
    return True


def write_test_files(arguments, config: ModelConfig, sp, held_out_ids) -> None:
    """What the model file is worth, and what the C++ tests compare with."""
    model_path = arguments.out_dir / MODEL_FILE
    model = load_exported(model_path, config)
    result, count, scored = perplexity(model, held_out_ids)

    prompt = [tokenizer.BOS, *sp.encode(EXPECTED_LOGITS_PROMPT)][:EXPECTED_LOGITS_TOKENS]
    expected = reference.logits(read_weights(model_path), config, prompt)
    with torch.no_grad():
        difference = np.abs(model.eval()(torch.tensor([prompt]))[0].numpy() - expected).max()
    expected.astype("<f4").tofile(arguments.out_dir / "expected_logits.f32")
    (arguments.out_dir / "expected_logits.json").write_text(json.dumps({
        "model": MODEL_FILE,
        "ids": prompt,
        "shape": list(expected.shape),
        "data": "expected_logits.f32",
        "data_type": "little-endian float32, [position][token]",
        "computed_by": "tools/train/reference.py: float64 over the dequantised Q8_0 weights",
    }, indent=1) + "\n")

    samples = [{"text": text, "ids": sp.encode(text)} for text in tokenizer.SAMPLE_TEXTS]
    lines = ",\n".join(" " + json.dumps(sample, ensure_ascii=True) for sample in samples)
    (arguments.out_dir / "tokenizer_samples.json").write_text(f"[\n{lines}\n]\n")
    print(f"perplexity {result:.4f} over {count} windows, {scored} scored tokens\n"
          f"{parameter_count(model)} parameters, {model_path.stat().st_size} bytes\n"
          f"PyTorch and NumPy logits differ by at most {difference:.2e}")


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    arguments.out_dir.mkdir(parents=True, exist_ok=True)

    training, held_out = corpus.load_corpus(arguments.data_dir)
    held_out_text = "\n".join(held_out) + "\n"
    (arguments.out_dir / "heldout.txt").write_text(held_out_text)

    tokenizer_path = arguments.work_dir / "tokenizer.model"
    if not tokenizer_path.exists():
        tokenizer_path.write_bytes(tokenizer.train_tokenizer(training))
    sp = tokenizer.load_tokenizer(tokenizer_path.read_bytes())

    config = ModelConfig()
    windows = TokenWindows(sp, training, config.context)
    held_out_ids = [tokenizer.BOS, *sp.encode(held_out_text)]
    if train(arguments, config, sp, windows, held_out_ids):
        write_test_files(arguments, config, sp, held_out_ids)


if __name__ == "__main__":
    main()
