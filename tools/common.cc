#include "tools/common.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "models/registry.h"
#include "runtime/files/output_file.h"
#include "runtime/plan/cache_formats.h"
#include "runtime/plan/cpus.h"
#include "runtime/plan/plan.h"
#include "tools/kernel_file.h"

namespace weft::tools {

namespace {

// The system's errors as text: "Permission denied".
std::string system_reason(int error) { return std::strerror(error); }

std::filesystem::path executable_folder() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path() : path.parent_path();
}

std::string first_model_in(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".gguf") found.push_back(it->path().string());
  }
  return found.empty() ? std::string() : *std::min_element(found.begin(), found.end());
}

}  // namespace

EngineOptions ModelFlags::engine_options() const {
  EngineOptions options;
  options.precision = precision_value();
  use_kernel_files(kernel_files, device);
  options.kernel = kernel;
  options.cache_k = cache_format(cache_k);
  options.cache_v = cache_format(cache_v);
  options.pack_cache = pack_cache;
  options.warn = [](const std::string& line) { std::fprintf(stderr, "weft: warning: %s\n", line.c_str()); };
  return options;
}

void add_model_flag(CLI::App& app, ModelFlags& flags) {
  app.add_option("-m,--model", flags.model,
                 "GGUF file (any part of a split one), or directory with safetensors and config.json (default: the "
                 "model that comes with Weft)")
      ->type_name("MODEL");
}

void add_device_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("-t,--threads", flags.threads,
                 "The most CPU threads (default and limit: the CPUs that this process may use); runs use fewer while "
                 "other programs are busy")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  add_backend_flags(app, flags);
}

void add_place_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--device", flags.device, "Where to run: cpu, opencl, or opencl:NAME for the device with that name")
      ->capture_default_str()
      ->check([](const std::string& name) {
        return name == "cpu" || name == "opencl" || name.rfind("opencl:", 0) == 0
                   ? std::string()
                   : "no device '" + name + "': there are cpu, opencl and opencl:NAME";
      })
      ->type_name("DEVICE");
  app.add_option(
         "--pack-cache", flags.pack_cache,
         "Keep the weights as the CPU's kernels read them in a file in this folder, as large as the model, which "
         "later runs map: they start faster and share its memory. A file that is damaged or does not belong to "
         "the model as it is now is replaced, with a warning")
      ->check([](const std::string& folder) {
        return folder.empty() ? std::string("the name of a folder is wanted, not an empty one") : std::string();
      })
      ->type_name("DIR");
}

void add_size_flags(CLI::App& app, int& context, int& batch) {
  app.add_option("-c,--ctx-size", context, "Tokens of a sequence (default: the model's, at most 4096)")
      ->check(CLI::Range(1, 1 << 24))
      ->type_name("CONTEXT");
  app.add_option("-b,--batch-size", batch, "Tokens of the prompt to process at a time")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str()
      ->type_name("N");
}

