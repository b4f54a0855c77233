#include "runtime/files/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/error.h"

namespace weft {

namespace fs = std::filesystem;

namespace {

// A link is followed: its target is replaced, not the link.
std::string target_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path.string();
  const fs::path real = fs::canonical(path, error);
  return error ? path.string() : real.string();
}

}  // namespace

std::string OutputFile::temporary_name(const fs::path& path) {
  const std::string target = target_of(path);
  std::error_code ignored;
  const fs::file_status status = fs::status(target, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) return {};
  return target + ".partial." + std::to_string(::getpid());
}

OutputFile::OutputFile(const fs::path& path) : path_(path.string()), target_(target_of(path)) {
  const std::string own = temporary_name(path);
  if (own.empty()) {
    file_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail("cannot open");
    return;
  }
  // O_EXCL: never write through a name that someone else created. A leftover of a process with this id is
  // replaced.
  file_ = ::open(own.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0 && errno == EEXIST && ::unlink(own.c_str()) == 0) {
    file_ = ::open(own.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (file_ < 0) fail("cannot make a file beside it");
  temporary_ = own;
}

OutputFile::~OutputFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(const void* bytes, size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t done = ::write(file_, from, std::min(count, size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("cannot write");
    from += done;
    count -= static_cast<size_t>(done);
    written_ += static_cast<uint64_t>(done);
  }
}

void OutputFile::write_at(uint64_t offset, const void* bytes, size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t done = ::pwrite(file_, from, std::min(count, size_t{1} << 30), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("cannot write");
    from += done;
    count -= static_cast<size_t>(done);
    offset += static_cast<uint64_t>(done);
  }
}

void OutputFile::complete() {
  if (file_ < 0) return;
  // Pipes and devices do not support fsync and report EINVAL or EROFS.
  if (!temporary_.empty() && ::fsync(file_) != 0) fail("cannot write");
  if (::close(std::exchange(file_, -1)) != 0) fail("cannot write");
}

void OutputFile::finish() {
  complete();
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot put the complete file in its place");
  temporary_.clear();
  // The new name is on the disk once its folder is; a file system without support for that loses at most the name.
  const fs::path folder = fs::path(target_).parent_path();
  const int directory = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

void OutputFile::fail(const char* what) const {
  const int error = errno;
  const std::string text = path_ + ": " + what + ": " + std::strerror(error);
  if (error == EPIPE) throw BrokenPipe(text);
  throw Error(text);
}

}  // namespace weft
