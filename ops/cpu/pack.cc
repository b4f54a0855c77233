#include "ops/cpu/pack.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "core/pages.h"
#include "ops/cpu/team.h"

namespace weft {
namespace {

constexpr size_t kChunk = size_t{4} << 20;  // bytes packed at a time: disks are fast, and threads end together
constexpr size_t kAhead = 8;                // chunks that are read before they are packed

// Groups of rows of one weight, and where they are as stored.
struct Chunk {
  const PackJob* job;
  int64_t first, count;
  size_t begin, bytes;
};

std::vector<Chunk> chunks_of(const std::vector<PackJob>& jobs) {
  std::vector<Chunk> chunks;
  for (const PackJob& job : jobs) {
    const Interleaved& to = job.to;
    const int64_t groups = to.shape().slices * to.groups();
    const size_t group = std::max<size_t>(to.stored_at(1), 1);
    const auto per_chunk = std::max<int64_t>(static_cast<int64_t>(kChunk / group), 1);
    for (int64_t first = 0; first < groups; first += per_chunk) {
      const int64_t count = std::min(per_chunk, groups - first);
      const size_t begin = to.stored_at(first);
      chunks.push_back({&job, first, count, begin, to.stored_at(first + count) - begin});
    }
  }
  return chunks;
}

}  // namespace

void pack(std::vector<PackJob> jobs, int threads) {
  // Those in pieces have no address of their own, and stay in their order.
  std::ranges::stable_sort(jobs, {}, [](const PackJob& job) { return job.storage->data; });
  const std::vector<Chunk> chunks = chunks_of(jobs);
  size_t copied = 0;  // the most that a chunk has in pieces
  for (const Chunk& chunk : chunks) {
    if (chunk.job->storage->pieces != nullptr) copied = std::max(copied, chunk.bytes);
  }
  std::vector<std::vector<std::byte>> copies(static_cast<size_t>(threads));
  for (std::vector<std::byte>& copy : copies) copy.resize(copied);
  for (const PackJob& job : jobs) {
    const Storage& storage = *job.storage;
    if (storage.is_mapped) keep_pages_apart(storage.data, storage.data + storage.bytes());
  }
  const auto begin_reading = [&](size_t i) {
    if (i < chunks.size()) chunks[i].job->storage->read_ahead(chunks[i].begin, chunks[i].bytes);
  };
  for (size_t i = 0; i < kAhead; ++i) begin_reading(i);
  sleep_between_regions();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t i = 0; i < chunks.size(); ++i) {
    begin_reading(i + kAhead);
    const auto& [job, first, count, begin, bytes] = chunks[i];
    const Storage& storage = *job->storage;
    const std::byte* stored = storage.stored(begin, bytes, copies[static_cast<size_t>(omp_get_thread_num())]);
    job->to.pack_groups(stored, first, count, job->out + static_cast<size_t>(first) * job->to.group_bytes());
    // Reading the first page has mapped some before it once more.
    constexpr size_t kMappedAtOnce = size_t{64} << 10;
    if (storage.is_mapped) drop_pages(stored - std::min(begin, kMappedAtOnce), stored + bytes);
  }
  // What lies across the ends of chunks.
  for (const PackJob& job : jobs) {
    const Storage& storage = *job.storage;
    if (storage.is_mapped) drop_pages(storage.data, storage.data + storage.bytes());
  }
}

}  // namespace weft
