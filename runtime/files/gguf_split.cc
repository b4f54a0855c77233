#include "runtime/files/gguf_split.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/error.h"

namespace weft {
namespace {

constexpr std::string_view kOf = "-of-", kExtension = ".gguf";
constexpr size_t kDigits = 5;

std::string digits(uint32_t number) {
  const std::string text = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, text.size()), '0') + text;
}

// Removes a number from the end of the text; nothing without a number of at least five digits.
std::optional<uint32_t> take_number(std::string_view& text) {
  const size_t begin = text.find_last_not_of("0123456789") + 1;  // npos + 1 is 0
  const std::string_view number = text.substr(begin);
  uint32_t value = 0;
  if (number.size() < kDigits) return std::nullopt;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || digits(value) != number) return std::nullopt;
  text = text.substr(0, begin);
  return value;
}

bool take_end(std::string_view& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.remove_suffix(end.size());
  return true;
}

}  // namespace

std::string split_suffix(uint32_t no, uint32_t count) {
  return "-" + digits(no + 1) + std::string(kOf) + digits(count) + std::string(kExtension);
}

std::filesystem::path split_path(const SplitName& name) {
  std::filesystem::path path = name.prefix;
  path += split_suffix(name.no, name.count);
  return path;
}

std::optional<SplitName> parse_split_name(const std::filesystem::path& path) {
  const std::string whole = path.filename().string();
  std::string_view name = whole;
  if (!take_end(name, kExtension)) return std::nullopt;
  const auto count = take_number(name);
  if (!count || !take_end(name, kOf)) return std::nullopt;
  const auto number = take_number(name);
  if (!number || *number < 1 || *number > *count || !take_end(name, "-")) return std::nullopt;
  return SplitName{path.parent_path() / name, *number - 1, *count};
}

std::filesystem::path gguf_in(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  constexpr size_t kShown = 8;
  std::map<fs::path, fs::path> models;  // by the name of the file, or of the first part
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() != kExtension) continue;
    auto name = parse_split_name(it->path());
    if (name) name->no = 0;
    fs::path& part = models[name ? split_path(*name) : it->path()];
    if (part.empty() || it->path() < part) part = it->path();
  }
  if (models.empty()) return {};
  if (models.size() == 1) return models.begin()->second;
  std::string names;
  size_t shown = 0;
  for (const auto& [model, part] : models) {
    if (shown++ < kShown) names += (names.empty() ? "" : ", ") + part.filename().string();
  }
  throw Error(folder.string() + ": holds " + std::to_string(models.size()) +
              " GGUF models; name one of them: " + names + (models.size() > kShown ? ", ..." : ""));
}

}  // namespace weft
