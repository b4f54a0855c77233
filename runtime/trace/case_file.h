// A step of a model with all that it takes to run it, as a file.
//
// It is a GGUF file: "weft.case" in the metadata is JSON, with the step's record (runtime/trace/step_json.h), extents
// and page tables; tensors, named by the ids of the values, have their bytes as one row each.
#pragma once

#include <filesystem>

#include "ops/harness/case.h"
#include "runtime/generate/engine.h"

namespace weft {

// Throws Error where the file cannot be written.
void write_case(const StepCase& step_case, const std::filesystem::path& path);

// The file is untrusted: everything that kernels rely on is checked, by running the step once in a plan. Throws Error
// that names the file, and the member or tensor at fault.
StepCase read_case(const std::filesystem::path& path);

// A step of the engine's last run, by its name, with what it read. The engine's graph must have as results what
// with_operands adds, and its plan must have been given `extents` of that run. Throws Error for a name that no step
// has.
StepCase case_of_step(Engine& engine, const std::string& name, const std::vector<int64_t>& extents);

// The same model, with the values that the step reads among its results, so that they are there after a run.
LanguageModel with_operands(LanguageModel model, const std::string& name);

}  // namespace weft
