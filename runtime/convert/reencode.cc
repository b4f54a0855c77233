#include "runtime/convert/reencode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/format/format.h"

namespace weft {
namespace {

constexpr size_t kPieceElements = size_t{1} << 14;  // a multiple of every block
constexpr size_t kBatchElements = size_t{1} << 21;  // encoded before it is passed on

// The first value that `to` cannot hold; `elements` if there is none.
size_t first_misfit(Format to, const float* values, size_t elements) {
  if (to == Format::f16) {
    for (size_t i = 0; i < elements; ++i) {
      if (!(std::fabs(values[i]) < 65520.0f)) return i;  // rounds to infinity, or is NaN
    }
    return elements;
  }
  return first_not_finite(values, elements);
}

}  // namespace

ReencodeJob whole_tensor(std::string what, Format from, Format to, const std::byte* data, size_t elements) {
  const size_t count = (elements + kPieceElements - 1) / kPieceElements;
  return {std::move(what), from, to, count, [=](size_t i) {
            const size_t begin = i * kPieceElements;
            return Piece{data + row_bytes(from, begin), std::min(kPieceElements, elements - begin)};
          }};
}

float largest_magnitude(const ReencodeJob& job, int threads) {
  float largest = 0;
  const auto count = static_cast<std::ptrdiff_t>(job.count);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    std::vector<float> values;
#pragma omp for schedule(dynamic, 1) reduction(max : largest)
    for (std::ptrdiff_t i = 0; i < count; ++i) {
      const Piece piece = job.piece(static_cast<size_t>(i));
      values.resize(piece.elements);
      decode_row(job.from, piece.data, piece.elements, values.data());
      for (const float value : values) {
        if (std::isfinite(value)) largest = std::max(largest, std::fabs(value));
      }
    }
  }
  return largest;
}

void reencode(const ReencodeJob& job, int threads, const std::function<void(std::span<const uint8_t>)>& sink) {
  std::vector<Piece> batch;
  std::vector<size_t> first;  // first element of each piece in the batch
  std::vector<uint8_t> bytes;
  size_t done = 0;  // elements
  for (size_t next = 0; next < job.count;) {
    batch.clear();
    first.clear();
    size_t elements = 0;
    while (next < job.count && (batch.empty() || elements < kBatchElements)) {
      batch.push_back(job.piece(next++));
      first.push_back(elements);
      elements += batch.back().elements;
    }
    bytes.resize(row_bytes(job.to, elements));
    size_t misfit = std::numeric_limits<size_t>::max();
    float misfit_value = 0;
    const auto count = static_cast<std::ptrdiff_t>(batch.size());
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
      std::vector<float> values;
#pragma omp for schedule(dynamic, 1)
      for (std::ptrdiff_t i = 0; i < count; ++i) {
        const Piece& piece = batch[static_cast<size_t>(i)];
        const size_t begin = first[static_cast<size_t>(i)];
        uint8_t* out = bytes.data() + row_bytes(job.to, begin);
        if (job.from == job.to) {
          std::copy_n(reinterpret_cast<const uint8_t*>(piece.data), row_bytes(job.to, piece.elements), out);
          continue;
        }
        values.resize(piece.elements);
        decode_row(job.from, piece.data, piece.elements, values.data());
        const size_t bad = first_misfit(job.to, values.data(), piece.elements);
        if (bad == piece.elements) {
          if (job.divisor != 1) {
            for (float& value : values) value /= job.divisor;
          }
          encode_row(job.to, values.data(), piece.elements, out);
          continue;
        }
#pragma omp critical(weft_reencode)
        if (begin + bad < misfit) {
          misfit = begin + bad;
          misfit_value = values[bad];
        }
      }
    }
    if (misfit < elements) {
      throw Error(job.what + ": element " + std::to_string(done + misfit) + " is " + std::to_string(misfit_value) +
                  ", which " + std::string(name(job.to)) + " does not hold");
    }
    sink(bytes);
    done += elements;
  }
}

}  // namespace weft
