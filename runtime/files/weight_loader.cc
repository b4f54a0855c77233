#include "runtime/files/weight_loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/aligned_bytes.h"
#include "core/error.h"
#include "core/scattered_bytes.h"
#include "core/utf8.h"

namespace weft {
namespace {

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

// "kv_head 2 x head_dim 64"; leading extents without an axis are shown as plain numbers.
std::string shape_text(const std::vector<int64_t>& extents, const AxisList& axes) {
  std::string text;
  for (size_t i = 0; i < extents.size(); ++i) {
    const size_t without = extents.size() - axes.size();
    text += (i == 0 ? "" : " x ") + (i < without ? "" : std::string(axes[i - without]->name) + " ") +
            std::to_string(extents[i]);
  }
  return text;
}

int64_t product(const std::vector<int64_t>& extents) {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<>());
}

// Kernels need aligned addresses for f32 and 16-bit elements; blocks may be anywhere.
bool is_aligned(const std::byte* data, Format format) {
  const size_t unit = info(format).block_elements == 1 ? info(format).block_bytes : sizeof(uint16_t);
  return reinterpret_cast<uintptr_t>(data) % unit == 0;
}

}  // namespace

TensorNames WeightLoader::layer(size_t layer) const {
  const std::string number = std::to_string(layer) + ".";
  return {checkpoint_->convention(), "blk." + number, "model.layers." + number};
}

void WeightLoader::set_extent(const AxisInfo* axis, int64_t extent) {
  const std::string what = checkpoint_->path() + ": axis '" + std::string(axis->name) + "'";
  if (extent < 1) throw Error(what + ": extent " + std::to_string(extent) + " is not positive");
  if (axis->fixed_extent != kRunTimeExtent && axis->fixed_extent != extent) {
    throw Error(what + " has the fixed extent " + std::to_string(axis->fixed_extent) + ", but the file says " +
                std::to_string(extent));
  }
  extents_[axis] = extent;
}

int64_t WeightLoader::rows(std::string_view name) const {
  const CheckpointTensor* tensor = checkpoint_->find(name);
  if (tensor == nullptr) throw Error(checkpoint_->path() + ": tensor " + in_quotes(name) + " is missing");
  if (tensor->bytes == 0) throw Error(checkpoint_->path() + ": tensor " + in_quotes(name) + " has no elements");
  if (tensor->extents.size() == 2) return tensor->extents[0];
  throw Error(checkpoint_->path() + ": tensor " + in_quotes(name) + " has " + std::to_string(tensor->extents.size()) +
              " dimensions, expected 2");
}

TensorName WeightLoader::first_of(std::initializer_list<TensorName> tensors) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [this](const TensorName& name) { return has(name); });
  return found == tensors.end() ? *tensors.begin() : *found;
}

void WeightLoader::ignore(std::string_view name) {
  if (const CheckpointTensor* tensor = checkpoint_->find(name)) used_.insert(tensor->name);
}

std::vector<int64_t> WeightLoader::extents_of(const AxisList& axes, const std::string& name) const {
  std::vector<int64_t> extents;
  for (const AxisInfo* axis : axes) {
    const auto known = extents_.find(axis);
    if (known == extents_.end()) {
      throw Error("axis '" + std::string(axis->name) + "' of weight '" + name + "' was given no extent");
    }
    extents.push_back(known->second);
  }
  return extents;
}

const CheckpointTensor* WeightLoader::use(const std::string& name, const std::vector<int64_t>& extents,
                                          const AxisList& axes) {
  const CheckpointTensor* tensor = checkpoint_->find(name);
  if (tensor == nullptr) {
    problems_.push_back("tensor '" + name + "' is missing");
    return nullptr;
  }
  used_.insert(tensor->name);
  if (!factors(extents, tensor->extents)) {
    problems_.push_back("tensor '" + name + "' is " + shape_text(tensor->extents) + ", expected " +
                        shape_text(extents, axes));
    return nullptr;
  }
  if (!tensor->format || !info(*tensor->format).is_float) {
    problems_.push_back("tensor '" + name + "' holds " + std::string(tensor->type_name) +
                        ", a type that this build does not compute with");
    return nullptr;
  }
  return tensor;
}

std::shared_ptr<const Storage> WeightLoader::fit(const TensorName& name, const AxisList& axes,
                                                 const WeightOptions& options) {
  std::vector<int64_t> extents = extents_of(axes, name);
  const CheckpointTensor* tensor = use(name, extents, axes);
  if (tensor == nullptr) return nullptr;
  for (const std::shared_ptr<const Storage>& known : fitted_) {
    if (known->name == name.here() && known->extents == extents) return known;
  }
  const int64_t count = product(extents);
  return assemble(name, std::move(extents), tensor->extents, {{tensor, 0, count}}, options);
}

