// Arbitrary bytes as a chat template, and after a zero byte as messages: text that is UTF-8, or an Error that names
// the template or the messages; never without end, or beyond the limits of runtime/text/jinja/budget.h.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/text/chat_template.h"

namespace {

using namespace weft;

constexpr std::string_view kMessages =
    R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Grüße,\n\"you\" "},
        {"role": "assistant", "content": "1 < 2", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]},
        {"role": "user", "content": [{"type": "text", "text": "b"}], "n": null}])";
constexpr std::string_view kTools =
    R"([{"type": "function", "function": {"name": "f", "parameters": {"b": [1, true]}}}])";

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const std::string_view messages = end == input.npos ? kMessages : input.substr(end + 1);
  ChatOptions options;
  options.bos = "<s>";
  options.eos = "</s>";
  options.tools = kTools;
  options.now = 1'700'000'000;
  try {
    const ChatTemplate chat_template(input.substr(0, end), "template");
    for (const bool add_generation_prompt : {false, true}) {
      options.add_generation_prompt = add_generation_prompt;
      require(is_utf8(chat_template.render(messages, options)));
    }
  } catch (const Error& error) {
    const std::string_view what = error.what();
    require(is_utf8(what) && (what.starts_with("template: ") || what.starts_with("messages: ")));
  }
  return 0;
}
