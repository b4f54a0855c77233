#include "runtime/files/arranged_bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/pages.h"

namespace weft {
namespace {

using Form = StoredRows::Form;

constexpr int64_t kMxfp4Block = 32;

// The tensor's row that is row `row` of those wanted.
int64_t stored_row(const StoredRows& rows, int64_t row) {
  return row / rows.rows * rows.all + rows.first + row % rows.rows * rows.step;
}

// out[row][column] = in[column * all + row * step]. In tiles, which stay in the nearest cache.
template <class T>
void transpose(const StoredRows& rows, const std::byte* in, int64_t count, T* out) {
  constexpr int64_t kTile = 32;
  const auto at = [&](int64_t row, int64_t column) {
    T element;  // at any address
    std::memcpy(&element, in + static_cast<size_t>(column * rows.all + row * rows.step) * sizeof(T), sizeof(T));
    return element;
  };
  for (int64_t r = 0; r < count; r += kTile) {
    for (int64_t c = 0; c < rows.columns; c += kTile) {
      for (int64_t row = r; row < std::min(r + kTile, count); ++row) {
        for (int64_t column = c; column < std::min(c + kTile, rows.columns); ++column) {
          out[row * rows.columns + column] = at(row, column);
        }
      }
    }
  }
}

void read_transposed(const StoredRows& rows, int64_t first, int64_t count, std::byte* to) {
  const size_t element = info(*rows.tensor->format).block_bytes;
  while (count > 0) {  // the rows of one matrix
    const int64_t matrix = first / rows.rows, in_matrix = first % rows.rows,
                  now = std::min(count, rows.rows - in_matrix);
    const int64_t begin = matrix * rows.all * rows.columns + rows.first + in_matrix * rows.step;
    const std::byte* from = rows.tensor->data + static_cast<size_t>(begin) * element;
    if (element == sizeof(uint16_t)) transpose(rows, from, now, reinterpret_cast<uint16_t*>(to));
    else transpose(rows, from, now, reinterpret_cast<uint32_t*>(to));
    to += static_cast<size_t>(now * rows.columns) * element;
    first += now, count -= now;
  }
}

void read_plain(const StoredRows& rows, int64_t first, int64_t count, std::byte* to) {
  const size_t bytes = row_bytes(*rows.tensor->format, static_cast<size_t>(rows.columns));
  for (int64_t row = first; row < first + count; ++row, to += bytes) {
    std::memcpy(to, rows.tensor->data + static_cast<size_t>(stored_row(rows, row)) * bytes, bytes);
  }
}

float f8_e4m3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if ((bits & 0x7f) == 0x7f) value = std::numeric_limits<float>::quiet_NaN();
  return (bits & 0x80) != 0 ? -value : value;
}

const std::array<float, 256>& f8_e4m3_values() {
  static const auto values = [] {
    std::array<float, 256> all{};
    for (size_t i = 0; i < all.size(); ++i) all[i] = f8_e4m3(static_cast<uint8_t>(i));
    return all;
  }();
  return values;
}

int64_t blocks_of(int64_t extent, int64_t block) { return (extent + block - 1) / block; }

void read_f8_e4m3(const StoredRows& rows, Format format, int64_t first, int64_t count, std::byte* to) {
  const std::array<float, 256>& values = f8_e4m3_values();
  const int64_t blocks = blocks_of(rows.columns, rows.block_columns), block_rows = blocks_of(rows.all, rows.block_rows);
  const size_t bytes = row_bytes(format, static_cast<size_t>(rows.columns));
  std::vector<float> decoded(static_cast<size_t>(rows.columns)), scales(static_cast<size_t>(blocks));
  for (int64_t row = first; row < first + count; ++row, to += bytes) {
    const int64_t stored = stored_row(rows, row);
    const int64_t of_scales = stored / rows.all * block_rows + stored % rows.all / rows.block_rows;
    decode_row(*rows.scales->format,
               rows.scales->data + row_bytes(*rows.scales->format, static_cast<size_t>(of_scales * blocks)),
               scales.size(), scales.data());
    const auto* elements = reinterpret_cast<const uint8_t*>(rows.tensor->data) + stored * rows.columns;
    for (int64_t i = 0; i < rows.columns; ++i) {
      decoded[static_cast<size_t>(i)] = values[elements[i]] * scales[static_cast<size_t>(i / rows.block_columns)];
    }
    encode_row(format, decoded.data(), decoded.size(), to);
  }
}

// A block's 16 bytes hold elements 0 and 1, 2 and 3 ...; those of Format::mxfp4, after its exponent, 0 and 16, 1
// and 17.
void read_mxfp4(const StoredRows& rows, int64_t first, int64_t count, std::byte* to) {
  const int64_t blocks = rows.columns / kMxfp4Block;
  auto* out = reinterpret_cast<uint8_t*>(to);
  for (int64_t row = first; row < first + count; ++row) {
    const int64_t stored = stored_row(rows, row);
    const auto* in = reinterpret_cast<const uint8_t*>(rows.tensor->data) + stored * blocks * 16;
    const auto* exponents = reinterpret_cast<const uint8_t*>(rows.scales->data) + stored * blocks;
    for (int64_t b = 0; b < blocks; ++b, in += 16) {
      *out++ = exponents[b];
      for (int i = 0; i < 16; ++i) {
        const int shift = i % 2 * 4, low = in[i / 2] >> shift & 15, high = in[8 + i / 2] >> shift & 15;
        *out++ = static_cast<uint8_t>(low | high << 4);
      }
    }
  }
}

// The bytes of the tensor that rows [first, first + count) are read from.
std::span<const std::byte> source_of(const StoredRows& rows, int64_t first, int64_t count) {
  if (rows.form == Form::transposed || count == 0) return {rows.tensor->data, rows.tensor->bytes};
  const size_t row = rows.tensor->bytes / static_cast<size_t>(rows.matrices * rows.all);
  const auto begin = static_cast<size_t>(stored_row(rows, first)) * row;
  const auto end = static_cast<size_t>(stored_row(rows, first + count - 1) + 1) * row;
  return {rows.tensor->data + begin, end - begin};
}

}  // namespace

