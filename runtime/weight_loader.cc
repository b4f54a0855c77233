#include "runtime/weight_loader.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace weft {
namespace {

// The file's extents from slow to fast, as weights name their axes.
std::vector<int64_t> slow_to_fast(const GgufTensor& tensor) {
  std::vector<int64_t> extents(tensor.shape().begin(), tensor.shape().end());
  std::reverse(extents.begin(), extents.end());
  return extents;
}

// True if consecutive groups of `parts` multiply to the elements of `whole`.
bool factors(const std::vector<int64_t>& parts, const std::vector<int64_t>& whole) {
  size_t at = 0;
  for (const int64_t extent : whole) {
    int64_t product = 1;
    while (at < parts.size() && product < extent) {
      if (__builtin_mul_overflow(product, parts[at++], &product)) return false;
    }
    if (product != extent) return false;
  }
  return std::all_of(parts.begin() + static_cast<std::ptrdiff_t>(at), parts.end(), [](int64_t e) { return e == 1; });
}

std::string shape_text(const std::vector<int64_t>& extents) {
  std::string text = "[";
  for (size_t i = 0; i < extents.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return text + "]";
}

}  // namespace

void WeightLoader::set_extent(const AxisInfo* axis, int64_t extent) {
  const std::string what = file_->path() + ": axis '" + std::string(axis->name) + "'";
  if (extent < 1) throw Error(what + ": extent " + std::to_string(extent) + " is not positive");
  if (axis->fixed_extent != kRunTimeExtent && axis->fixed_extent != extent) {
    throw Error(what + " has the fixed extent " + std::to_string(axis->fixed_extent) + ", but the file says " +
                std::to_string(extent));
  }
  extents_[axis] = extent;
}

std::shared_ptr<const Storage> WeightLoader::fit(const std::string& name, const AxisList& axes) {
  const GgufTensor* tensor = file_->find_tensor(name);
  if (tensor == nullptr) {
    problems_.push_back("tensor '" + name + "' is missing");
    return nullptr;
  }
  used_.insert(tensor->name);
  std::vector<int64_t> extents;
  std::string wanted;
  for (const AxisInfo* axis : axes) {
    const auto known = extents_.find(axis);
    if (known == extents_.end()) {
      throw Error("axis '" + std::string(axis->name) + "' of weight '" + name + "' was given no extent");
    }
    extents.push_back(known->second);
    wanted += (wanted.empty() ? "" : " x ") + std::string(axis->name) + " " + std::to_string(known->second);
  }
  if (!factors(extents, slow_to_fast(*tensor))) {
    problems_.push_back("tensor '" + name + "' is " + shape_text(slow_to_fast(*tensor)) + ", expected " + wanted);
    return nullptr;
  }
  for (const std::shared_ptr<const Storage>& known : fitted_) {
    if (known->name == name && known->extents == extents) return known;
  }
  auto storage = std::make_shared<Storage>();
  try {
    storage->format = file_->format(*tensor);
  } catch (const Error& error) {
    problems_.push_back(error.what());
    return nullptr;
  }
  if (!info(storage->format).is_float) {
    problems_.push_back("tensor '" + name + "' holds " + std::string(tensor->type_name) + ", not numbers to compute with");
    return nullptr;
  }
  storage->name = name;
  storage->extents = std::move(extents);
  // Storage is shared by writable tensors and read-only weights; nothing writes through a const one.
  storage->data = reinterpret_cast<std::byte*>(const_cast<uint8_t*>(tensor->data));
  storage->owner = file_;
  fitted_.push_back(storage);
  return storage;
}

std::vector<float> WeightLoader::vector(const std::string& name, int64_t count) {
  const GgufTensor* tensor = file_->find_tensor(name);
  if (tensor == nullptr) return {};
  used_.insert(tensor->name);
  if (slow_to_fast(*tensor) != std::vector<int64_t>{count}) {
    problems_.push_back("tensor '" + name + "' is " + shape_text(slow_to_fast(*tensor)) + ", expected [" +
                        std::to_string(count) + "]");
    return {};
  }
  const Format format = file_->format(*tensor);
  if (!info(format).is_float) {
    problems_.push_back("tensor '" + name + "' holds " + std::string(tensor->type_name) + ", not numbers to compute with");
    return {};
  }
  std::vector<float> values(static_cast<size_t>(count));
  decode_row(format, tensor->data, values.size(), values.data());
  return values;
}

void WeightLoader::finish() const {
  std::vector<std::string> problems = problems_;
  for (const GgufTensor& tensor : file_->tensors()) {
    if (!used_.contains(tensor.name)) {
      problems.push_back("tensor '" + std::string(tensor.name) + "' is not part of this architecture");
    }
  }
  if (problems.empty()) return;
  std::string text = file_->path() + ": the file does not fit the model:";
  for (const std::string& problem : problems) text += "\n  " + problem;
  throw Error(text);
}

}  // namespace weft
