// What the commands of `weft` share: flags, opening a model, and output that notices when its reader has gone.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/error.h"
#include "ops/step.h"
#include "runtime/files/checkpoint.h"
#include "runtime/files/language_model.h"
#include "runtime/plan/device.h"
#include "runtime/text/tokenizer/tokenizer.h"

namespace weft::tools {

// --- flags ---

struct ModelFlags {
  std::string model;  // empty: the shipped one
  int threads = 0;
  std::string device = "cpu";
  std::string precision = "fast";
  std::string pre_tokenizer;  // empty: as the file says

  Precision precision_value() const { return precision == "exact" ? Precision::exact : Precision::fast; }
};

void add_model_flag(CLI::App& app, ModelFlags& flags);
void add_device_flags(CLI::App& app, ModelFlags& flags);  // -t, --device, --precision
void add_tokenizer_flag(CLI::App& app, ModelFlags& flags);  // --pre-tokenizer

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

// The device that --device and -t name.
Device open_device(const ModelFlags& flags);

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

// Warns on stderr if `tokens` of `what` ("a context of") are more than the model was trained with.
void warn_beyond_training(const LanguageModel& model, int64_t tokens, const std::string& what);

// The whole file ("-": standard input).
std::string read_file(const std::string& path);

// --- output ---

// Standard output, unbuffered towards the reader. Throws Error if it is closed or full, BrokenPipe if its reader
// has gone.
void print(std::string_view text);
// The same for an open file; `name` is for messages: "standard error".
void write_text(int file, std::string_view text, const std::string& name);

// A line on stderr that is replaced in place: only on a terminal, and only once a second has passed.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  void show(const std::string& line);
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point begin_, last_;
};

// "[######......]  50 %"
std::string progress_bar(double part);

// The same for one long call: what is waited for, and the seconds, until destruction.
class Waiting {
 public:
  explicit Waiting(std::string what);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool over_ = false;
  std::thread watcher_;
};

// Calls `work`, showing what is waited for if it takes long.
template <class F>
auto waiting_for(const char* what, F work) {
  const Waiting waiting(what);
  return work();
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

size_t peak_memory();  // the most bytes of this process that have been resident

std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

// --- commands: each adds its subcommand, whose callback does the work ---

// Thrown by a command that has printed a negative result: the exit code is 1, without a further message.
struct NegativeResult {};

void add_run(CLI::App& app);
void add_trace(CLI::App& app);
void add_chat(CLI::App& app);
void add_logits(CLI::App& app);
void add_inspect(CLI::App& app);
void add_explain(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_quantize(CLI::App& app);
void add_convert(CLI::App& app);

}  // namespace weft::tools
