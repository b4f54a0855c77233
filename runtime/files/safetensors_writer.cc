#include "runtime/files/safetensors_writer.h"

#include <set>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/utf8.h"
#include "runtime/files/json.h"

namespace weft {
namespace {

const char* type_name(Format format) {
  switch (format) {
    case Format::f32: return "F32";
    case Format::f16: return "F16";
    case Format::bf16: return "BF16";
    case Format::i32: return "I32";
    case Format::bool8: return "BOOL";
    default: return nullptr;
  }
}

// The format requires UTF-8; names that come from other files may be anything.
std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<Tensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path.string()), tensors_(std::move(tensors)) {
  // Assembled by hand: an object of the JSON library would sort the names.
  std::string header = "{\"__metadata__\":" + dumped(Json(metadata));
  std::set<std::string> names = {"\"__metadata__\""};
  std::vector<uint64_t> ends = {0};
  for (const Tensor& tensor : tensors_) {
    const auto refuse = [&](const std::string& why) {
      throw Error(path_ + ": tensor " + in_quotes(tensor.name) + ": " + why);
    };
    const std::string key = dumped(tensor.name);
    if (!names.insert(key).second) refuse("the name occurs twice");
    const char* type = type_name(tensor.format);
    if (type == nullptr) refuse("safetensors files hold no " + std::string(name(tensor.format)));
    uint64_t bytes = info(tensor.format).block_bytes, end = 0;
    for (const int64_t extent : tensor.extents) {
      if (extent < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) {
        refuse("the extents overflow");
      }
    }
    if (__builtin_add_overflow(ends.back(), bytes, &end) || end > uint64_t{INT64_MAX} / 2) {
      refuse("the file would be too large");
    }
    header +=
        "," + key + ":" + dumped({{"dtype", type}, {"shape", tensor.extents}, {"data_offsets", {ends.back(), end}}});
    ends.push_back(end);
    missing_.push_back(bytes);
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // data begin at a multiple of 8
  const uint64_t length = header.size();
  for (const uint64_t end : ends) begin_.push_back(sizeof length + length + end);

  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(path_ + ": is not a regular file");  // bytes come in any order
  }
  file_.emplace(path);
  file_->write(&length, sizeof length);
  file_->write(header.data(), header.size());
}

void SafetensorsWriter::write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
  const uint64_t begin = begin_.at(tensor), size = begin_.at(tensor + 1) - begin;
  if (offset > size || bytes.size() > size - offset || bytes.size() > missing_[tensor]) {
    throw Error(path_ + ": tensor " + in_quotes(tensors_[tensor].name) + " has " + std::to_string(size) +
                " bytes; more were to be written");
  }
  file_->write_at(begin + offset, bytes.data(), bytes.size());
  missing_[tensor] -= bytes.size();
}

void SafetensorsWriter::finish() {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (missing_[i] == 0) continue;
    throw Error(path_ + ": tensor " + in_quotes(tensors_[i].name) + " lacks " + std::to_string(missing_[i]) + " bytes");
  }
  file_->finish();
}

}  // namespace weft
