#include "runtime/files/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "core/checksum.h"
#include "core/error.h"
#include "core/pages.h"
#include "core/utf8.h"
#include "runtime/files/foreign_quantization.h"
#include "runtime/files/ggml_type.h"
#include "runtime/files/gguf_split.h"
#include "runtime/files/json.h"
#include "runtime/files/model_family.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// Longer lists are not hyperparameters (tokenizers have them).
constexpr size_t kMaxList = 4096;
constexpr uint64_t kMaxConfig = uint64_t{16} << 20;  // bytes of a configuration file

// Nothing for what cannot be a hyperparameter: lists of lists, lists of both texts and numbers.
std::optional<ConfigValue> value_of(const GgufValue& value) {
  if (const auto flag = value.as_bool()) return *flag;
  if (const auto number = value.as_i64()) return *number;
  if (const auto number = value.as_f64()) return *number;
  if (const auto text = value.as_string()) return std::string(*text);
  if (value.type() != GgufType::array || value.count() > kMaxList) return std::nullopt;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  for (const GgufValue& element : value.elements()) {
    if (const auto text = element.as_string()) texts.emplace_back(*text);
    else if (const auto integer = element.as_i64()) numbers.push_back(static_cast<double>(*integer));
    else if (const auto number = element.as_f64()) numbers.push_back(*number);
    else if (const auto flag = element.as_bool()) numbers.push_back(*flag ? 1 : 0);
    else return std::nullopt;
  }
  return texts.empty() ? ConfigValue(std::move(numbers)) : ConfigValue(std::move(texts));
}

std::optional<ConfigValue> value_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) {
    // Beyond int64, an integer is treated as a number (some tokenizer lengths are written as 1e30).
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return value.get<double>();
    return value.get<int64_t>();
  }
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.size() > kMaxList) return std::nullopt;
  if (std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_number(); })) {
    return value.get<std::vector<double>>();
  }
  if (std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_boolean(); })) {
    std::vector<double> flags;
    for (const Json& flag : value) flags.push_back(flag.get<bool>() ? 1 : 0);
    return flags;
  }
  if (std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); })) {
    return value.get<std::vector<std::string>>();
  }
  return std::nullopt;
}

// Objects of config.json in which frameworks describe how they quantized the weights.
constexpr std::string_view kQuantizationKeys[] = {"quantization", "quantization_config", "compression_config"};

bool is_quantization_key(std::string_view key) {
  return std::find(std::begin(kQuantizationKeys), std::end(kQuantizationKeys), key) != std::end(kQuantizationKeys);
}

// Files beside config.json in which some tools do so, and the names of the tools.
constexpr std::pair<const char*, const char*> kQuantizationFiles[] = {
    {"quantize_config.json", "GPTQ"}, {"quant_config.json", "AWQ"}, {"hf_quant_config.json", "ModelOpt"}};

// `strict`: a value that no configuration may have is an error; otherwise it is left out.
void flatten(const Json& object, const std::string& prefix, const std::string& file, bool strict,
             std::map<std::string, ConfigValue, std::less<>>& out) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + key;
    if (value.is_null()) continue;
    if (value.is_object()) {
      flatten(value, name + ".", file, strict && !is_quantization_key(name), out);
      continue;
    }
    auto converted = value_of(value);
    if (!converted && !strict) continue;
    if (!converted) throw Error(file + ": key " + in_quotes(name) + ": is not a valid value in a configuration");
    if (!out.emplace(name, std::move(*converted)).second) {
      throw Error(file + ": key " + in_quotes(name) + " appears both with a dot and as an object's member");
    }
  }
}

bool holds_safetensors(const fs::path& directory) {
  return is_there(directory / "config.json") &&
         (is_there(directory / "model.safetensors") || is_there(directory / "model.safetensors.index.json"));
}

// A directory in which nothing can be read as a model.
void check_readable(const fs::path& directory) {
  if (!is_there(directory / "config.json")) {
    throw Error((directory / "config.json").string() +
                ": cannot open: No such file or directory; there is no GGUF file either: name a model");
  }
  if (holds_safetensors(directory)) return;
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth"}) {
    if (!is_there(directory / name)) continue;
    throw Error((directory / name).string() +
                ": belongs to a model of PyTorch's format, which is not read, and there is " +
                "no model.safetensors: save the model as safetensors (save_pretrained of Transformers)");
  }
}

