// Chat templates against what Python's jinja2 makes of them (tests/data/chat, by tools/make_chat_expectations.py).
#include "runtime/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/errors.h"
#include "tests/gguf_writer.h"
#include "tests/test_data.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;  // the order of members is part of what templates see

Json read(const char* name) {
  return Json::parse(test::read_file(test::source_dir() / "tests" / "data" / "chat" / name));
}

// What strftime_now shows in the expectations.
std::time_t moment() {
  std::tm time{};
  time.tm_year = 2024 - 1900;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 13;
  time.tm_min = 5;
  time.tm_sec = 9;
  time.tm_isdst = -1;
  return std::mktime(&time);
}

// The text, or "error: ..." if there is one.
std::string rendered(const std::string& source, const std::string& messages, ChatOptions options = {}) {
  options.now = moment();
  try {
    return ChatTemplate(source, "template").render(messages, options);
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  }
}

void expect_as_expected(const std::string& got, const Json& expected, const std::string& what) {
  if (expected.contains("text")) {
    EXPECT_EQ(got, expected["text"].get<std::string>()) << what;
    return;
  }
  EXPECT_EQ(got.rfind("error: template: line ", 0), 0u) << what << "\n" << got << "\n" << expected["error"];
  // What a template says itself is passed on.
  const std::string message = expected["error"];
  const std::string raised = "TemplateError: ";
  if (message.rfind(raised, 0) == 0) {
    EXPECT_CONTAINS(got, message.substr(raised.size()).c_str());
  }
}

void expect_conversations(const Json& data, const Json& expected, const std::string& source) {
  ChatOptions options;
  options.add_generation_prompt = expected["add_generation_prompt"];
  options.bos = expected["bos"];
  options.eos = expected["eos"];
  if (expected["with_tools"]) options.tools = data.at("tools").dump();
  const std::string conversation = expected["conversation"];
  expect_as_expected(rendered(source, data.at("conversations").at(conversation).dump(), options), expected,
                     expected["template"].get<std::string>() + ", " + conversation);
}

TEST(ChatTemplate, SharedTemplatesRenderAsJinjaDoes) {
  WEFT_SHARED_OR_SKIP(folder, "data/chat");
  const Json data = read("templates.json");
  size_t texts = 0;
  for (const Json& expected : data.at("expected")) {
    const std::string name = expected["template"];
    expect_conversations(data, expected, test::read_file(folder / name));
    texts += expected.contains("text");
  }
  EXPECT_GE(texts, 100u);
}

TEST(ChatTemplate, TemplatesInTheMannerOfModelsRenderAsJinjaDoes) {
  const Json data = read("templates.json"), own = read("own_templates.json");
  size_t texts = 0;
  for (const Json& expected : own.at("expected")) {
    const std::string name = expected["template"];
    expect_conversations(data, expected, own.at("templates").at(name).get<std::string>());
    texts += expected.contains("text");
  }
  EXPECT_GE(texts, 80u);
}

TEST(ChatTemplate, EveryFeatureRendersAsJinjaDoes) {
  size_t cases = 0;
  for (const Json& group : read("cases.json")) {
    ChatOptions options;
    options.variables = group["variables"].dump();
    for (const Json& expected : group["cases"]) {
      const std::string source = expected["template"];
      expect_as_expected(rendered(source, "[]", options), expected, source);
      ++cases;
    }
  }
  EXPECT_GE(cases, 400u);
}

}  // namespace
}  // namespace weft
