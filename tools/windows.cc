#include "tools/windows.h"

#include <algorithm>

namespace weft::tools {

int64_t WindowFlags::window_tokens(const LanguageModel& model) const {
  constexpr int64_t kDefaultWindow = 512;
  return context > 0 ? context : std::min(kDefaultWindow, model.context_length);
}

void add_window_flags(CLI::App& app, WindowFlags& flags) {
  add_prompt_flags(app, flags.text, kPromptFile);
  flags.text.file_option->required();
  app.add_option("-c,--ctx-size", flags.context, "Tokens of a window (default: 512, or the model's context)")
      ->check(CLI::Range(4, 1 << 24))
      ->type_name("CONTEXT");
  app.add_option("-b,--batch-size", flags.batch, "Tokens to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
}

TextWindows open_windows(const WindowFlags& flags, const Tokenizer& tokenizer, int64_t window) {
  const std::vector<int32_t> special = tokenizer.encode("", true);
  const bool adds_bos = !special.empty() && special.front() == tokenizer.bos();
  return {tokenizer.encode(flags.text.prompt_text(), true), adds_bos ? tokenizer.bos() : std::nullopt,
          static_cast<size_t>(std::max<int64_t>(window, 0)), flags.text.file_name()};
}

Engine open_window_engine(const WindowFlags& flags, EngineOptions options, const LanguageModel& model,
                          const Device& device, size_t window) {
  constexpr int64_t kLogitBytes = 64 << 20;
  options.context = static_cast<int32_t>(window);
  options.batch = flags.batch;
  options.logit_rows = static_cast<int32_t>(
      std::clamp<int64_t>(kLogitBytes / (model.vocab * static_cast<int64_t>(sizeof(float))), 1, flags.batch));
  return waiting_for("loading", [&] { return Engine(model, device, options); });
}

}  // namespace weft::tools