// Of the first `header` bytes, and of a few samples of the others: files that were unpacked or copied may have the
// size, time and header of others.
uint64_t content_checksum(const MappedFile& file, size_t header) {
  constexpr size_t kSamples = 16, kSample = 1024;  // bytes each
  const auto bytes = std::as_bytes(file.bytes());
  std::vector<std::byte> sampled(sizeof(uint64_t));
  const uint64_t of_header = checksum(bytes.first(header));
  std::memcpy(sampled.data(), &of_header, sizeof of_header);
  const std::span<const std::byte> data = bytes.subspan(header);
  read_neighbours(data.data(), data.data() + data.size(), false);
  for (size_t i = 0; i < kSamples; ++i) {
    const auto sample = data.subspan(data.size() / kSamples * i).first(std::min(kSample, data.size() / kSamples));
    sampled.insert(sampled.end(), sample.begin(), sample.end());
  }
  read_neighbours(data.data(), data.data() + data.size(), true);
  file.drop(0, file.size());  // a sample may have brought a huge page into the process
  return checksum(sampled);
}

// The name of a shard is a plain file name: an index must not reach outside its directory.
void check_shard_name(const std::string& index, const std::string& name) {
  const fs::path path(name);
  if (name.empty() || path.has_parent_path() || name == "." || name == ".." || name.find('\0') != name.npos) {
    throw Error(index + ": " + in_quotes(name) + " is not the name of a file in this directory");
  }
}

}  // namespace

std::optional<double> as_number(const ConfigValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

std::shared_ptr<const Checkpoint> not_null(std::shared_ptr<const Checkpoint> checkpoint) {
  if (checkpoint == nullptr) throw Error("no checkpoint was given: the pointer is null; Checkpoint::open gives one");
  return checkpoint;
}

std::shared_ptr<const Checkpoint> Checkpoint::open(const fs::path& path, Purpose purpose) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->purpose_ = purpose;
  checkpoint->path_ = path.string();
  std::error_code error;
  const bool is_directory = fs::is_directory(path, error);
  const fs::path gguf = !is_directory ? path : holds_safetensors(path) ? fs::path() : gguf_in(path);
  if (is_directory && gguf.empty()) {
    check_readable(path);
    checkpoint->read_directory(path);
  } else if (path.extension() == ".safetensors") {
    checkpoint->read_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
  } else {
    checkpoint->gguf_.emplace(GgufFile::open(gguf));
    checkpoint->read_gguf();
  }
  checkpoint->sort_tensors();
  checkpoint->find_quantization();
  return checkpoint;
}

void Checkpoint::read_gguf() {
  config_path_ = gguf_->path();
  architecture_ = gguf_->get_string("general.architecture");
  gguf_prefix_ = architecture_ + ".";
  for (const GgufEntry& entry : gguf_->metadata()) {
    if (!entry.key.starts_with(gguf_prefix_)) continue;
    const std::string key(entry.key.substr(gguf_prefix_.size()));
    if (auto value = value_of(entry.value)) config_.emplace(key, std::move(*value));
    else gguf_->fail(entry.key, "is not a valid value in a configuration");
  }
  if (const ModelFamily* family = family_of_gguf(architecture_, config_)) {
    architecture_ = family->name;
    for (const auto& [key, value] : family->gguf_assumed) {
      if (!config_.contains(key)) assumed_.emplace(key, value);
    }
  }

  for (const GgufTensor& tensor : gguf_->tensors()) {
    const GgmlType* type = find_ggml_type(tensor.type);
    tensors_.push_back({.name = tensor.name,
                        .extents = {tensor.shape().rbegin(), tensor.shape().rend()},
                        .format = type == nullptr ? std::nullopt : type->format,
                        .type_name = tensor.type_name,
                        .data = reinterpret_cast<const std::byte*>(tensor.data),
                        .bytes = tensor.bytes,
                        .file = tensor.file});
  }
}

void Checkpoint::read_directory(const fs::path& directory) {
  directory_ = directory;
  read_config();
  open_shards();
}

