// Packed weights that outlast the process: a file in a folder for each model, and for each way in which machines want
// it.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ops/cpu/packed_weights.h"

namespace weft {

// One for each that is wanted, as of PackedWeights::interleaved: mapped from the file in `folder`, or packed and then
// written there for the next time. The file is used only where it was made of files with the name, size, time, header
// and samples of those that the model has now, for weights in the layouts that are wanted now, and is not damaged;
// otherwise it is replaced. Weights that are of no file, or that the device holds already, are left to the device. What
// is wrong with a file, or keeps one from being written, is told to `warn` (may be empty) in one line; only running out
// of memory is an Error.
std::vector<PackedWeightPtr> interleaved_with_cache(PackedWeights& device, std::span<const WantedWeight> wanted,
                                                    int threads, const std::filesystem::path& folder,
                                                    const std::function<void(const std::string&)>& warn);

}  // namespace weft
