#include "runtime/files/weight_loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/aligned_bytes.h"
#include "core/error.h"
#include "core/scattered_bytes.h"
#include "core/utf8.h"
#include "runtime/files/model_family.h"

namespace weft {
namespace {

using Form = StoredRows::Form;

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

bool are_contiguous(const std::vector<StoredRows>& parts) {
  return std::all_of(parts.begin(), parts.end(), [](const StoredRows& part) { return part.is_contiguous(); });
}

std::vector<DeclaredWeight::Slice> slices_of(const std::vector<StoredRows>& contiguous) {
  std::vector<DeclaredWeight::Slice> slices;
  for (const StoredRows& part : contiguous) {
    slices.push_back({part.tensor, part.first * part.columns, part.count() * part.columns});
  }
  return slices;
}

// The tensor's extents with the last two exchanged.
std::vector<int64_t> exchanged(std::vector<int64_t> extents) {
  if (extents.size() >= 2) std::swap(extents.back(), extents[extents.size() - 2]);
  return extents;
}

}  // namespace

WeightLoader::WeightLoader(std::shared_ptr<const Checkpoint> checkpoint)
    : checkpoint_(not_null(std::move(checkpoint))) {
  const ModelFamily* family = find_family(checkpoint_->architecture());
  const ModelFamily& declared = family == nullptr ? ModelFamily() : *family;
  const std::vector<CheckpointTensor>& tensors = checkpoint_->tensors();
  const auto begins_some = [&](const std::string& prefix) {
    const auto at = std::lower_bound(tensors.begin(), tensors.end(), prefix,
                                     [](const CheckpointTensor& t, const std::string& name) { return t.name < name; });
    return at != tensors.end() && at->name.starts_with(prefix);
  };
  for (const std::string_view prefix : declared.prefixes) {
    if (!prefix_.empty() || !begins_some(std::string(prefix))) continue;
    prefix_ = prefix;
  }
  for (const std::string_view prefix : declared.layer_prefixes) {
    const std::string whole = prefix_ + std::string(prefix);
    if (layer_prefix_.empty() || (!begins_some(layer_prefix_) && begins_some(whole))) layer_prefix_ = whole;
  }
}

TensorNames WeightLoader::layer(size_t layer) const {
  const std::string number = std::to_string(layer) + ".";
  return {checkpoint_->convention(), "blk." + number, layer_prefix_ + number};
}

bool WeightLoader::has(std::string_view tensor) const {
  return checkpoint_->find(tensor) != nullptr || checkpoint_->find(std::string(tensor) + "_blocks") != nullptr;
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

std::optional<WeightLoader::Found> WeightLoader::find(const std::string& name, bool transposed) {
  const CheckpointTensor *tensor = checkpoint_->find(name), *scales = nullptr;
  Found found;
  if (tensor != nullptr) {
    found.rows.form = transposed && tensor->extents.size() >= 2 ? Form::transposed : Form::plain;
    found.extents = found.rows.form == Form::transposed ? exchanged(tensor->extents) : tensor->extents;
  } else {
    tensor = checkpoint_->find(name + "_blocks"), scales = checkpoint_->find(name + "_scales");
    if (tensor == nullptr) return std::nullopt;
    used_.insert(tensor->name);
    if (scales != nullptr) used_.insert(scales->name);
    std::vector<int64_t> expected = tensor->extents;
    if (!expected.empty()) expected.pop_back();
    const bool fits = tensor->extents.size() >= 3 && tensor->extents.back() == 16 && tensor->type_name == "U8" &&
                      scales != nullptr && scales->extents == expected && scales->type_name == "U8";
    if (!fits) {
      problems_.push_back(
          "tensor '" + name + "_blocks' is " + shape_text(tensor->extents) + " of " + std::string(tensor->type_name) +
          ", and '" + name + "_scales' " +
          (scales == nullptr ? "is missing" : shape_text(scales->extents) + " of " + std::string(scales->type_name)) +
          ": MXFP4 has [..., blocks, 16] and [..., blocks] of U8");
      return std::nullopt;
    }
    found.rows.form = Form::mxfp4;
    found.extents = std::move(expected);
    found.extents.back() *= 32;
  }
  used_.insert(tensor->name);
  found.rows.tensor = tensor, found.rows.scales = scales;
  const size_t rank = found.extents.size();
  found.rows.columns = rank < 2 ? 1 : found.extents.back();
  found.rows.all = rank == 0 ? 1 : found.extents[rank < 2 ? 0 : rank - 2];
  for (size_t i = 0; i + 2 < rank; ++i) found.rows.matrices *= found.extents[i];
  found.rows.rows = found.rows.all;
  return found;
}

// F8_E4M3 with scales beside it.
void WeightLoader::find_block_scales(const std::string& name, Found& found) {
  const CheckpointTensor* scales = checkpoint_->find(name + "_scale_inv");
  if (scales == nullptr || found.rows.tensor->type_name != "F8_E4M3" || found.rows.form != Form::plain) return;
  used_.insert(scales->name);
  const auto stated = checkpoint_->config().find("quantization_config.weight_block_size");
  const auto* list =
      stated == checkpoint_->config().end() ? nullptr : std::get_if<std::vector<double>>(&stated->second);
  const std::vector<double> block = list == nullptr ? std::vector<double>() : *list;
  if (block.size() != 2 || !(block[0] >= 1 && block[1] >= 1 && block[0] <= 1 << 20 && block[1] <= 1 << 20)) {
    problems_.push_back(
        "tensor '" + std::string(scales->name) +
        "' has scales of blocks, but quantization_config.weight_block_size does not say how large they are");
    return;
  }
  found.rows.block_rows = static_cast<int64_t>(block[0]), found.rows.block_columns = static_cast<int64_t>(block[1]);
  std::vector<int64_t> expected = found.extents;
  for (size_t i = expected.size() < 2 ? expected.size() : expected.size() - 2, k = 0; i < expected.size(); ++i, ++k) {
    expected[i] = (expected[i] + static_cast<int64_t>(block[k]) - 1) / static_cast<int64_t>(block[k]);
  }
  if (expected.size() < 2 || scales->extents != expected || !scales->format || !info(*scales->format).is_float) {
    problems_.push_back("tensor '" + std::string(scales->name) + "' is " + shape_text(scales->extents) + " of " +
                        std::string(scales->type_name) + ", expected " + shape_text(expected) +
                        " floats: one for each block of " + std::to_string(found.rows.block_rows) + " x " +
                        std::to_string(found.rows.block_columns));
    return;
  }
  found.rows.form = Form::f8_e4m3;
  found.rows.scales = scales;
}

std::optional<WeightLoader::Found> WeightLoader::use(const std::string& name, const std::vector<int64_t>& extents,
                                                     const AxisList& axes, const WeightOptions& options) {
  const size_t problems = problems_.size();
  auto found = find(name, options.transposed && checkpoint_->convention() == Convention::hugging_face);
  if (!found) {
    if (problems_.size() == problems) problems_.push_back("tensor '" + name + "' is missing");
    return std::nullopt;
  }
  const CheckpointTensor& tensor = *found->rows.tensor;
  const bool transposed = found->rows.form == Form::transposed;
  if (!factors(extents, found->extents)) {
    problems_.push_back("tensor '" + name + "' is " +
                        shape_text(transposed || found->rows.scales == nullptr ? tensor.extents : found->extents) +
                        ", expected " + shape_text(extents, axes) + (transposed ? ", transposed" : ""));
    return std::nullopt;
  }
  if (found->rows.form == Form::mxfp4) return found;
  find_block_scales(name, *found);
  if (problems_.size() != problems) return std::nullopt;
  if (found->rows.form == Form::f8_e4m3) return found;
  const bool is_float = tensor.format && info(*tensor.format).is_float;
  if (is_float && (!transposed || info(*tensor.format).block_elements == 1)) return found;
  problems_.push_back("tensor '" + name + "' holds " + std::string(tensor.type_name) +
                      (transposed                      ? ": a transposed matrix is read in F32, F16 and BF16 alone"
                       : tensor.type_name == "F8_E4M3" ? ", but there are no scales '" + name + "_scale_inv'"
                                                       : ", a type that this build does not compute with"));
  return std::nullopt;
}

std::shared_ptr<const Storage> WeightLoader::fit(const TensorName& name, const AxisList& axes,
                                                 const WeightOptions& options) {
  std::vector<int64_t> extents = extents_of(axes, name);
  const auto found = use(name, extents, axes, options);
  if (!found) return nullptr;
  for (const std::shared_ptr<const Storage>& known : fitted_) {
    if (known->name == name.here() && known->extents == extents) return known;
  }
  auto storage = assemble(name, std::move(extents), {found->rows}, options);
  if (storage != nullptr) declare(name, found->extents, {found->rows}, options);
  return storage;
}

void WeightLoader::load_parts(const TensorName& fused, const std::vector<Part>& parts, bool fused_in_gguf) {
  // Stacked: rows have the same length, so only the number of elements differs.
  std::vector<std::vector<int64_t>> extents;
  int64_t rows = 0, row = 0;
  for (const Part& part : parts) {
    extents.push_back(extents_of(part.axes, part.tensor));
    row = part.axes.size() > 1 ? extents.back().back() : 1;
    rows += product(extents.back()) / row;
  }
  const bool is_vector = parts.front().axes.size() == 1 || row == 1;
  const std::vector<int64_t> together = is_vector ? std::vector<int64_t>{rows} : std::vector<int64_t>{rows, row};
  std::optional<Found> whole;
  const bool is_fused = has(fused);
  if (is_fused && !(whole = use(fused, together, {}, parts.front().options))) return;

  std::vector<StoredRows> all;
  std::vector<int64_t> stacked;  // extents of all parts below each other
  int64_t first = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    std::optional<Found> own = is_fused ? whole : use(part.tensor, extents[i], part.axes, part.options);
    if (!own) continue;
    if (is_fused) {
      own->rows.first = first;
      own->rows.rows = product(extents[i]) / own->rows.columns;
      first += own->rows.rows;
      own->extents.front() = own->rows.rows * own->rows.columns / (product(own->extents) / own->extents.front());
    }
    auto storage = assemble(part.tensor, extents[i], {own->rows}, part.options);
    if (storage == nullptr) continue;
    all.push_back(own->rows);
    if (stacked.empty()) stacked = own->extents;
    else stacked.front() += own->extents.front();
    if (!fused_in_gguf) declare(part.tensor, own->extents, {own->rows}, part.options);
    part.set(std::move(storage));
  }
  if (fused_in_gguf && all.size() == parts.size()) declare(fused, std::move(stacked), all, {});
}

std::shared_ptr<const Storage> WeightLoader::fit_stack(const Stack& stack, const AxisList& axes) {
  std::vector<int64_t> extents = extents_of(axes, stack.whole);
  const AxisList inner(axes.begin() + 1, axes.end());
  const std::vector<int64_t> inner_extents(extents.begin() + 1, extents.end());
  const int64_t experts = extents[0];
  std::vector<StoredRows> parts;
  if (!stack.fused.here().empty() && has(stack.fused)) {
    std::vector<int64_t> all = extents;
    all[1] *= stack.shares;
    const auto found = use(stack.fused, all, axes, stack.options);
    if (!found) return nullptr;
    StoredRows rows = found->rows;
    if (rows.form != Form::plain && rows.matrices != experts) {
      problems_.push_back("tensor '" + std::string(rows.tensor->name) + "' has no dimension of " +
                          std::to_string(experts) + " matrices");
      return nullptr;
    }
    const int64_t elements = rows.matrices * rows.all * rows.columns;
    if (rows.form == Form::plain) rows.columns = inner.size() > 1 ? extents.back() : 1;
    rows.matrices = experts;
    rows.all = elements / experts / rows.columns;
    rows.rows = rows.all / stack.shares;
    rows.step = stack.alternate ? stack.shares : 1;
    rows.first = stack.alternate ? stack.share : stack.share * rows.rows;
    if (rows.form == Form::plain && rows.step == 1) {  // an expert at a time, each contiguous
      const int64_t all_rows = rows.all, own_first = rows.first;
      rows.matrices = 1, rows.all *= experts;
      for (int64_t e = 0; e < experts; ++e) {
        rows.first = e * all_rows + own_first;
        parts.push_back(rows);
      }
    } else {
      parts.push_back(rows);
    }
  } else if (has(stack.whole) || !stack.each || !has(stack.each(0))) {
    return fit(stack.whole, axes, stack.options);
  } else if (static_cast<size_t>(experts) > checkpoint_->tensors().size()) {
    problems_.push_back("tensor '" + stack.each(0).here() + "' is not one of " + std::to_string(experts));
    return nullptr;
  } else {
    for (int64_t e = 0; e < experts; ++e) {
      const auto found = use(stack.each(e), inner_extents, inner, stack.options);
      if (found) parts.push_back(found->rows);
    }
    if (parts.size() != static_cast<size_t>(experts)) return nullptr;
  }
  auto storage = assemble(stack.whole, extents, parts, stack.options);
  if (storage != nullptr) declare(stack.whole, extents, parts, stack.options);
  return storage;
}

std::shared_ptr<const Storage> WeightLoader::scale_of(const std::string& weight, const std::vector<int64_t>& extents,
                                                      const std::vector<StoredRows>& parts) {
  constexpr std::string_view kWeight = ".weight";
  if (checkpoint_->convention() != Convention::gguf) return nullptr;
  const bool one_tensor = std::all_of(parts.begin(), parts.end(),
                                      [&](const StoredRows& part) { return part.tensor == parts.front().tensor; });
  std::vector<float> scales;
  bool any = false;
  for (size_t i = 0; i < (one_tensor ? 1 : parts.size()); ++i) {
    const CheckpointTensor& tensor = *parts[i].tensor;
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

std::optional<Format> WeightLoader::common_format(const TensorName& name, const std::vector<StoredRows>& parts) {
  Format format = read_format(parts.front());
  const bool converts = checkpoint_->purpose() == Checkpoint::Purpose::convert;
  for (const StoredRows& part : parts) {
    const CheckpointTensor &tensor = *part.tensor, &first = *parts.front().tensor;
    const Format own = read_format(part);
    const bool both_f8 = part.form == Form::f8_e4m3 && parts.front().form == Form::f8_e4m3;
    // A converter brings plain tensors to one format.
    if (own != format && !both_f8 && (!converts || part.form != Form::plain || parts.front().form != Form::plain)) {
      problems_.push_back("tensor '" + std::string(tensor.name) + "' holds " + std::string(tensor.type_name) +
                          ", but '" + std::string(first.name) + "' " + std::string(first.type_name));
      return std::nullopt;
    }
    if (both_f8 && own != format) format = Format::f32;
    const int64_t block = info(own).block_elements;
    const bool is_whole = part.is_contiguous()
                              ? part.first * part.columns % block == 0 && part.count() * part.columns % block == 0
                              : part.columns % block == 0;
    if (!is_whole) {
      problems_.push_back("weight '" + name.here() + "' cuts a block of tensor '" + std::string(tensor.name) + "' (" +
                          std::string(tensor.type_name) + ")");
      return std::nullopt;
    }
  }
  return format;
}

void WeightLoader::refer(Storage& storage, const std::vector<Slice>& slices, const WeightOptions& options) {
  const Format format = storage.format;
  const auto data_of = [&](const Slice& slice) {
    return slice.tensor->data + row_bytes(format, static_cast<size_t>(slice.first));
  };
  const auto bytes_of = [&](const Slice& slice) { return row_bytes(format, static_cast<size_t>(slice.count)); };
  if (options.offset != 0 && checkpoint_->convention() == Convention::hugging_face) {
    storage.format = Format::f32;
    const auto copy = std::make_shared<AlignedBytes>(storage.bytes());
    auto* to = reinterpret_cast<float*>(copy->data());
    for (const Slice& slice : slices) {
      decode_row(format, data_of(slice), static_cast<size_t>(slice.count), to);
      std::for_each(to, to + slice.count, [&](float& x) { x += options.offset; });
      to += slice.count;
    }
    storage.data = copy->data();
    storage.owner = copy;
    return;
  }
  storage.owner = checkpoint_;
  storage.source = checkpoint_;
  bool in_place = is_aligned(data_of(slices.front()), format);
  for (size_t i = 1; i < slices.size(); ++i) {
    in_place = in_place && data_of(slices[i]) == data_of(slices[i - 1]) + bytes_of(slices[i - 1]);
  }
  if (in_place) {
    // Storage is shared by writable tensors and read-only weights; nothing writes through a const one.
    storage.data = const_cast<std::byte*>(data_of(slices.front()));
    storage.is_mapped = true;
  } else {
    std::vector<std::span<const std::byte>> pieces;
    for (const Slice& slice : slices) pieces.emplace_back(data_of(slice), bytes_of(slice));
    storage.pieces = std::make_shared<ScatteredBytes>(std::move(pieces));
  }
}

std::shared_ptr<const Storage> WeightLoader::assemble(const TensorName& name, std::vector<int64_t> extents,
                                                      const std::vector<StoredRows>& parts,
                                                      const WeightOptions& options) {
  const auto format = common_format(name, parts);
  if (!format) return nullptr;
  auto storage = std::make_shared<Storage>();
  storage->name = name.here();
  storage->format = *format;
  storage->scale = scale_of(name.here(), extents, parts);
  storage->extents = std::move(extents);
  fitted_.push_back(storage);
  const bool is_arranged = !are_contiguous(parts);
  if (is_arranged && options.offset != 0) throw Error("weight '" + name.here() + "' is rearranged: it has no offset");
  // Without computation, knowing what the weight is made of is enough.
  if (checkpoint_->purpose() == Checkpoint::Purpose::convert) return storage;
  if (is_arranged) {
    storage->pieces = std::make_shared<ArrangedBytes>(parts, *format);
    storage->owner = checkpoint_;
    storage->source = checkpoint_;
  } else {
    refer(*storage, slices_of(parts), options);
  }
  return storage;
}

void WeightLoader::declare(const TensorName& name, std::vector<int64_t> extents, const std::vector<StoredRows>& parts,
                           const WeightOptions& options) {
  const auto format = common_format(name, parts);
  if (!format) return;
  DeclaredWeight declared;
  declared.name = name.gguf();
  declared.extents = std::move(extents);
  declared.format = *format;
  declared.converted = *format;
  for (const StoredRows& part : parts) {
    if (part.form == Form::f8_e4m3) declared.converted = Format::bf16;
    else if (read_format(part) != *format) declared.converted = Format::f32;
  }
  if (are_contiguous(parts)) declared.slices = slices_of(parts);
  else declared.arranged = std::make_shared<ArrangedBytes>(parts, *format);
  declared.rotated_rows = options.rotated_rows;
  declared.offset = options.offset;
  declared_.push_back(std::move(declared));
}

std::vector<float> WeightLoader::vector(const std::string& name, int64_t count) {
  if (!has(name)) return {};
  const auto found = use(name, {count}, {});
  if (!found) return {};
  std::vector<float> values(static_cast<size_t>(count));
  decode_row(*found->rows.tensor->format, found->rows.tensor->data, values.size(), values.data());
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
