#include "runtime/trace/trace_map.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/json.h"
#include "runtime/files/mapped_file.h"

namespace weft {
namespace {

constexpr uint64_t kMaxBytes = 1 << 20;
constexpr size_t kMaxWildcards = 4;  // in one pattern: matching tries every division of the text

bool is_wildcard(std::string_view pattern, size_t at) { return pattern[at] == '*' || pattern.substr(at, 2) == "{}"; }
size_t wildcard_length(std::string_view pattern, size_t at) { return pattern[at] == '*' ? 1 : 2; }

size_t wildcards(std::string_view pattern) {
  size_t count = 0;
  for (size_t i = 0; i < pattern.size(); ++i) count += is_wildcard(pattern, i);
  return count;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

// What the wildcards of `pattern` match in `text`, the shortest first; false where it does not match.
bool match(std::string_view pattern, std::string_view text, std::vector<std::string>& found) {
  size_t same = 0;
  while (same < pattern.size() && !is_wildcard(pattern, same)) {
    if (same == text.size() || pattern[same] != text[same]) return false;
    ++same;
  }
  if (same == pattern.size()) return same == text.size();
  const bool number = pattern[same] == '{';
  const std::string_view rest = pattern.substr(same + wildcard_length(pattern, same)), from = text.substr(same);
  for (size_t length = 0; length <= from.size(); ++length) {
    const std::string_view part = from.substr(0, length);
    if (number && !is_number(part)) {
      if (length == 0) continue;
      return false;
    }
    const size_t before = found.size();
    found.emplace_back(part);
    if (match(rest, from.substr(length), found)) return true;
    found.resize(before);
  }
  return false;
}

std::string filled_in(std::string_view pattern, const std::vector<std::string>& found) {
  std::string text;
  size_t used = 0;
  for (size_t i = 0; i < pattern.size();) {
    if (is_wildcard(pattern, i)) {
      text += found[used++];
      i += wildcard_length(pattern, i);
    } else {
      text += pattern[i++];
    }
  }
  return text;
}

class Parser {
 public:
  explicit Parser(const std::string& source) : source_(source) {}

  MappedValue read(const std::string& key, const Json& entry) const {
    MappedValue value;
    if (entry.is_null()) return value;
    const Json* from = &entry;
    if (entry.is_object()) {
      for (const auto& [member, content] : entry.items()) {
        if (member != "from" && member != "order" && member != "pairs") {
          fail(key, "has an unknown member " + in_quotes(member));
        }
      }
      from = find(entry, "from");
      if (from == nullptr) fail(key, "does not say \"from\" where");
      if (const Json* order = find(entry, "order")) value.order = texts(key, *order, "order");
      if (const Json* pairs = find(entry, "pairs")) {
        if (*pairs == "half_split") value.pairs = RopePairs::half_split;
        else if (*pairs == "interleaved") value.pairs = RopePairs::interleaved;
        else fail(key, "\"pairs\" is neither \"half_split\" nor \"interleaved\"");
      }
    }
    value.from = from->is_string() ? std::vector<std::string>{from->get<std::string>()} : texts(key, *from, "from");
    for (const std::string& name : value.from) {
      if (name.empty()) fail(key, "names a tensor without a name");
      if (wildcards(name) > wildcards(key)) {
        fail(key, in_quotes(name) + " has more wildcards than the value's name");
      }
    }
    return value;
  }

  std::vector<std::string> texts(const std::string& key, const Json& list, const std::string& member) const {
    if (!list.is_array() || list.empty()) fail(key, "\"" + member + "\" is not a list of names");
    std::vector<std::string> result;
    for (const Json& text : list) {
      if (!text.is_string()) fail(key, "\"" + member + "\" is not a list of names");
      result.push_back(text.get<std::string>());
    }
    return result;
  }

  [[noreturn]] void fail(const std::string& key, const std::string& why) const {
    throw Error(source_ + ": key " + in_quotes(key) + ": " + why);
  }

 private:
  const std::string& source_;
};

}  // namespace

TraceMap TraceMap::parse(std::string_view text, const std::string& source) {
  if (text.size() > kMaxBytes) throw Error(source + ": has more than " + std::to_string(kMaxBytes) + " bytes");
  const Json json = parse_json(text, source);
  const Parser parser(source);
  if (!json.is_object()) throw Error(source + ": is not an object");
  for (const auto& [key, content] : json.items()) {
    if (key != "values" && key != "comment") {
      parser.fail(key, "is not known; there are \"values\" and \"comment\"");
    }
  }
  const Json* values = weft::find(json, "values");
  if (values == nullptr || !values->is_object()) parser.fail("values", "is missing or not an object");
  TraceMap map;
  for (const auto& [key, entry] : values->items()) {
    if (wildcards(key) > kMaxWildcards) {
      parser.fail(key, "has more than " + std::to_string(kMaxWildcards) + " wildcards");
    }
    map.entries_.push_back({key, key.size() - wildcards(key), parser.read(key, entry)});
  }
  std::stable_sort(map.entries_.begin(), map.entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.literals > b.literals; });
  return map;
}

TraceMap TraceMap::open(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse(file.text(), file.path());
}

std::optional<MappedValue> TraceMap::find(std::string_view value) const {
  for (const Entry& entry : entries_) {
    std::vector<std::string> found;
    if (!match(entry.pattern, value, found)) continue;
    MappedValue mapped = entry.value;
    for (std::string& name : mapped.from) name = filled_in(name, found);
    return mapped;
  }
  return std::nullopt;
}

}  // namespace weft
