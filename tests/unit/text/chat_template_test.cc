// Chat templates against what Python's jinja2 makes of them (tests/data/chat, by tools/make_chat_expectations.py).
#include "runtime/text/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/command.h"
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

// --- errors ---

TEST(ChatTemplate, ErrorsShowWhereTheyAre) {
  const std::string source = "{% for m in messages %}\n  é{{ m.content.size }}{{ m.nothing.at_all }}\n{% endfor %}";
  EXPECT_EQ(rendered(source, R"([{"content": "x"}])"),
            "error: template: line 2, column 37: a dict has no attribute 'nothing'\n"
            "      é{{ m.content.size }}{{ m.nothing.at_all }}\n"
            "                                        ^");
  EXPECT_EQ(rendered("{% if true %}\n{{ 1 + }}\n{% endif %}", "[]"),
            "error: template: line 2, column 8: unexpected '}}'\n    {{ 1 + }}\n           ^");
  // Of a long line, what is around the place; nothing of it moves the cursor.
  const std::string far = rendered(std::string(500, 'x') + "\x1b[2J{{ nosuch.at }}" + std::string(500, 'y'), "[]");
  EXPECT_CONTAINS(far, "line 1, column 515: 'nosuch' is undefined");
  EXPECT_EQ(far.find('\x1b'), std::string::npos);
  EXPECT_LT(far.size(), 300u);
}

TEST(ChatTemplate, WhatIsNotKnownIsNamed) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"{{ 1 | nosuch }}", "the filter 'nosuch' is not known"},
      {"{{ 1 is nosuch }}", "the test 'nosuch' is not known"},
      {"{% nosuch %}", "the tag 'nosuch' is not known"},
      {"{% include 'x' %}", "the tag 'include' is not supported"},
      {"{% block x %}{% endblock %}", "the tag 'block' is not supported"},
      {"{% for a in [1] %}{{ loop([]) }}{% endfor %}", "a loop can be called only if it is marked as recursive"},
      {"{{ nosuch() }}", "'nosuch' is undefined"},
      {"{{ [].append(1) }}", "'append' would change a list, which templates may not"},
      {"{{ 'a'.encode() }}", "a str has no attribute 'encode'"},
      {"{{ 9223372036854775807 + 1 }}", "an integer does not fit into 64 bits"},
      {"{{ '\\N{DASH}' }}", "\\N is not known"},
      {"{% if true %}{% endfor %}", "'endfor' where 'endif' is expected"},
      {"{{ '' | tojson(nosuch=1) }}", "the filter 'tojson' has no parameter 'nosuch'"},
  };
  for (const auto& [source, message] : cases) EXPECT_CONTAINS(rendered(source, "[]"), message);
}

TEST(ChatTemplate, InputsAreChecked) {
  EXPECT_CONTAINS(rendered("\xff", "[]"), "template: is not UTF-8");
  EXPECT_CONTAINS(rendered(std::string(2 << 20, ' '), "[]"), "templates of at most");
  EXPECT_CONTAINS(rendered("", "[1"), "messages: byte 3: is not JSON");
  EXPECT_CONTAINS(rendered("", "{}"), "messages: is not a JSON list");
  EXPECT_CONTAINS(rendered("", std::string(100, '[') + std::string(100, ']')), "messages: is nested deeper than 64");
  EXPECT_CONTAINS(rendered("", "[18446744073709551615]"), "does not fit into 64 bits");
  ChatOptions options;
  options.variables = "[]";
  EXPECT_CONTAINS(rendered("", "[]", options), "variables: is not a JSON object");
  options.variables = R"({"messages": 5, "tools": [1]})";
  EXPECT_EQ(rendered("{{ messages }}{{ tools }}", "[]", options), "5[1]");
  const ChatTemplate chat("{% for m in messages %}{{ m.role }}={{ m['content'] }};{% endfor %}", "template");
  const std::vector<ChatMessage> messages = {{"user", "<é>"}, {"assistant", ""}};
  EXPECT_EQ(chat.render(messages), "user=<é>;assistant=;");
  const std::vector<ChatMessage> broken = {{"user", "\xff"}};
  EXPECT_CONTAINS(test::error_of([&] { chat.render(broken); }), "a message is not UTF-8");
}