void Checkpoint::read_config() {
  const fs::path path = directory_ / "config.json";
  config_path_ = path.string();
  Json json = read_json(path, kMaxConfig);
  if (!json.is_object()) throw Error(config_path_ + ": is not an object");
  for (const std::string_view key : kQuantizationKeys) {
    const Json* object = weft::find(json, key);
    if (object == nullptr || !object->is_object()) continue;
    if (auto what = stated_quantization(key, *object)) {
      if (!stated_) {
        const bool is_read = key == "quantization_config" && is_read_quantization(*object);
        stated_ = {config_path_ + ": key " + in_quotes(key), std::move(*what), is_read};
      }
    } else {
      json.erase(std::string(key));  // switched off
    }
  }
  flatten(json, "", config_path_, true, config_);
  const auto type = config_.find("model_type");
  const std::string* name = type == config_.end() ? nullptr : std::get_if<std::string>(&type->second);
  if (name == nullptr) throw Error(config_path_ + ": key 'model_type' is missing or not a string");
  architecture_ = *name;
  const ModelFamily* family = family_of_model_type(architecture_);
  if (family == nullptr) return;
  architecture_ = family->name;
  for (const auto& [key, value] : family->assumed) {
    if (!json.contains(key)) assumed_.emplace(key, value);
  }
}

void Checkpoint::open_shards() {
  std::set<std::string> names;
  const fs::path index = directory_ / "model.safetensors.index.json";
  std::error_code error;
  std::map<std::string, std::string> shard_of;
  if (fs::exists(index, error) && !fs::exists(directory_ / "model.safetensors", error)) {
    const Json json = read_json(index);
    const Json* map = weft::find(json, "weight_map");
    if (map == nullptr || !map->is_object())
      throw Error(index.string() + ": key 'weight_map' is missing or not an object");
    for (const auto& [tensor, shard] : map->items()) {
      if (!shard.is_string())
        throw Error(index.string() + ": tensor " + in_quotes(tensor) + ": is not mapped to a file name");
      check_shard_name(index.string(), shard.get<std::string>());
      names.insert(shard.get<std::string>());
      shard_of.emplace(tensor, shard.get<std::string>());
    }
    if (names.empty()) throw Error(index.string() + ": names no file");
  } else {
    names.insert("model.safetensors");
  }
  const bool indexed = !shard_of.empty();
  if (!indexed && !is_there(directory_ / "model.safetensors")) {
    // Quantized models often have other file names.
    if (const auto how = stated_ ? stated_ : stated_beside()) throw Error(how->text());
  }
  shards_.reserve(names.size());  // tensors refer to them
  for (const std::string& name : names) {
    shards_.push_back(SafetensorsFile::open(directory_ / name));
    for (const SafetensorsTensor& tensor : shards_.back().tensors()) {
      if (!indexed) break;
      const auto listed = shard_of.find(tensor.name);
      if (listed == shard_of.end() || listed->second != name) {
        throw Error(shards_.back().path() + ": tensor " + in_quotes(tensor.name) +
                    (listed == shard_of.end() ? " is not listed in " : " is listed for another file in ") +
                    index.string());
      }
      shard_of.erase(listed);
    }
    add(shards_.back());
  }
  if (!shard_of.empty()) {
    throw Error(index.string() + ": tensor " + in_quotes(shard_of.begin()->first) + " is not in " +
                in_quotes(shard_of.begin()->second));
  }
}

void Checkpoint::add(const SafetensorsFile& shard) {
  for (const SafetensorsTensor& tensor : shard.tensors()) {
    tensors_.push_back({.name = tensor.name,
                        .extents = tensor.extents,
                        .format = tensor.format,
                        .type_name = tensor.type_name,
                        .data = reinterpret_cast<const std::byte*>(tensor.data),
                        .bytes = tensor.bytes,
                        .file = &shard.file()});
  }
}

void Checkpoint::sort_tensors() {
  std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 1; i < tensors_.size(); ++i) {
    if (tensors_[i].name != tensors_[i - 1].name) continue;
    throw Error(tensors_[i].file->path() + ": tensor " + in_quotes(tensors_[i].name) + " is also in " +
                tensors_[i - 1].file->path());
  }
}

std::string Checkpoint::Quantization::text() const {
  return where + ": the weights are quantized by " + name() +
         ", which this build does not support; take the model in F32, F16 or BF16, or a GGUF file of it";
}

std::string Checkpoint::Quantization::name(const std::string& unknown) const {
  if (what.empty()) return unknown;
  return what.front() == '(' ? unknown + " " + what : what;
}

