// Arbitrary bytes as a map of names: what it says of a few values, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "runtime/trace/trace_map.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft;
  try {
    const TraceMap map = TraceMap::parse({reinterpret_cast<const char*>(data), size}, "map.json");
    for (const std::string_view value :
         {"embedding", "blk.0.q", "blk.31.ffn_hidden/contraction.1", "blk.1.router.ids", ""}) {
      const auto mapped = map.find(value);
      if (!mapped) continue;
      for (const auto& name : mapped->from) {
        if (name.size() > size + 4 * value.size()) {
          std::abort();  // of a pattern, and what up to four wildcards found
        }
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