// Templates that would run without end or take all memory.
TEST(ChatTemplate, HostileTemplatesEnd) {
  const std::string steps = "takes more than", memory = "take more than 256 MiB", deep = "more than 100 levels deep";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", steps},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself too deeply"},
      {"{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "calls itself too deeply"},
      {"{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "calls itself too deeply"},
      {"{% for a in [1, 2] recursive %}{{ loop.changed(loop) }}{{ loop([a]) }}{% endfor %}", "calls itself too deeply"},
      {"{% set ns = namespace(a='x') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}", memory},
      {"{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}", memory},
      {"{{ 'x' * 999999999999 }}", "too long"},
      {"{{ [1] * 99999999 }}", memory},
      {"{{ ('x' * 99999999).replace('x', 'y' * 9999) }}", "too long"},
      {"{% set x = 'x' * 9999999 %}{% for i in range(99999) %}{{ x }}{% endfor %}", "more than 64 MiB of text"},
      {"{% set ns = namespace(a=[]) %}{% for i in range(999) %}{% set ns.a = [ns.a] %}{% endfor %}", deep},
      {"{% set ns = namespace(a=1) %}{% for i in range(999) %}{% set ns.a = joiner(ns.a) %}{% endfor %}", deep},
      {"{% set ns = namespace(a={}) %}{% for i in range(999) %}{% set ns.a = {'a': ns.a.get} %}{% endfor %}", deep},
      // A list that holds another twice, which holds a third twice ...
      {"{% set ns = namespace(a=['x']) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
       steps},
      {"{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
       "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
       steps},
      {"{% set ns = namespace(a=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {ns.a: 1} "
       "}}",
       "a tuple cannot be a key"},
      {"{{ range(10) | map('center', 99999999) | map('length') | list }}{{ 'x'.center(999999999999) }}", memory},
      {"{{ '%999999999d' % 1 }}", "out of range"},
      {"{{ '{:999999999}'.format(1) }}", "out of range"},
      {"{{ 'x' | indent(999999999) }}", "at most 10000"},
      {std::string(5000, '(') + "1" + std::string(5000, ')'), ""},
      {"{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "levels of nesting"},
      {"{{ " + std::string(5000, '[') + " }}", "expected ']'"},
      {"{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}", "levels of nesting"},
      {"{{ " + std::string(5000, '-') + "1 }}", "levels of nesting"},
      {"{{ 1" +
           [] {
             std::string all;
             for (int i = 0; i < 5000; ++i) all += "+1";
             return all;
           }() +
           " }}",
       "levels of nesting"},
      {"{{ 1" +
           [] {
             std::string all;
             for (int i = 0; i < 5000; ++i) all += "|abs";
             return all;
           }() +
           " }}",
       "levels of nesting"},
      {[] {
         std::string all;
         for (int i = 0; i < 5000; ++i) all += "{% if 1 %}";
         return all;
       }(),
       "levels of nesting"},
      {"{% set ns = namespace() %}{% set ns.ns = ns %}{% macro m() %}{% endmacro %}{% set ns.m = m %}{{ ns }}", deep},
  };
  for (const auto& [source, message] : cases) {
    const std::string got = rendered(source, "[]");
    if (message.empty()) {
      EXPECT_EQ(got, source);
    } else {
      EXPECT_EQ(got.rfind("error: template: line 1, column ", 0), 0u) << source.substr(0, 100);
      EXPECT_CONTAINS(got, message) << source.substr(0, 100);
    }
  }
}

TEST(ChatTemplate, WhereATurnEnds) {
  const auto end = [](const std::string& source) {
    ChatOptions options;
    options.eos = "</s>";
    options.add_generation_prompt = true;
    return ChatTemplate(source, "template").turn_end(options);
  };
  EXPECT_EQ(end("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"),
            "<|im_end|>\n<|im_start|>user\n");
  EXPECT_EQ(end("{% for m in messages %}{{ m.role | capitalize }}: {{ m.content | trim }}\n\n{% endfor %}"),
            "\n\nUser:");
  EXPECT_EQ(end("{% for m in messages %}{{ m.content }}\n{% endfor %}"), "\n");
  EXPECT_EQ(end("{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}"
                " {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"),
            "</s>[INST]");
  EXPECT_EQ(end("{% for m in messages %}{{ m.content }} {% endfor %}"), "");  // any blank would end it
  EXPECT_EQ(end("{% for m in messages %}{{ m.content }}{% endfor %}"), "");
  EXPECT_EQ(end("{{ messages[-1].content }}"), "");
  EXPECT_EQ(end("{{ messages[1].content }}"), "");
  EXPECT_EQ(end("{% for m in messages | reverse %}{{ m.content }}!{% endfor %}"), "");
  EXPECT_EQ(end("{% if messages | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}{{ messages }}"), "");
}

// --- where models keep their templates ---

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST(FindChatTemplate, InGguf) {
  const test::TemporaryFolder folder;
  const auto file = [&](test::GgufWriter& writer) {
    write(folder / "model.gguf", writer.bytes());
    return GgufFile::open(folder / "model.gguf");
  };
  test::GgufWriter both;
  both.string("tokenizer.chat_template", "plain")
      .string("tokenizer.chat_template.tool_use", "tools")
      .add("tokenizer.chat_templates", GgufType::array, test::array({"tool_use"}));
  const GgufFile with_both = file(both);
  EXPECT_EQ(find_chat_template(with_both).render("[]"), "plain");
  EXPECT_CONTAINS(find_chat_template(with_both).name(), "model.gguf: tokenizer.chat_template");
  EXPECT_EQ(find_chat_template(with_both, "tool_use").render("[]"), "tools");
  EXPECT_CONTAINS(test::error_of([&] { find_chat_template(with_both, "rag"); }),
                  "model.gguf: has no chat template 'rag'; it has 'default', 'tool_use'");
  test::GgufWriter none;
  none.string("general.architecture", "llama");
  const GgufFile without = file(none);
  EXPECT_CONTAINS(test::error_of([&] { find_chat_template(without); }), "model.gguf: has no chat template");
  test::GgufWriter bad;
  bad.string("tokenizer.chat_template", "{{ oh");
  const GgufFile with_bad = file(bad);
  EXPECT_CONTAINS(test::error_of([&] { find_chat_template(with_bad); }),
                  "model.gguf: tokenizer.chat_template: line 1, column 1: the end of this {{ is missing");
}

TEST(FindChatTemplate, InADirectory) {
  const test::TemporaryFolder folder;
  const auto found = [&](std::string_view variant = {}) {
    return find_chat_template(folder / ".", variant).render("[]");
  };
  EXPECT_CONTAINS(test::error_of([&] { found(); }), "has no chat template");
  write(folder / "tokenizer_config.json", R"({"chat_template": "from the config", "bos_token": "<s>"})");
  EXPECT_EQ(found(), "from the config");
  write(folder / "tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]})");
  EXPECT_EQ(found(), "d");
  EXPECT_EQ(found("rag"), "r");
  write(folder / "chat_template.json", R"({"chat_template": "from the json"})");
  EXPECT_EQ(found(), "from the json");
  write(folder / "chat_template.jinja", "from the jinja");
  EXPECT_EQ(found(), "from the jinja");
  std::filesystem::create_directory(folder / "additional_chat_templates");
  write(folder / "additional_chat_templates/tool_use.jinja", "tools");
  EXPECT_EQ(found("tool_use"), "tools");
  EXPECT_CONTAINS(test::error_of([&] { found("other"); }), "it has 'default', 'rag', 'tool_use'");
  write(folder / "chat_template.json", R"({"chat_template": 5})");
  EXPECT_CONTAINS(test::error_of([&] { found(); }), "chat_template.json: chat_template: the template is not a string");
}

}  // namespace
}  // namespace weft
