#include "runtime/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "core/pages.h"

namespace weft {
namespace {

// Closes the descriptor on every way out of the constructor; the map does not need it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::string& path, const char* action, int error) {
  throw Error(path + ": cannot " + action + ": " + std::generic_category().message(error));
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path.string()) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on a regular file.
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(path_, "open", errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) fail(path_, "read its size", errno);
  if (S_ISDIR(status.st_mode)) throw Error(path_ + ": is a directory, wanted a regular file");
  if (!S_ISREG(status.st_mode)) throw Error(path_ + ": is not a regular file");
  if (static_cast<uint64_t>(status.st_size) > std::numeric_limits<size_t>::max()) fail(path_, "map", EFBIG);
  changed_ = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  if (status.st_size == 0) return;
  const auto size = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail(path_, "map", errno);
  data_ = static_cast<const uint8_t*>(address);
  size_ = size;
}

MappedFile::~MappedFile() { unmap(); }

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      changed_(other.changed_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    changed_ = other.changed_;
  }
  return *this;
}

void MappedFile::drop(size_t offset, size_t length) const {
  if (offset >= size_) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t end = offset + std::min(length, size_ - offset);
  const auto* at = reinterpret_cast<const std::byte*>(data_);
  const size_t first = (offset + page - 1) / page * page;
  // The map covers the file's last page completely, even where the file ends inside it.
  const size_t last = end == size_ ? (end + page - 1) / page * page : end / page * page;
  if (first < last) drop_pages(at + first, at + last);
}

void MappedFile::unmap() noexcept {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace weft
