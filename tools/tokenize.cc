// weft tokenize: text to token ids, and back.
#include "runtime/files/json.h"
#include "tools/common.h"

namespace weft::tools {

namespace {

struct TokenizeFlags {
  ModelFlags model;
  PromptFlags prompt;
  std::string ids, batch;
  CLI::Option* ids_option = nullptr;
  CLI::Option* batch_option = nullptr;
  bool no_special = false;
  bool parse_special = false;
};

// For every text of a JSON list its ids, for every list of ids their text.
void run_batch(const TokenizeFlags& flags, const Tokenizer& tokenizer) {
  const Json list = parse_json(read_file(flags.batch), flags.batch);
  const auto fail = [&](size_t i) {
    throw Error(flags.batch + ": element " + std::to_string(i) + " is neither a text nor a list of ids");
  };
  if (!list.is_array()) throw Error(flags.batch + ": is not a list");
  Json results = Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_string()) {
      results.push_back(tokenizer.encode(list[i].get<std::string>(), !flags.no_special, flags.parse_special));
      continue;
    }
    if (!list[i].is_array()) fail(i);
    std::vector<int32_t> ids;
    for (const Json& id : list[i]) {
      if (!id.is_number_integer() || id.dump().size() > 9) fail(i);
      ids.push_back(id.get<int32_t>());
    }
    results.push_back(tokenizer.decode(ids));
  }
  print(results.dump() + "\n");
}

void run(const TokenizeFlags& flags) {
  std::filesystem::path model = flags.model.model;
  if (model.empty()) model = shipped_model();
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(model, {.pre_tokenizer = flags.model.pre_tokenizer});
  if (!*flags.ids_option) warn_of(*tokenizer);
  if (*flags.batch_option) return run_batch(flags, *tokenizer);
  if (*flags.ids_option) {
    print(tokenizer->decode(parse_ids(flags.ids, "--ids")) + "\n");
    return;
  }
  std::string line;
  for (const int32_t id : tokenizer->encode(flags.prompt.prompt_text(), !flags.no_special, flags.parse_special)) {
    line += (line.empty() ? "" : " ") + std::to_string(id);
  }
  print(line + "\n");
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Turn text into token ids, or ids into text");
  add_model_flag(*command, flags->model);
  add_prompt_flags(*command, flags->prompt, kPromptText | kPromptFile);
  flags->ids_option = command->add_option("--ids", flags->ids, "Token ids to turn into text: 1,2,3")->type_name("IDS");
  flags->ids_option->excludes(flags->prompt.text_option)->excludes(flags->prompt.file_option);
  flags->batch_option = command->add_option(
      "--batch", flags->batch, "A JSON list of texts to turn into lists of ids, or of lists of ids to turn into texts");
  flags->batch_option->type_name("FILE")->excludes(flags->ids_option);
  flags->batch_option->excludes(flags->prompt.text_option)->excludes(flags->prompt.file_option);
  command->add_flag("--no-bos", flags->no_special, "Do not add the model's special tokens");
  command->add_flag("--parse-special", flags->parse_special, "Read special tokens such as </s> in the text as such");
  add_tokenizer_flag(*command, flags->model);
  command->callback([flags] {
    if (!flags->prompt.has_text() && !*flags->ids_option && !*flags->batch_option) {
      throw CLI::RequiredError("one of --prompt, --file, --ids and --batch");
    }
    run(*flags);
  });
}

}  // namespace weft::tools
