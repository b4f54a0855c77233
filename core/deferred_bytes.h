// Bytes of a weight that no file has in one place, in the order and form in which plans read them. They are put
// together for those who ask, a part at a time, so that a weight that is packed is never in memory twice.
#pragma once

#include <cstddef>
#include <mutex>

#include "core/aligned_bytes.h"

namespace weft {

// What they are made of belongs to mapped files, which must outlive this. Threads may share one.
class DeferredBytes {
 public:
  DeferredBytes() = default;
  DeferredBytes(const DeferredBytes&) = delete;
  DeferredBytes& operator=(const DeferredBytes&) = delete;
  virtual ~DeferredBytes() = default;

  virtual size_t size() const = 0;
  // Copies [begin, begin + bytes), which must be within the size. Pages of files that have been read leave the process.
  virtual void copy(size_t begin, size_t bytes, std::byte* to) const = 0;
  // Begins to read what they are made of from the disk, without waiting.
  virtual void read_ahead(size_t begin, size_t bytes) const = 0;

  // All of them in one place, aligned to a cache line: copied when first asked for, and kept. Throws Error where memory
  // runs out.
  const std::byte* joined() const;
  bool is_joined() const;

 private:
  mutable std::mutex mutex_;
  mutable AlignedBytes joined_;
  mutable bool is_joined_ = false;
};

}  // namespace weft
