// What the commands of `weft` share: flags, opening a model.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "ops/step.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/language_model.h"
#include "runtime/generate/engine.h"
#include "runtime/plan/device.h"
#include "runtime/text/tokenizer/tokenizer.h"
#include "tools/output.h"

namespace weft::tools {

// --- flags ---

struct ModelFlags {
  std::string model;  // empty: the shipped one
  int threads = 0;
  std::string device = "cpu";
  std::string precision = "fast";
  std::string pre_tokenizer;  // empty: as the file says
  std::string kernel;         // of contractions; empty: the preferred ones
  std::vector<std::string> kernel_files;
  std::string pack_cache;        // a folder for packed weights; empty: none
  std::string cache_k, cache_v;  // what keys and values of the cache are stored in; empty: as the model has them

  Precision precision_value() const { return precision == "exact" ? Precision::exact : Precision::fast; }
  // Precision, kernels, cache types and the pack cache; adds what the kernel files have to the table. Warnings are
  // printed on stderr.
  EngineOptions engine_options() const;
};

void add_model_flag(CLI::App& app, ModelFlags& flags);
void add_device_flags(CLI::App& app, ModelFlags& flags);       // -t and those of the backend
void add_place_flags(CLI::App& app, ModelFlags& flags);        // --device, --pack-cache
void add_precision_flag(CLI::App& app, ModelFlags& flags);     // --precision
void add_size_flags(CLI::App& app, int& context, int& batch);  // -c, -b, of commands that generate nothing
void add_backend_flags(CLI::App& app, ModelFlags& flags);      // both of these
void add_kernel_flag(CLI::App& app, ModelFlags& flags);        // --kernel, --kernel-file
void add_cache_flags(CLI::App& app, ModelFlags& flags);        // --cache-type-k, --cache-type-v
void add_tokenizer_flag(CLI::App& app, ModelFlags& flags);     // --pre-tokenizer

// One of -p, -f and --tokens.
struct PromptFlags {
  CLI::Option* text_option = nullptr;
  CLI::Option* file_option = nullptr;
  CLI::Option* tokens_option = nullptr;
  std::string text, file, tokens;
  bool escape = false;

  bool has_text() const { return (text_option && *text_option) || (file_option && *file_option); }
  bool has_tokens() const { return tokens_option != nullptr && *tokens_option; }
  // The text of -p, with escapes replaced if -e asks for that, or the content of -f, less the newline at its end.
  // Reports on stderr what in a file may not be intended as text. Throws Error for a file in UTF-16.
  std::string prompt_text() const;
  std::string file_name() const;  // of -f, for messages
};

// Replaces "\n" and the like by the characters that they stand for; see add_escape_flag.
std::string unescape(std::string_view text);
// -e; `options`: what it applies to, "-p and --stop".
void add_escape_flag(CLI::App& app, bool& escape, const std::string& options);

enum PromptSource { kPromptText = 1, kPromptFile = 2, kPromptTokens = 4 };
// `escaped`: what -e applies to, if there is -p.
void add_prompt_flags(CLI::App& app, PromptFlags& flags, int sources, const std::string& escaped = "-p");

// The value of -t, at most the CPUs that this process may use (a larger value is reported on stderr); 0 means all
// of those.
int thread_count(int flag);

// The device that --device and -t name. `policy`: of a CPU's team, which may use fewer threads while others are busy.
Device open_device(const ModelFlags& flags, TeamPolicy policy = TeamPolicy::adaptive);

// "1,2,3" or "1 2 3" to ids. Throws CLI11's ValidationError (wrong usage), naming `flag`, for anything else.
std::vector<int32_t> parse_ids(const std::string& text, std::string_view flag);

// --- models ---

// The model that comes with Weft. Throws Error where it is not found.
std::filesystem::path shipped_model();

struct OpenModel {
  std::shared_ptr<const Checkpoint> file;
  LanguageModel model;
};
std::shared_ptr<const Checkpoint> open_file(const ModelFlags& flags);
OpenModel open_model(const ModelFlags& flags);
// Warnings are printed on stderr.
std::unique_ptr<Tokenizer> open_tokenizer(const Checkpoint& file, const ModelFlags& flags);
void warn_of(const Tokenizer& tokenizer);
// The bytes that a token decodes to, or the name of a control token. Nothing for an id that the tokenizer lacks: models
// may have more outputs.
std::optional<std::string> token_text(const Tokenizer& tokenizer, int32_t id);

// Warns on stderr if `tokens` of `what` ("a context of") are more than the model was trained for.
void warn_beyond_training(const LanguageModel& model, int64_t tokens, const std::string& what);

// The whole file ("-": standard input).
std::string read_file(const std::string& path);

// --- commands: each adds its subcommand, whose callback does the work ---

// Thrown by a command that has printed a negative result: the exit code is 1, without a further message.
struct NegativeResult {};

void add_run(CLI::App& app);
void add_bench(CLI::App& app);
void add_bench_compare(CLI::App& bench);  // a command of weft bench
void add_trace(CLI::App& app);
void add_chat(CLI::App& app);
void add_logits(CLI::App& app);
void add_embed(CLI::App& app);
void add_inspect(CLI::App& app);
void add_kernel(CLI::App& app);
void add_explain(CLI::App& app);
void add_report(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_compare(CLI::App& app);
void add_quantize(CLI::App& app);
void add_convert(CLI::App& app);

}  // namespace weft::tools
