// The windows of a text that `weft perplexity` and `weft compare` evaluate: flags, and engines for them.
#pragma once

#include "runtime/generate/text_windows.h"
#include "tools/common.h"

namespace weft::tools {

struct WindowFlags {
  PromptFlags text;
  int context = 0;  // 0: see window_tokens
  int batch = 512;

  // Tokens of a window: what -c says, else 512 or the model's context, if that is shorter.
  int64_t window_tokens(const LanguageModel& model) const;
};

void add_window_flags(CLI::App& app, WindowFlags& flags);  // -f, -c, -b

// The text of -f. Throws Error where it is shorter than a window.
TextWindows open_windows(const WindowFlags& flags, const Tokenizer& tokenizer, int64_t window);

// An engine for windows of such a size, which keeps as many rows of logits at a time as take 64 MiB.
Engine open_window_engine(const WindowFlags& flags, EngineOptions options, const LanguageModel& model,
                          const Device& device, size_t window);

}  // namespace weft::tools