Format read_format(const StoredRows& rows) {
  if (rows.form == Form::mxfp4) return Format::mxfp4;
  if (rows.form != Form::f8_e4m3) return *rows.tensor->format;
  std::vector<float> scales(rows.scales->bytes / row_bytes(*rows.scales->format, 1));
  decode_row(*rows.scales->format, rows.scales->data, scales.size(), scales.data());
  // BF16 has three bits of mantissa and then some; exponents must not leave its range.
  const bool exact = std::all_of(scales.begin(), scales.end(), [](float scale) {
    int exponent = 0;
    return std::fabs(std::frexp(scale, &exponent)) == 0.5f && std::abs(exponent) < 100;
  });
  return exact ? Format::bf16 : Format::f32;
}

ArrangedBytes::ArrangedBytes(std::vector<StoredRows> parts, Format format) : parts_(std::move(parts)), format_(format) {
  int64_t end = 0;
  for (const StoredRows& part : parts_) ends_.push_back(end += part.count());
  row_bytes_ = row_bytes(format, static_cast<size_t>(parts_.empty() ? 0 : parts_.front().columns));
}

template <class Visit>
void ArrangedBytes::each_part(int64_t first, int64_t count, const Visit& visit) const {
  auto i = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), first) - ends_.begin());
  for (; count > 0; ++i) {
    const int64_t in_part = first - (ends_[i] - parts_[i].count()), now = std::min(count, ends_[i] - first);
    visit(parts_[i], in_part, now);
    first += now, count -= now;
  }
}

void ArrangedBytes::copy(size_t begin, size_t bytes, std::byte* to) const {
  const auto read = [&](int64_t first, int64_t count, std::byte* out) {
    each_part(first, count, [&](const StoredRows& part, int64_t at, int64_t rows) {
      switch (part.form) {
        case Form::plain: read_plain(part, at, rows, out); break;
        case Form::transposed: read_transposed(part, at, rows, out); break;
        case Form::f8_e4m3: read_f8_e4m3(part, format_, at, rows, out); break;
        case Form::mxfp4: read_mxfp4(part, at, rows, out); break;
      }
      out += static_cast<size_t>(rows) * row_bytes_;
      const std::span<const std::byte> source = source_of(part, at, rows);
      keep_pages_apart(source.data(), source.data() + source.size());
      drop_pages(source.data(), source.data() + source.size());
    });
  };
  std::vector<std::byte> part_of_row;
  while (bytes > 0) {
    const auto row = static_cast<int64_t>(begin / row_bytes_);
    const size_t in_row = begin % row_bytes_, whole = in_row == 0 ? bytes / row_bytes_ : 0;
    size_t copied = whole * row_bytes_;
    if (whole > 0) {
      read(row, static_cast<int64_t>(whole), to);
    } else {
      part_of_row.resize(row_bytes_);
      read(row, 1, part_of_row.data());
      copied = std::min(bytes, row_bytes_ - in_row);
      std::memcpy(to, part_of_row.data() + in_row, copied);
    }
    begin += copied, to += copied, bytes -= copied;
  }
}

void ArrangedBytes::read_ahead(size_t begin, size_t bytes) const {
  if (bytes == 0) return;
  const auto first = static_cast<int64_t>(begin / row_bytes_);
  const auto last = static_cast<int64_t>((begin + bytes - 1) / row_bytes_);
  each_part(first, last - first + 1, [](const StoredRows& part, int64_t at, int64_t rows) {
    if (part.form == Form::transposed && at != 0) return;  // its first rows have asked for all of it
    const std::span<const std::byte> source = source_of(part, at, rows);
    weft::read_ahead(source.data(), source.data() + source.size());
  });
}

}  // namespace weft
