// `weft bench op`: single operations on single kernels.
#pragma once

#include <CLI/CLI.hpp>

namespace weft::tools {

void add_bench_op(CLI::App& bench);

}  // namespace weft::tools
