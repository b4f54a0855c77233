#pragma once

#include <map>
#include <memory>
#include <mutex>

namespace weft {

// What is made when somebody first asks for it, shared by all who do, and freed with the last of them. Threads may ask
// at once.
template <class Key, class Value>
class WeakMap {
 public:
  bool has(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto at = values_.find(key);
    return at != values_.end() && !at->second.expired();
  }

  // `make` returns a std::shared_ptr<const Value>.
  template <class Make>
  std::shared_ptr<const Value> find_or_make(const Key& key, const Make& make) {
    const std::lock_guard lock(mutex_);
    if (const auto at = values_.find(key); at != values_.end()) {
      if (std::shared_ptr<const Value> value = at->second.lock()) return value;
    }
    std::erase_if(values_, [](const auto& entry) { return entry.second.expired(); });
    std::shared_ptr<const Value> value = make();
    values_[key] = value;
    return value;
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<const Value>> values_;
};

}  // namespace weft
