#include "models/registry.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"

namespace weft {
namespace {

// Built on first use: registrations run before main, in no particular order.
std::map<std::string, LoadModel, std::less<>>& registry() {
  static std::map<std::string, LoadModel, std::less<>> loaders;
  return loaders;
}

// Reports a directory with another model of the family, such as one with vision.
void check_model_type(const Checkpoint& file) {
  const auto type = file.config().find("model_type");
  if (file.convention() == Convention::gguf || type == file.config().end()) return;
  const ModelFamily& family = *find_family(file.architecture());
  const auto& types = family.model_types;
  const std::string given = std::get<std::string>(type->second);
  if (types.empty() || std::find(types.begin(), types.end(), given) != types.end()) return;
  file.fail("model_type", in_quotes(given) + " is not read; of this family " + in_quotes(types.front()) + " is");
}

}  // namespace

bool register_architecture(std::string_view name, LoadModel load, ModelFamily declared) {
  const auto [at, is_new] = registry().insert_or_assign(std::string(name), load);
  declared.name = at->first;
  declare_family(std::move(declared));
  return true;
}

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const auto& [name, load] : registry()) names.push_back(name);
  return names;
}

LanguageModel load_model(const std::shared_ptr<const Checkpoint>& file) {
  const std::string& architecture = not_null(file)->architecture();
  const auto found = registry().find(architecture);
  if (found != registry().end()) {
    check_model_type(*file);
    return found->second(file);
  }
  std::string known;
  for (const std::string& name : architectures()) known += (known.empty() ? "" : ", ") + name;
  throw Error(file->path() + ": architecture " + in_quotes(architecture) +
              " is not among those of this build: " + known);
}

}  // namespace weft
