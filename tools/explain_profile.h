// What `weft explain --profile` prints for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "runtime/plan/profile.h"

namespace weft::tools {

// To each step of what Plan::explain_json has printed of such runs: `least_seconds` that the machine takes, where
// anything is known of it, and their `share_of_limit`, a part of the median; and the `limits` that these come from.
// Changes nothing where the profile has no limits.
void add_limits(nlohmann::ordered_json& json, const PlanProfile& profile);

// A line for each step of each profile, and one of the wall time of its runs. Shares are parts of 1.
std::string profile_csv(const Plan& plan, std::span<const PlanProfile> profiles);

}  // namespace weft::tools
