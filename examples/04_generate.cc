// From a model file to text with the library: what `weft run` does.
//
//   04_generate MODEL.gguf "It is a truth universally acknowledged"
#include <cstdio>
#include <string>

#include "core/error.h"
#include "models/registry.h"
#include "runtime/generate/generator.h"

using namespace weft;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto file = Checkpoint::open(argv[1]);
    const auto tokenizer = load_tokenizer(*file);
    Generator generator(Engine(load_model(file), Device::cpu(), {.context = 256}),
                        {.top_k = 40, .temp = 0.7f, .seed = 1}, tokenizer.get());
    generator.prefill(tokenizer->encode(argv[2], true));
    std::printf("%s", argv[2]);
    GenerationRequest request;
    request.predict = 40;
    request.stop = {"\n\n"};
    request.on_text = [](const std::string& text) { std::printf("%s", text.c_str()); };
    generator.generate(request);
    std::printf("\n");
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