void add_precision_flag(CLI::App& app, ModelFlags& flags) {
  app.add_option(
         "--precision", flags.precision,
         "exact: no rounding of activations; fast: activations may be rounded to int8, or they and weights to bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"exact", "fast"}))
      ->type_name("P");
}

void add_backend_flags(CLI::App& app, ModelFlags& flags) {
  add_place_flags(app, flags);
  add_precision_flag(app, flags);
}

void add_kernel_flag(CLI::App& app, ModelFlags& flags) {
  std::string help = "Use this kernel of contractions wherever it can serve: on the CPU " + cpu_kernel_names();
  if (const std::string opencl = opencl_kernel_names(); !opencl.empty()) help += "; on OpenCL " + opencl;
  app.add_option("--kernel", flags.kernel, help + ". `weft explain` shows which ones are used without this")
      ->type_name("NAME");
  add_kernel_file_flag(app, flags.kernel_files);
}

void add_cache_flags(CLI::App& app, ModelFlags& flags) {
  const auto add = [&](const char* name, std::string& type, const std::string& help) {
    app.add_option(name, type, help)
        ->check([](const std::string& given) {
          return cache_format(given) ? std::string()
                                     : "no type of caches '" + given + "': there are " + cache_format_names();
        })
        ->type_name("TYPE");
  };
  add("--cache-type-k", flags.cache_k,
      "(also -ctk) What the keys in the cache are stored in: f32 (default), f16, bf16 or q8_0; heads whose width 32 "
      "does "
      "not divide take f16 instead of q8_0");
  add("--cache-type-v", flags.cache_v, "(also -ctv) The same for the values in the cache");
}

void add_tokenizer_flag(CLI::App& app, ModelFlags& flags) {
  app.add_option("--pre-tokenizer", flags.pre_tokenizer,
                 "How byte-level BPE cuts text into words, if the file does not say (a value of tokenizer.ggml.pre: "
                 "qwen2, llama-bpe, gpt-2, ...)")
      ->check([](const std::string& name) {
        std::string all;
        for (const std::string& known : pre_tokenizer_names()) {
          if (known == name) return std::string();
          all += (all.empty() ? "" : ", ") + known;
        }
        return "no pre-tokenizer '" + name + "': there are " + all;
      })
      ->type_name("NAME");
}

void add_prompt_flags(CLI::App& app, PromptFlags& flags, int sources, const std::string& escaped) {
  if (sources & kPromptText) {
    flags.text_option =
        app.add_option("-p,--prompt", flags.text, "Text, taken literally: without -e, \\n is a backslash and an n")
            ->type_name("TEXT");
  }
  if (sources & kPromptFile) {
    flags.file_option =
        app.add_option("-f,--file", flags.file,
                       "File with the text, UTF-8 (-: standard input). One newline at its end is dropped; the rest is "
                       "taken literally: a byte order mark (BOM) and the carriage returns of CRLF are part of the text")
            ->type_name("FILE");
  }
  if (sources & kPromptTokens) {
    flags.tokens_option = app.add_option("--tokens", flags.tokens, "Token ids, used as given: 1,2,3")->type_name("IDS");
  }
  if (sources & kPromptText) add_escape_flag(app, flags.escape, escaped);
  const auto exclude = [](CLI::Option* a, CLI::Option* b) {
    if (a != nullptr && b != nullptr) a->excludes(b);
  };
  exclude(flags.text_option, flags.file_option);
  exclude(flags.text_option, flags.tokens_option);
  exclude(flags.file_option, flags.tokens_option);
}

void add_escape_flag(CLI::App& app, bool& escape, const std::string& options) {
  app.add_flag("-e,--escape", escape,
               "In " + options + ", \\n \\r \\t \\\\ \\' \\\" and \\xHH (a byte in hexadecimal) stand for characters");
}

std::string unescape(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  constexpr std::string_view kLetters = "nrt\\'\"", kMeanings = "\n\r\t\\'\"";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else if (const size_t letter = kLetters.find(text[i + 1]); letter != kLetters.npos) {
      out += kMeanings[letter];
      ++i;
    } else if (text[i + 1] == 'x' && i + 3 < text.size() && digit(text[i + 2]) >= 0 && digit(text[i + 3]) >= 0) {
      out += static_cast<char>(digit(text[i + 2]) * 16 + digit(text[i + 3]));
      i += 3;
    } else {
      out += text[i];  // unknown escapes stay
    }
  }
  return out;
}

std::string PromptFlags::file_name() const { return file == "-" ? "standard input" : file; }

std::string PromptFlags::prompt_text() const {
  if (file_option == nullptr || !*file_option) return escape ? unescape(text) : text;
  std::string content = read_file(file);
  const std::string name = file_name();
  const std::string_view view = content;
  if (view.starts_with("\xFF\xFE") || view.starts_with("\xFE\xFF")) {
    throw Error(name + ": is UTF-16, by its first bytes; convert it to UTF-8 with iconv -f UTF-16 -t UTF-8");
  }
  if (view.starts_with("\xEF\xBB\xBF")) {
    std::fprintf(stderr, "weft: %s begins with a byte order mark, which is part of the text\n", name.c_str());
  }
  if (!content.empty() && content.back() == '\n') {
    content.pop_back();
    if (!content.empty() && content.back() == '\r') content.pop_back();
  }
  if (content.find("\r\n") != content.npos) {
    std::fprintf(stderr, "weft: %s has lines that end in CRLF; the carriage returns are part of the text\n",
                 name.c_str());
  }
  return content;
}

