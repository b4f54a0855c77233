// Architectures by name. A header models/NAME.h that defines
//
//   namespace weft::NAME { LanguageModel load(const std::shared_ptr<const Checkpoint>& file); }
//
// serves checkpoints of the architecture NAME (general.architecture or model_type, see Checkpoint::architecture),
// and `weft convert` writes them as GGUF files. Where files use other names or need further facts, the header
// declares a ModelFamily too:
//
//   namespace weft::NAME { inline const ModelFamily family = {.model_types = {"name_text"}, ...}; }
//
// The build finds the header; there is no list to maintain. (A header elsewhere is added by
// -DWEFT_EXTRA_MODELS=path/to/NAME.h; a separate program may call register_architecture.)
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/checkpoint.h"
#include "runtime/files/language_model.h"
#include "runtime/files/model_family.h"

namespace weft {

inline const ModelFamily family = {};  // for architectures that declare none

using LoadModel = LanguageModel (*)(const std::shared_ptr<const Checkpoint>& file);

// Returns true, so that it can initialize a global. The last registration of a name wins. Not while another thread
// calls a function of this header; the others may be called by several threads concurrently.
bool register_architecture(std::string_view name, LoadModel load, ModelFamily declared = {});
std::vector<std::string> architectures();

// Throws Error, naming the file, for an architecture that is not registered, options that it does not support, and
// tensors that do not fit.
LanguageModel load_model(const std::shared_ptr<const Checkpoint>& file);

}  // namespace weft
