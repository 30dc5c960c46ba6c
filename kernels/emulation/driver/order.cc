// Order of work on streams.
//
// Work completes before its call returns, so a missing order never affects a result here. It is
// detected by vector clocks instead: each stream counts its work and records how much of every
// other stream's work is ordered before it, through events, synchronisations and the rules of the
// default stream. Memory records its last accesses. Two streams that access the same bytes, at
// least one of them writing, must be ordered; a device would run them in either order or both at
// once.
//
// A launch is assumed to read everything between the first and the last byte that it reads in
// each allocation, and to write everything between the first and the last byte that it writes.

#include <algorithm>
#include <map>
#include <mutex>

#include "driver.h"

namespace fp::driver {

namespace {

constexpr size_t kManyAccesses = 4096;
constexpr int kLegacy = 0;  // the default stream, which synchronises with blocking ones

struct Stream {
  std::string name;
  bool is_blocking = true;
  bool is_alive = true;
  Clock clock;
};

struct Access {
  uintptr_t begin, end;
  int stream;
  uint64_t tick;
  bool is_write;
  std::string what;
};

struct Order {
  std::mutex mutex;
  std::vector<Stream> streams = {{"the default stream", true, true, {}}};
  std::map<void *, int> numbers;
  Clock host;
  std::map<uintptr_t, std::vector<Access>> accesses;  // by the allocation's start
  int num_threads = 0;
};

Order &order() {
  static Order *const only = new Order();
  return *only;
}

void join(Clock &clock, const Clock &other) {
  if (clock.size() < other.size()) clock.resize(other.size());
  for (size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

uint64_t at(const Clock &clock, int stream) {
  return size_t(stream) < clock.size() ? clock[size_t(stream)] : 0;
}

int add_stream(Order &it, std::string name, bool is_blocking) {
  it.streams.push_back({std::move(name), is_blocking, true, {}});
  return int(it.streams.size()) - 1;
}

/// Advances the stream's clock for work that the host enqueues now.
Clock &begin_work(Order &it, int number) {
  Clock &clock = it.streams[size_t(number)].clock;
  join(clock, it.host);
  if (number == kLegacy) {
    for (const Stream &other : it.streams)
      if (other.is_blocking) join(clock, other.clock);
  } else if (it.streams[size_t(number)].is_blocking) {
    join(clock, it.streams[kLegacy].clock);
  }
  return clock;
}

/// Records an access, and removes earlier ones that it covers or that can no longer be unordered
/// with anything.
void remember(Order &it, std::vector<Access> &past, Access access) {
  past.erase(std::remove_if(past.begin(), past.end(),
                            [&](const Access &old) {
                              const bool is_covered = old.stream == access.stream &&
                                                      old.is_write <= access.is_write &&
                                                      old.begin >= access.begin &&
                                                      old.end <= access.end;
                              return is_covered || old.tick <= at(it.host, old.stream);
                            }),
             past.end());
  if (past.size() >= kManyAccesses) past.erase(past.begin());
  past.push_back(std::move(access));
}

}  // namespace

int create_stream(void *handle, bool is_blocking) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  const int number = add_stream(it, "stream " + std::to_string(it.streams.size()), is_blocking);
  it.numbers[handle] = number;
  return number;
}

bool destroy_stream(void *handle) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  return it.numbers.erase(handle) != 0;
}

int stream_number(void *stream) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  if (reinterpret_cast<uintptr_t>(stream) <= 1) return kLegacy;
  if (reinterpret_cast<uintptr_t>(stream) == 2) {
    thread_local int own = -1;  // each thread has its own default stream
    if (own < 0)
      own = add_stream(it, "the default stream of thread " + std::to_string(++it.num_threads), true);
    return own;
  }
  const auto found = it.numbers.find(stream);
  return found == it.numbers.end() ? -1 : found->second;
}

std::string stream_name(int number) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  return it.streams[size_t(number)].name;
}

Clock clock_of_stream(int number) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  return begin_work(it, number);
}

void wait_on_stream(int number, const Clock &clock) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  join(it.streams[size_t(number)].clock, clock);
}

void wait_on_host(const Clock &clock) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  join(it.host, clock);
}

void wait_on_host_for_all() {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  for (const Stream &stream : it.streams) join(it.host, stream.clock);
}

void forget(uintptr_t allocation) {
  Order &it = order();
  const std::lock_guard<std::mutex> lock(it.mutex);
  it.accesses.erase(allocation);
}

int access(int number, const char *what, const FpEmulatedAccess *accesses, size_t count) {
  Order &it = order();
  std::string conflict;
  {
    const std::lock_guard<std::mutex> lock(it.mutex);
    Clock &clock = begin_work(it, number);
    if (clock.size() <= size_t(number)) clock.resize(size_t(number) + 1);
    const uint64_t tick = ++clock[size_t(number)];
    for (size_t i = 0; i < count; ++i) {
      const FpEmulatedAccess &now = accesses[i];
      uintptr_t begin, end;
      if (now.begin >= now.end || !fp_emulated_driver_find(now.begin, &begin, &end)) continue;
      std::vector<Access> &past = it.accesses[begin];
      for (const Access &old : past) {
        const bool does_overlap = old.begin < now.end && now.begin < old.end;
        if (!does_overlap || !(old.is_write || now.is_write) || old.tick <= at(clock, old.stream))
          continue;
        conflict = "nothing orders " + std::string(what) + " on " +
                   it.streams[size_t(number)].name + ", which " +
                   (now.is_write ? "writes" : "reads") + " memory that " + old.what + " on " +
                   it.streams[size_t(old.stream)].name + (old.is_write ? " writes" : " reads");
        break;
      }
      if (!conflict.empty()) break;
      remember(it, past, {now.begin, now.end, number, tick, now.is_write != 0, what});
    }
  }
  return conflict.empty() ? int(kSuccess) : refuse(kIllegalState, "%s", conflict.c_str());
}

}  // namespace fp::driver