void WeightLoader::load_parts(const TensorName& fused, const std::vector<Part>& parts) {
  if (!has(fused)) {
    for (const Part& part : parts) {
      if (auto storage = fit(part.tensor, part.axes, part.options)) part.set(std::move(storage));
    }
    return;
  }
  // Stacked: rows have the same length, so only the number of elements differs.
  std::vector<std::vector<int64_t>> extents;
  int64_t rows = 0, row = 0;
  for (const Part& part : parts) {
    extents.push_back(extents_of(part.axes, part.tensor));
    row = part.axes.size() > 1 ? extents.back().back() : 1;
    rows += product(extents.back()) / row;
  }
  const bool is_vector = parts.front().axes.size() == 1 || row == 1;
  const CheckpointTensor* tensor =
      use(fused, is_vector ? std::vector<int64_t>{rows} : std::vector<int64_t>{rows, row}, {});
  if (tensor == nullptr) return;
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t count = product(extents[i]);
    std::vector<int64_t> stored = tensor->extents;
    stored.front() = count / (product(stored) / stored.front());
    auto storage = assemble(parts[i].tensor, extents[i], std::move(stored), {{tensor, first, count}}, parts[i].options);
    if (storage != nullptr) parts[i].set(std::move(storage));
    first += count;
  }
}

std::shared_ptr<const Storage> WeightLoader::fit_stack(const Stack& stack, const AxisList& axes) {
  std::vector<int64_t> extents = extents_of(axes, stack.whole);
  const AxisList inner(axes.begin() + 1, axes.end());
  const std::vector<int64_t> inner_extents(extents.begin() + 1, extents.end());
  const int64_t experts = extents[0], own = product(inner_extents);
  std::vector<Slice> slices;
  std::vector<int64_t> stored = extents;
  if (!stack.fused.here().empty() && has(stack.fused)) {
    std::vector<int64_t> all = extents;
    all[1] *= stack.shares;
    const CheckpointTensor* tensor = use(stack.fused, all, axes);
    if (tensor == nullptr) return nullptr;
    for (int64_t e = 0; e < experts; ++e) slices.push_back({tensor, (e * stack.shares + stack.share) * own, own});
  } else if (has(stack.whole) || !has(stack.each(0))) {
    return fit(stack.whole, axes);
  } else if (static_cast<size_t>(experts) > checkpoint_->tensors().size()) {
    problems_.push_back("tensor '" + stack.each(0).here() + "' is not one of " + std::to_string(experts));
    return nullptr;
  } else {
    for (int64_t e = 0; e < experts; ++e) {
      const CheckpointTensor* tensor = use(stack.each(e), inner_extents, inner);
      if (tensor == nullptr) continue;
      slices.push_back({tensor, 0, own});
      // A converter brings them to one format.
      if (tensor->format != slices.front().tensor->format && checkpoint_->purpose() == Checkpoint::Purpose::compute) {
        problems_.push_back("tensor '" + std::string(tensor->name) + "' holds " + std::string(tensor->type_name) +
                            ", but '" + std::string(slices.front().tensor->name) + "' " +
                            std::string(slices.front().tensor->type_name));
      }
    }
    if (slices.size() != static_cast<size_t>(experts)) return nullptr;
  }
  return assemble(stack.whole, std::move(extents), std::move(stored), std::move(slices));
}

std::shared_ptr<const Storage> WeightLoader::scale_of(const std::string& weight, const std::vector<int64_t>& extents,
                                                      const std::vector<Slice>& slices) {
  constexpr std::string_view kWeight = ".weight";
  if (checkpoint_->convention() != Convention::gguf) return nullptr;
  const bool one_tensor = std::all_of(slices.begin(), slices.end(),
                                      [&](const Slice& slice) { return slice.tensor == slices.front().tensor; });
  std::vector<float> scales;
  bool any = false;
  for (size_t i = 0; i < (one_tensor ? 1 : slices.size()); ++i) {
    const CheckpointTensor& tensor = *slices[i].tensor;
    scales.push_back(1);
    if (!tensor.name.ends_with(kWeight)) continue;
    const std::string stem(tensor.name.substr(0, tensor.name.size() - kWeight.size()));
    ignore(stem + ".input_scale");  // of activations, where they are quantized like the weight
    const CheckpointTensor* scale = checkpoint_->find(stem + ".scale");
    if (scale == nullptr) continue;
    used_.insert(scale->name);
    const int64_t count = product(scale->extents);
    const bool of_each = one_tensor && count == extents[0] && count == tensor.extents[0];
    if (scale->format != Format::f32 || (count != 1 && !of_each)) {
      problems_.push_back("tensor '" + std::string(scale->name) + "' is " + shape_text(scale->extents) + " of " +
                          std::string(scale->type_name) + ", expected F32, one number" +
                          (one_tensor && extents.size() > 2 ? " or " + std::to_string(extents[0]) : ""));
      continue;
    }
    any = true;
    scales.resize(scales.size() - 1 + static_cast<size_t>(count));
    std::memcpy(scales.data() + (scales.size() - static_cast<size_t>(count)), scale->data,
                static_cast<size_t>(count) * sizeof(float));
  }
  if (!any) return nullptr;
  auto storage = std::make_shared<Storage>();
  storage->name = weight + ".scale";
  storage->format = Format::f32;
  if (scales.size() > 1) storage->extents = {static_cast<int64_t>(scales.size())};
  const auto copy = std::make_shared<AlignedBytes>(storage->bytes());
  std::memcpy(copy->data(), scales.data(), storage->bytes());
  storage->data = copy->data();
  storage->owner = copy;
  return storage;
}

