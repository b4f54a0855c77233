#include "models/registry.h"

#include <map>

#include "core/error.h"
#include "runtime/utf8.h"

namespace weft {
namespace {

// Built on first use: registrations run before main, in no order.
std::map<std::string, LoadModel, std::less<>>& registry() {
  static std::map<std::string, LoadModel, std::less<>> loaders;
  return loaders;
}

}  // namespace

bool register_architecture(std::string_view name, LoadModel load) {
  registry()[std::string(name)] = load;
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
  if (found != registry().end()) return found->second(file);
  std::string known;
  for (const std::string& name : architectures()) known += (known.empty() ? "" : ", ") + name;
  throw Error(file->path() + ": architecture " + in_quotes(architecture) + " is not among those of this build: " + known);
}

}  // namespace weft
