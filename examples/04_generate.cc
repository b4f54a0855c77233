// A model from a file to text with the library: what `weft run` does.
//
//   04_generate MODEL.gguf "It is a truth universally acknowledged"
#include <cstdio>
#include <string>

#include "core/error.h"
#include "models/registry.h"
#include "runtime/engine.h"
#include "runtime/sampler.h"
#include "runtime/tokenizer.h"

using namespace weft;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto file = Checkpoint::open(argv[1]);
    const auto tokenizer = load_tokenizer(*file);
    Engine engine(load_model(file), Device::cpu(), {.context = 256});
    Sampler sampler({.top_k = 40, .temp = 0.7f, .seed = 1}, static_cast<size_t>(engine.model().vocab));

    const int32_t sequence = engine.cache().open();
    const std::vector<int32_t> prompt = tokenizer->encode(argv[2], true);
    StreamDecoder text(*tokenizer, /*at_start=*/false);
    std::printf("%s", argv[2]);
    std::span<const float> logits = engine.prefill(sequence, prompt);
    for (int i = 0; i < 40; ++i) {
      const int32_t token = sampler.sample(logits);
      if (token == tokenizer->eos()) break;
      sampler.accept(token);
      std::printf("%s", text.push(token).c_str());
      logits = engine.decode(sequence, token);
    }
    std::printf("%s\n", text.flush().c_str());
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