std::shared_ptr<const Storage> WeightLoader::assemble(const TensorName& name, std::vector<int64_t> extents,
                                                      std::vector<int64_t> stored, std::vector<Slice> slices,
                                                      const WeightOptions& options) {
  const bool shifts = options.offset != 0 && checkpoint_->convention() == Convention::hugging_face;
  const Format format = *slices.front().tensor->format;
  const int64_t block = info(format).block_elements;
  const auto data_of = [&](const Slice& slice) {
    return slice.tensor->data + row_bytes(format, static_cast<size_t>(slice.first));
  };
  const auto bytes_of = [&](const Slice& slice) { return row_bytes(format, static_cast<size_t>(slice.count)); };
  bool in_place = is_aligned(data_of(slices.front()), format);
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].first % block != 0 || slices[i].count % block != 0) {
      problems_.push_back("weight '" + name.here() + "' cuts a block of tensor '" +
                          std::string(slices[i].tensor->name) + "' (" + std::string(slices[i].tensor->type_name) + ")");
      return nullptr;
    }
    if (slices[i].tensor->format != format) {
      if (checkpoint_->purpose() == Checkpoint::Purpose::compute) return nullptr;  // noted
      in_place = false;
    }
    in_place = in_place && (i == 0 || data_of(slices[i]) == data_of(slices[i - 1]) + bytes_of(slices[i - 1]));
  }

  auto storage = std::make_shared<Storage>();
  storage->name = name.here();
  storage->format = format;
  storage->scale = scale_of(name.here(), extents, slices);
  storage->extents = std::move(extents);
  if (checkpoint_->purpose() == Checkpoint::Purpose::convert) {
    // Without computation, knowing what the weight is made of is enough.
  } else if (shifts) {
    storage->format = Format::f32;
    const auto copy = std::make_shared<AlignedBytes>(storage->bytes());
    auto* to = reinterpret_cast<float*>(copy->data());
    for (const Slice& slice : slices) {
      decode_row(format, data_of(slice), static_cast<size_t>(slice.count), to);
      std::for_each(to, to + slice.count, [&](float& x) { x += options.offset; });
      to += slice.count;
    }
    storage->data = copy->data();
    storage->owner = copy;
  } else if (in_place) {
    // Storage is shared by writable tensors and read-only weights; nothing writes through a const one.
    storage->data = const_cast<std::byte*>(data_of(slices.front()));
    storage->owner = checkpoint_;
    storage->source = checkpoint_;
    storage->is_mapped = true;
  } else {
    std::vector<std::span<const std::byte>> pieces;
    for (const Slice& slice : slices) pieces.emplace_back(data_of(slice), bytes_of(slice));
    storage->pieces = std::make_shared<ScatteredBytes>(std::move(pieces));
    storage->owner = checkpoint_;
    storage->source = checkpoint_;
  }
  declared_.push_back({.name = name.gguf(),
                       .extents = std::move(stored),
                       .slices = std::move(slices),
                       .rotated_rows = options.rotated_rows,
                       .offset = options.offset});
  fitted_.push_back(storage);
  return storage;
}

std::vector<float> WeightLoader::vector(const std::string& name, int64_t count) {
  if (!has(name)) return {};
  const CheckpointTensor* tensor = use(name, {count}, {});
  if (tensor == nullptr) return {};
  std::vector<float> values(static_cast<size_t>(count));
  decode_row(*tensor->format, tensor->data, values.size(), values.data());
  return values;
}

void WeightLoader::finish() const {
  std::vector<std::string> problems = problems_;
  for (const CheckpointTensor& tensor : checkpoint_->tensors()) {
    if (!used_.contains(tensor.name) && tensor.bytes != 0) {
      problems.push_back("tensor " + in_quotes(tensor.name) + " is not part of this architecture");
    }
  }
  if (problems.empty()) return;
  const bool converts = checkpoint_->purpose() == Checkpoint::Purpose::convert;
  std::string text = checkpoint_->path() + (converts ? ": cannot be converted:" : ": the file does not fit the model:");
  for (const std::string& problem : problems) text += "\n  " + problem;
  throw Error(text);
}

}  // namespace weft
