// Built OpenCL programs: kept in memory by their source, and on disk as the driver's binaries. Threads may share a
// cache, and processes a folder; a thread waits while another builds.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/device.h"
#include "gpu/opencl.h"

namespace weft {

// The kernels of one step's text, in a program that may also hold those of others.
struct BuiltUnit {
  std::shared_ptr<const ClProgram> program;
  std::string id;  // the replacement of "@" in the text's names
};

// What a program has before its units, behind what every program begins with. Names of a unit are the unit's own; these
// are not.
struct ProgramFiles {
  std::string text;
  std::string names;  // for messages: of the files
  std::string calls;  // the same: lines that say what the units call of it
};

class ProgramCache {
 public:
  // `head` precedes the texts of every program. `folder`: for the binaries; empty: none are kept.
  ProgramCache(cl_context context, cl_device_id device, std::string head, std::string folder, bool optimize = true);

  // The kernels of a unit: OpenCL C whose global names contain "@", which is replaced by an id of the text. Throws
  // weft::Error with the build log.
  BuiltUnit get(const std::string& unit, const ProgramFiles& files = {});
  // Builds the missing ones of the units as one program.
  void build_missing(const std::vector<std::string>& units, const ProgramFiles& files = {});

  GpuProgramStats stats() const;
  const std::string& folder() const { return folder_; }

 private:
  void build_missing_locked(const std::vector<std::string>& units, const ProgramFiles& files);
  std::shared_ptr<const ClProgram> build(const std::string& source, const ProgramFiles& files);
  ClProgram from_binary(const std::vector<unsigned char>& binary);
  ClProgram from_source(const std::string& source, const ProgramFiles& files);

  cl_context context_;
  cl_device_id device_;
  std::string head_, folder_, options_, identity_;
  mutable std::mutex mutex_;                          // guards what follows
  std::unordered_map<std::string, BuiltUnit> units_;  // by the files' text and the unit's
  GpuProgramStats stats_;
};

// $XDG_CACHE_HOME/weft, else ~/.cache/weft; empty where neither variable is set, or where WEFT_PROGRAM_CACHE=off.
std::string default_program_folder();

// Files of the folder: a header with `key` and a checksum, then the binary. Reading returns nothing for a file
// that is missing, truncated, changed, or has another key. Writing replaces the file atomically or, on any
// failure, not at all.
std::vector<unsigned char> read_program_file(const std::string& path, const std::string& key);
void write_program_file(const std::string& path, const std::string& key, const std::vector<unsigned char>& binary);

uint64_t text_hash(const std::string& text);  // FNV-1a, 64 bits

}  // namespace weft