std::optional<Checkpoint::Quantization> Checkpoint::stated_beside() const {
  for (const auto& [file, tool] : kQuantizationFiles) {
    if (!is_there(directory_ / file)) continue;
    const auto what = stated_quantization("", read_json(directory_ / file, kMaxConfig));
    if (what) return Quantization{(directory_ / file).string(), Quantization{"", *what, false}.name(tool), false};
  }
  return std::nullopt;
}

void Checkpoint::find_quantization() {
  if (gguf_) {
    std::string_view first;
    std::set<std::string_view> types;
    for (const GgufTensor& tensor : gguf_->tensors()) {
      const GgmlType& type = *find_ggml_type(tensor.type);
      if (type.format || type.block_elements == 1) continue;
      if (types.empty()) first = tensor.name;
      types.insert(type.name);
    }
    if (types.empty()) return;
    std::string names;
    for (const std::string_view name : types) names += (names.empty() ? "" : ", ") + std::string(name);
    unsupported_ = path_ + ": tensor " + in_quotes(first) + ": the weights are quantized as " + names +
                   ", which this build does not read; `weft quantize --help` lists what it does";
    return;
  }
  const auto held = find_quantized_tensor(*this);
  if (stated_ && !held) {
    unsupported_ = stated_->where + ": says that the weights are quantized by " + stated_->name() +
                   ", but the tensors are plain floats; if they were dequantized, remove the key";
  } else if (stated_) {
    if (!stated_->is_read) unsupported_ = stated_->text();
  } else if (held && (!held->method.empty() || held->tensor->name.ends_with("weight"))) {
    const auto beside = stated_beside();
    const std::string where = held->tensor->file->path() + ": tensor " + in_quotes(held->tensor->name) + " (" +
                              std::string(held->tensor->type_name) + ")";
    unsupported_ = (beside ? *beside : Quantization{where, held->method, false}).text();
  }
}

size_t Checkpoint::bytes() const {
  size_t bytes = gguf_ ? gguf_->bytes() : 0;
  for (const SafetensorsFile& shard : shards_) bytes += shard.file().size();
  return bytes;
}

std::vector<SourceFile> Checkpoint::files() const {
  std::vector<const MappedFile*> all;
  if (gguf_) {
    for (const GgufPart& part : gguf_->parts()) all.push_back(part.file.get());
  }
  for (const SafetensorsFile& shard : shards_) all.push_back(&shard.file());
  std::vector<SourceFile> files;
  for (const MappedFile* file : all) {
    // A file without tensors is all header.
    size_t header = file->size();
    for (const CheckpointTensor& tensor : tensors_) {
      if (tensor.file != file || tensor.bytes == 0) continue;
      header = std::min(header, static_cast<size_t>(tensor.data - reinterpret_cast<const std::byte*>(file->data())));
    }
    files.push_back({file->path(), file->size(), file->changed(), content_checksum(*file, header)});
  }
  return files;
}

std::string Checkpoint::name() const {
  if (gguf_) return std::string(gguf_->get_string("general.name", ""));
  const auto given = config_.find("_name_or_path");
  const std::string* text = given == config_.end() ? nullptr : std::get_if<std::string>(&given->second);
  if (text != nullptr && !text->empty()) return *text;
  std::error_code error;
  return fs::weakly_canonical(directory_, error).filename().string();
}

void Checkpoint::fail(std::string_view key, std::string_view reason) const {
  if (gguf_) {
    const std::string full = gguf_prefix_ + std::string(key);
    if (gguf_->find(full) != nullptr) gguf_->fail(full, reason);
    throw Error(path_ + ": key " + in_quotes(full) + ": " + std::string(reason));
  }
  throw Error(config_path_ + ": key " + in_quotes(key) + ": " + std::string(reason));
}

const CheckpointTensor* Checkpoint::find(std::string_view tensor) const {
  const auto at = std::lower_bound(tensors_.begin(), tensors_.end(), tensor,
                                   [](const CheckpointTensor& t, std::string_view name) { return t.name < name; });
  return at != tensors_.end() && at->name == tensor ? &*at : nullptr;
}

bool Checkpoint::differ(std::string_view a, std::string_view b) const {
  const CheckpointTensor *one = find(a), *other = find(b);
  if (one == nullptr || other == nullptr) return false;
  return one->extents != other->extents || one->type_name != other->type_name || one->bytes != other->bytes ||
         std::memcmp(one->data, other->data, one->bytes) != 0;
}

}  // namespace weft
