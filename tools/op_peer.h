// Libraries that multiply matrices of f32, as peers of a contraction. They are found when they are asked for: nothing
// of them is linked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/op_time.h"

namespace weft::tools {

// "openblas, onednn, eigen"
std::string op_peer_names();
// The names in a list, "openblas,eigen". Throws Error for one that is no peer.
std::vector<std::string> op_peers_in(const std::string& list);

// What runs the peer's product of random matrices so many times, with so many threads. Throws Error that says what was
// looked for where the peer is not found, and where its result is not that of a plain product.
TimedRuns op_peer(const std::string& name, const MatrixShape& shape, int threads);

}  // namespace weft::tools
