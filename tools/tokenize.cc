// weft tokenize: text to token ids, and back.
#include "tools/common.h"

namespace weft::tools {

namespace {

struct TokenizeFlags {
  ModelFlags model;
  PromptFlags prompt;
  std::string ids;
  CLI::Option* ids_option = nullptr;
  bool no_special = false;
  bool parse_special = false;
};

void run(const TokenizeFlags& flags) {
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(*open_file(flags.model));
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
  flags->ids_option =
      command->add_option("--ids", flags->ids, "Token ids to turn into text: 1,2,3")->type_name("IDS");
  flags->ids_option->excludes(flags->prompt.text_option)->excludes(flags->prompt.file_option);
  command->add_flag("--no-bos", flags->no_special, "Do not add the model's special tokens");
  command->add_flag("--parse-special", flags->parse_special,
                    "Read special tokens such as </s> in the text as such");
  command->callback([flags] {
    if (!flags->prompt.has_text() && !*flags->ids_option) {
      throw CLI::RequiredError("one of --prompt, --file and --ids");
    }
    run(*flags);
  });
}

}  // namespace weft::tools
