#!/usr/bin/env python3
"""Writes chat_template.jinja into a model file that was exported before, as gguf_export.py does for a new one.

All else stays as it is: the metadata, and every byte of the tensors.

    build/train-venv/bin/python tools/train/add_chat_template.py models/shipped/austen-5m-q8_0.gguf
"""

import os
import sys
from pathlib import Path

import gguf

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def rewrite(path: Path) -> None:
    reader = gguf.GGUFReader(path)
    partial = path.with_name(path.name + ".partial")
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(partial, architecture)
    for name, field in reader.fields.items():
        # The writer makes the first ones itself.
        if name.startswith("GGUF.") or name in (gguf.Keys.General.ARCHITECTURE, gguf.Keys.Tokenizer.CHAT_TEMPLATE):
            continue
        is_array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if is_array else None)
    writer.add_chat_template(CHAT_TEMPLATE.read_text())
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, path)


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
