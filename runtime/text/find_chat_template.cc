// Where models keep their chat templates.
#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/gguf.h"
#include "runtime/files/json.h"
#include "runtime/text/chat_template.h"

namespace weft {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKey = "tokenizer.chat_template";
constexpr std::string_view kDefault = "default";
constexpr uint64_t kMaxFile = uint64_t{1} << 20;

using Templates = std::map<std::string, ChatTemplateSource>;  // by variant

ChatTemplate choose(const Templates& templates, std::string_view variant, const std::string& model) {
  const auto found = templates.find(std::string(variant.empty() ? kDefault : variant));
  if (found != templates.end()) return ChatTemplate(found->second.text, found->second.name);
  std::string others;
  for (const auto& [name, unused] : templates) others += (others.empty() ? "" : ", ") + in_quotes(name);
  const std::string wanted = variant.empty() ? "no chat template" : "no chat template " + in_quotes(variant);
  throw Error(model + ": has " + wanted + (others.empty() ? "" : "; it has " + others) +
              " (--template takes one from a file)");
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

void add_file(Templates& templates, const fs::path& path, const std::string& variant) {
  const MappedFile file(path);
  refuse_lfs_pointer(file.text(), file.path());
  if (file.size() > kMaxFile) throw Error(file.path() + ": is too large for a chat template");
  templates[variant] = {std::string(file.text()), file.path()};
}

// "chat_template" of a JSON file: text, or a list of {"name": ..., "template": ...}.
void add_member(Templates& templates, const fs::path& path) {
  const Json json = read_json(path);
  const Json* member = find(json, "chat_template");
  if (member == nullptr) return;
  const std::string where = path.string() + ": chat_template";
  const auto text = [&](const Json* value, const char* what) {
    if (value == nullptr || !value->is_string()) throw Error(where + ": " + what + " is not a string");
    return value->get<std::string>();
  };
  if (!member->is_array()) {
    templates[std::string(kDefault)] = {text(member, "the template"), where};
    return;
  }
  for (const Json& entry : *member) {
    const std::string name = text(find(entry, "name"), "the name of a template");
    templates[name] = {text(find(entry, "template"), "a template"), where + " " + in_quotes(name)};
  }
}

}  // namespace

ChatTemplate find_chat_template(const GgufFile& file, std::string_view variant) {
  Templates templates;
  for (const GgufEntry& entry : file.metadata()) {
    if (!entry.key.starts_with(kKey)) continue;
    const std::string_view rest = entry.key.substr(kKey.size());
    const auto text = entry.value.as_string();
    if (!text || (!rest.empty() && rest[0] != '.')) continue;  // tokenizer.chat_templates: the list of their names
    const std::string name(rest.empty() ? kDefault : rest.substr(1));
    templates[name] = {std::string(*text), file.path() + ": " + std::string(entry.key)};
  }
  return choose(templates, variant, file.path());
}

std::map<std::string, ChatTemplateSource> chat_template_sources(const fs::path& directory) {
  Templates templates;
  for (const char* name : {"tokenizer_config.json", "chat_template.json"}) {
    if (is_file(directory / name)) add_member(templates, directory / name);
  }
  if (is_file(directory / "chat_template.jinja")) {
    add_file(templates, directory / "chat_template.jinja", std::string(kDefault));
  }
  std::error_code error;
  for (fs::directory_iterator it(directory / "additional_chat_templates", error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".jinja" && is_file(it->path())) {
      add_file(templates, it->path(), it->path().stem().string());
    }
  }
  return templates;
}

ChatTemplate find_chat_template(const fs::path& directory, std::string_view variant) {
  return choose(chat_template_sources(directory), variant, directory.string());
}

ChatTemplate find_chat_template(const Checkpoint& checkpoint, std::string_view variant) {
  if (const GgufFile* file = checkpoint.gguf()) return find_chat_template(*file, variant);
  return find_chat_template(checkpoint.directory(), variant);
}

}  // namespace weft