int thread_count(int flag) {
  const int cpus = usable_cpus();
  if (flag <= cpus) return flag > 0 ? flag : cpus;
  std::fprintf(stderr, "weft: -t %d is more than the CPUs that this process may use: %d %s used\n", flag, cpus,
               cpus == 1 ? "thread is" : "threads are");
  return cpus;
}

Device open_device(const ModelFlags& flags, TeamPolicy policy) {
  const bool counts = flags.device == "cpu" && flags.threads > 0;
  return Device::by_name(flags.device, counts ? thread_count(flags.threads) : 0, policy);
}

std::vector<int32_t> parse_ids(const std::string& text, std::string_view flag) {
  std::vector<int32_t> ids;
  const std::string blanks = " \t\n";
  const auto skip_blanks = [&](size_t at) { return std::min(text.find_first_not_of(blanks, at), text.size()); };
  for (size_t begin = skip_blanks(0); begin < text.size() || ids.empty();) {
    const size_t end = std::min(text.find_first_of(blanks + ",", begin), text.size());
    int32_t id = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end || id < 0) {
      throw CLI::ValidationError(std::string(flag), "'" + text.substr(begin, end - begin) + "' is not a token id");
    }
    ids.push_back(id);
    begin = skip_blanks(end);
    if (begin == text.size() || text[begin] != ',') continue;
    begin = skip_blanks(begin + 1);
    if (begin == text.size())
      throw CLI::ValidationError(std::string(flag), "a token id is missing after the last comma");
  }
  return ids;
}

std::filesystem::path shipped_model() {
  std::vector<std::filesystem::path> folders;
  const std::filesystem::path here = executable_folder();
  if (!here.empty()) folders.push_back(here / ".." / "share" / "weft" / "models");
  folders.emplace_back(WEFT_MODEL_DIR);
  // Where /proc is not there, or the program is another one that was built with weft_add_model.
  const char* data = std::getenv("XDG_DATA_DIRS");
  std::istringstream data_folders(data == nullptr || *data == '\0' ? "/usr/local/share:/usr/share" : data);
  for (std::string folder; std::getline(data_folders, folder, ':');) {
    if (!folder.empty()) folders.push_back(std::filesystem::path(folder) / "weft" / "models");
  }
  for (const std::filesystem::path& folder : folders) {
    if (const std::string model = first_model_in(folder); !model.empty()) return model;
  }
  std::string looked;
  for (const std::filesystem::path& folder : folders) looked += (looked.empty() ? "" : ", ") + folder.string();
  throw Error("cannot find the model that comes with Weft (looked in " + looked + "); name one with -m");
}

std::shared_ptr<const Checkpoint> open_file(const ModelFlags& flags) {
  const std::filesystem::path path = flags.model.empty() ? shipped_model() : std::filesystem::path(flags.model);
  return Checkpoint::open(path);
}

void warn_of(const Tokenizer& tokenizer) {
  for (const std::string& line : tokenizer.warnings()) std::fprintf(stderr, "weft: warning: %s\n", line.c_str());
}

std::optional<std::string> token_text(const Tokenizer& tokenizer, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= tokenizer.vocab_size()) return std::nullopt;
  return std::string(tokenizer.is_control(id) ? tokenizer.token_text(id) : tokenizer.token_bytes(id));
}

std::unique_ptr<Tokenizer> open_tokenizer(const Checkpoint& file, const ModelFlags& flags) {
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(file, {.pre_tokenizer = flags.pre_tokenizer});
  warn_of(*tokenizer);
  return tokenizer;
}

OpenModel open_model(const ModelFlags& flags) {
  OpenModel open;
  open.file = open_file(flags);
  open.model = load_model(open.file);
  return open;
}

void warn_beyond_training(const LanguageModel& model, int64_t tokens, const std::string& what) {
  // Frequencies that depend on the length of the context ("dynamic" scaling) are made for this length.
  if (model.context_length <= 0 || tokens <= model.context_length || model.frequencies) return;
  std::fprintf(stderr,
               "weft: warning: %s %lld tokens is more than the %lld that the model was trained for: beyond that, "
               "expect nonsense\n",
               what.c_str(), static_cast<long long>(tokens), static_cast<long long>(model.context_length));
}

std::string read_file(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw Error(path + ": is a directory");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(path + ": " + system_reason(errno));
  std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) throw Error(path + ": " + system_reason(errno));
  return content;
}

}  // namespace weft::tools
