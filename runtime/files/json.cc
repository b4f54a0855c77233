#include "runtime/files/json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/mapped_file.h"

namespace weft {
namespace {

// Builds a value as nlohmann's parser does, and refuses what that would accept.
class StrictSax : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  StrictSax(Json& result, const std::string& source) : Base(result, false), source_(source) {}

  bool start_object(std::size_t elements) {
    enter();
    keys_.emplace_back();
    return Base::start_object(elements);
  }
  bool end_object() {
    --depth_;
    keys_.pop_back();
    return Base::end_object();
  }
  bool start_array(std::size_t elements) {
    enter();
    return Base::start_array(elements);
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second)
      throw Error(source_ + ": key " + in_quotes(name) + " appears twice in one object");
    return Base::key(name);
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string&, const Exception& error) {
    fail_not_json(source_, position, error);
  }

 private:
  void enter() {
    if (++depth_ > kMaxJsonDepth) {
      throw Error(source_ + ": is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
  }

  const std::string& source_;
  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;  // of the open objects
};

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  Json result;
  StrictSax sax(result, source);
  Json::sax_parse(text.begin(), text.end(), &sax);
  return result;
}

void fail_not_json(const std::string& source, size_t position, const std::exception& error) {
  // Without nlohmann's prefix: "parse error at line 1, column 5: ...". It quotes bytes that may not be UTF-8.
  std::string_view what = error.what();
  if (const size_t at = what.find("parse error"); at != what.npos) what.remove_prefix(at);
  throw Error(source + ": byte " + std::to_string(position) + ": is not JSON: " + make_utf8(what));
}

Json read_json(const std::filesystem::path& path, uint64_t limit) {
  const MappedFile file(path);
  if (file.size() > limit) {
    throw Error(file.path() + ": has " + std::to_string(file.size()) + " bytes; JSON of at most " +
                std::to_string(limit) + " is read");
  }
  try {
    return parse_json(file.text(), file.path());
  } catch (const Error&) {
    // If not even the beginning is JSON, it may be a file of another known kind.
    std::string_view text = file.text();
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\xEF\xBB\xBF"), text.size()));
    const std::string kind = text.starts_with('{') || text.starts_with('[') ? "" : describe_foreign(file.text());
    if (kind.empty()) throw;
    throw Error(file.path() + ": " + kind);
  }
}

const Json* find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace weft
