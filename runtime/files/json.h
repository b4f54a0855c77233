// JSON from untrusted files: no duplicate keys, no deep nesting; errors name file and byte.
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

using Json = nlohmann::json;

inline constexpr int kMaxJsonDepth = 64;

// The whole of `text` as one JSON value. Throws Error "SOURCE: byte N: reason" for text that is not JSON, is
// nested deeper than kMaxJsonDepth, repeats a key in one object, or has strings that are not UTF-8.
Json parse_json(std::string_view text, const std::string& source);
// For event handlers of nlohmann's parser: throws Error "SOURCE: byte 5: is not JSON: ..." for its parse error.
[[noreturn]] void fail_not_json(const std::string& source, size_t position, const std::exception& error);

// Reads a file of at most `limit` bytes. Throws Error for one that cannot be read, is larger, or is not valid as
// above.
Json read_json(const std::filesystem::path& path, uint64_t limit = uint64_t{256} << 20);

// Member `key` of an object; null if it is absent or null.
const Json* find(const Json& object, std::string_view key);

}  // namespace weft
