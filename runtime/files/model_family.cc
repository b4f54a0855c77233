#include "runtime/files/model_family.h"

#include <algorithm>
#include <map>

namespace weft {
namespace {

using Families = std::map<std::string, ModelFamily, std::less<>>;

// Built on first use: declarations run before main, in no particular order.
Families& families() {
  static Families all;
  return all;
}

// Whether it holds for at least one layer, where there is a number per layer.
bool is_positive(const std::map<std::string, ConfigValue, std::less<>>& config, std::string_view key) {
  const auto at = config.find(key);
  if (at == config.end()) return false;
  if (const auto* list = std::get_if<std::vector<double>>(&at->second)) {
    return std::any_of(list->begin(), list->end(), [](double number) { return number > 0; });
  }
  return as_number(at->second).value_or(0) > 0;
}

}  // namespace

void declare_family(ModelFamily family) {
  std::string name(family.name);
  ModelFamily& kept = families()[name] = std::move(family);
  kept.name = families().find(name)->first;
}

const ModelFamily* find_family(std::string_view name) {
  const auto found = families().find(name);
  return found == families().end() ? nullptr : &found->second;
}

const ModelFamily* family_of_model_type(std::string_view model_type) {
  for (const auto& [name, family] : families()) {
    const auto& types = family.model_types;
    const bool is_it =
        types.empty() ? name == model_type : std::find(types.begin(), types.end(), model_type) != types.end();
    if (is_it) return &family;
  }
  return nullptr;
}

const ModelFamily* family_of_gguf(std::string_view architecture,
                                  const std::map<std::string, ConfigValue, std::less<>>& config) {
  const ModelFamily* found = nullptr;
  for (const auto& [name, family] : families()) {
    if (family.gguf_name() != architecture) continue;
    if (family.gguf_mark.empty() ? found == nullptr : is_positive(config, family.gguf_mark)) found = &family;
  }
  return found;
}

}  // namespace weft
