// The record of one step as JSON, and back: what a file of a case holds beside the values.
#pragma once

#include <nlohmann/json.hpp>

#include "core/record/graph.h"
#include "runtime/files/json_node.h"

namespace weft {

// A graph of exactly one step; without the storage of weights, and what only expressions have (identities of axes).
nlohmann::ordered_json step_json(const GraphRecord& graph);

// Throws Error that names the member that is absent, of another type, or out of range of its own type; whether the
// record makes sense is for verify() to say.
GraphRecord step_of(const JsonNode& json);

}  // namespace weft
