#!/usr/bin/env python3
"""Records what Hugging Face transformers computes for a prompt, for `weft trace --against`.

    python3 -m venv build/verify-venv
    build/verify-venv/bin/pip install -r tools/trace/requirements.txt
    build/verify-venv/bin/python tools/trace/record_hugging_face.py DIR -p TEXT -o REC.safetensors
    weft trace -m DIR --against REC.safetensors --map tools/trace/hugging_face.json --precision exact

(tools/verify does all of this in one call. torch takes some gigabytes of disk.)

Every module's output is recorded under the module's path (model.layers.0.self_attn.q_proj), further outputs of a
module that returns several as PATH.1, PATH.2; what goes into a module without submodules as
PATH.input; the output of a linear layer before its bias as PATH.product. Rotated queries and keys, which no module
returns, are model.layers.N.self_attn.query and .key, in the order [head, position, element]. "tokens" holds the
ids. The batch dimension of one is left out.

--ids prints the token ids of texts instead, as JSON: a list of ids for each line of JSON on standard input.
"""

import argparse
import json
import sys

# Beyond this many tokens the weights of attention, heads x tokens x tokens in each layer, are not recorded.
LONGEST_WITH_WEIGHTS = 512


def parse_tokens(text):
    """'1,2 3' to [1, 2, 3]."""
    try:
        tokens = [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise SystemExit(f"record_hugging_face: --tokens: {error}") from error
    if not tokens or min(tokens) < 0:
        raise SystemExit("record_hugging_face: --tokens: wanted ids, like 1,2,3")
    return tokens


def without_batch(shape):
    """The extents of a tensor of a batch of one, without that dimension."""
    return tuple(shape[1:]) if len(shape) > 1 and shape[0] == 1 else tuple(shape)


def named_outputs(path, output):
    """(name, tensor) for what a module returned: a tensor, a tuple, or an object with fields."""
    if hasattr(output, "logits") or hasattr(output, "last_hidden_state"):
        return []  # of the whole model: its parts have been recorded
    parts = output if isinstance(output, (tuple, list)) else [output]
    names = [path] + [f"{path}.{i}" for i in range(1, len(parts))]
    return [(name, part) for name, part in zip(names, parts) if hasattr(part, "dtype") and hasattr(part, "shape")]


class Recorder:
    """Hooks of a model that keep what its modules compute."""

    def __init__(self, model, torch, tokens):
        self.model, self.torch, self.tokens = model, torch, tokens
        self.tensors = {}
        self.attention = None  # the path of the attention module that is running

    def keep(self, name, tensor):
        torch = self.torch
        if tensor.dim() == 4 and len(self.tokens) > LONGEST_WITH_WEIGHTS and name.endswith(".1"):
            return
        tensor = tensor.detach()
        if tensor.dtype in (torch.int64, torch.int16, torch.uint8):
            tensor = tensor.to(torch.int32)
        if tensor.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int32):
            return
        self.tensors[name] = tensor.reshape(without_batch(tensor.shape)).clone().contiguous()

    def hook(self, path, module):
        is_leaf = not any(True for _ in module.children())

        def before(_, inputs, keywords):
            if path.endswith("self_attn"):
                self.attention = path
            given = list(inputs) + list(keywords.values())
            if is_leaf and given and hasattr(given[0], "dtype"):
                self.keep(path + ".input", given[0])

        def after(_, inputs, output):
            for name, tensor in named_outputs(path, output):
                self.keep(name, tensor)
            if isinstance(module, self.torch.nn.Linear) and module.bias is not None:
                self.keep(path + ".product", output - module.bias)

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)

    def watch_rotation(self):
        """Rotated queries and keys come from a function of the model's file, not from a module."""
        for code in {sys.modules[type(module).__module__] for module in self.model.modules()}:
            rotate = getattr(code, "apply_rotary_pos_emb", None)
            if rotate is None:
                continue

            def watched(*arguments, rotate=rotate, **keywords):
                query, key = rotate(*arguments, **keywords)
                if self.attention is not None:
                    self.keep(self.attention + ".query", query)
                    self.keep(self.attention + ".key", key)
                return query, key

            code.apply_rotary_pos_emb = watched

    def run(self):
        for path, module in self.model.named_modules():
            if path:
                self.hook(path, module)
        self.watch_rotation()
        torch = self.torch
        with torch.no_grad():
            self.model(torch.tensor([self.tokens]), use_cache=False)
        self.tensors["tokens"] = torch.tensor(self.tokens, dtype=torch.int32)
        return self.tensors


def load_model(directory, dtype):
    import torch
    import transformers

    kinds = {"float32": torch.float32, "float64": torch.float64, "native": "auto"}
    # The keyword has been renamed; the older name is refused or ignored by some versions, so both are never given.
    keyword = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    options = {keyword: kinds[dtype]}
    if hasattr(transformers.PreTrainedModel, "set_experts_implementation"):
        # The default multiplies all experts in one call, which has no float64 and wants rows of multiples of 16 bytes.
        options["experts_implementation"] = "eager"
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, attn_implementation="eager", local_files_only=True, **options
    )
    return model.eval(), torch


def load_tokenizer(directory):
    import transformers

    return transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", help="with config.json, safetensors and a tokenizer")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-p", "--prompt", help="text; special tokens are added as the tokenizer has it")
    what.add_argument("-f", "--file", help="a file with the text; one newline at its end is dropped")
    what.add_argument("--tokens", help="ids: 1,2,3")
    what.add_argument("--ids", action="store_true", help="print ids of the texts, JSON strings, of standard input")
    parser.add_argument("-o", "--output", help="the safetensors file to write")
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64", "native"],
        default="float32",
        help="of weights and arithmetic; native: as the file has them (default: float32)",
    )
    arguments = parser.parse_args()
    if arguments.ids:
        tokenizer = load_tokenizer(arguments.directory)
        for line in sys.stdin:
            print(json.dumps(tokenizer(json.loads(line))["input_ids"]))
        return
    if not arguments.output:
        parser.error("--output says where the recording goes")
    if arguments.tokens:
        tokens = parse_tokens(arguments.tokens)
    else:
        text = arguments.prompt
        if arguments.file:
            with open(arguments.file, encoding="utf-8", newline="") as file:
                text = file.read().removesuffix("\n")
        tokens = load_tokenizer(arguments.directory)(text)["input_ids"]
    if not tokens:
        raise SystemExit("record_hugging_face: the prompt has no tokens")

    model, torch = load_model(arguments.directory, arguments.dtype)
    if max(tokens) >= model.config.vocab_size:
        vocabulary = model.config.vocab_size
        raise SystemExit(f"record_hugging_face: token {max(tokens)} is outside the vocabulary of {vocabulary}")
    import safetensors.torch
    import transformers

    tensors = Recorder(model, torch, tokens).run()
    safetensors.torch.save_file(
        tensors,
        arguments.output,
        metadata={
            "format": "pt",
            "model": arguments.directory,
            "made_by": f"transformers {transformers.__version__}, torch {torch.__version__}",
            "precision": arguments.dtype,
        },
    )
    print(f"{arguments.output}: {len(tensors)} tensors of {len(tokens)} tokens", file=sys.stderr)


if __name__ == "__main__":
    main()
