// Limits on what a template may use. Templates come with model files, which are untrusted: one that loops forever
// or doubles a string forty times ends with an error.
#pragma once

#include <cstddef>
#include <string>

namespace weft::jinja {

// An error. The evaluator catches it and makes it an Error that gives the position in the template.
struct Fault {
  std::string message;
};

inline constexpr size_t kMaxSource = size_t{1} << 20;    // bytes of a template
inline constexpr int kMaxNesting = 300;                  // nesting of expressions and statements
inline constexpr int kMaxEvaluation = 1000;              // nesting at run time, including calls of macros
inline constexpr int kMaxValueDepth = 100;               // lists in lists
inline constexpr size_t kMaxSteps = 20'000'000;          // nodes evaluated, elements visited, 64 bytes copied
inline constexpr size_t kMaxMemory = size_t{256} << 20;  // bytes that values hold at a time
inline constexpr size_t kMaxOutput = size_t{64} << 20;   // bytes of text
inline constexpr int64_t kMaxRange = 100'000;            // elements of range(), as in Jinja's sandbox

class Budget {
 public:
  void spend(size_t steps) {
    if (steps > kMaxSteps - steps_) throw Fault{"the template takes more than 20 million steps"};
    steps_ += steps;
  }
  // The cost of reading or writing that many bytes.
  void spend_bytes(size_t bytes) { spend(1 + bytes / 64); }

  // Throws Fault where `bytes` more would exceed what values may hold.
  void check_room(size_t bytes) const {
    if (bytes > kMaxMemory - memory_) throw Fault{"the template's values take more than 256 MiB"};
  }
  void take(size_t bytes) {
    check_room(bytes);
    memory_ += bytes;
  }
  void give_back(size_t bytes) { memory_ -= bytes; }

 private:
  size_t steps_ = 0, memory_ = 0;
};

// Takes memory from a budget for its lifetime. Without a budget (constants of a template) it does nothing.
class Charge {
 public:
  Charge(Budget* budget, size_t bytes) : budget_(budget) { more(bytes); }
  ~Charge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  void more(size_t bytes) {
    if (budget_ == nullptr) return;
    budget_->take(bytes);
    bytes_ += bytes;
  }

 private:
  Budget* budget_;
  size_t bytes_ = 0;
};

}  // namespace weft::jinja
