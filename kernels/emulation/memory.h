// Checked memory accesses of the emulation: a part of emulation.h, which alone includes it.
#pragma once

namespace fp {
namespace emulation {

/// A reference to global memory, read and written with checks.
template <class T> class GlobalRef {
 public:
  using Value = std::remove_const_t<T>;
  GlobalRef(uintptr_t address, const Buffer *buffer) : address_(address), buffer_(buffer) {}
  operator Value() const {
    check(false);
    return *reinterpret_cast<const Value *>(address_);
  }
  void operator=(const Value &value) const {
    static_assert(!std::is_const_v<T>, "a kernel writes to what it takes as read-only");
    check(true);
    *reinterpret_cast<Value *>(address_) = value;
  }

 private:
  void check(bool is_write) const {
    if (!buffer_ || address_ < buffer_->begin || address_ + sizeof(T) > buffer_->end)
      fault("%s of %zu bytes outside its buffer, by %lld bytes past its begin of %lld",
            is_write ? "write" : "read", sizeof(T),
            buffer_ ? (long long)(address_ - buffer_->begin) : -1LL,
            buffer_ ? (long long)(buffer_->end - buffer_->begin) : 0LL);
    if (address_ % alignof(T)) fault("misaligned access of %zu bytes", sizeof(T));
    if (is_write && !buffer_->is_writable) fault("write to a read-only buffer");
    (is_write ? buffer_->writes : buffer_->reads).add(address_, sizeof(T));
  }
  uintptr_t address_;
  const Buffer *buffer_;
};

/// A reference to shared memory, read and written with checks.
template <class T> class SharedRef {
 public:
  SharedRef(Block *block, size_t offset) : block_(block), offset_(offset) {}
  SharedRef(const SharedRef &) = default;
  operator T() const {
    check();
    unsigned char written[sizeof(T)];
    std::memset(written, 1, sizeof(T));
    if (std::memcmp(block_->shadow + offset_, written, sizeof(T)) != 0)
      fault("read of uninitialised shared memory at byte %zu", offset_);
    T value;
    std::memcpy(&value, block_->bytes + offset_, sizeof(T));
    return value;
  }
  void operator=(const T &value) const {
    check();
    std::memcpy(block_->bytes + offset_, &value, sizeof(T));
    std::memset(block_->shadow + offset_, 1, sizeof(T));
  }
  void operator=(const SharedRef &other) const { *this = T(other); }

 private:
  void check() const {
    if (block_ != running_block && block_->has_exits)
      fault("shared memory of a block that has exited");
  }
  Block *block_;
  size_t offset_;
};

}  // namespace emulation

template <class T> class Global {
 public:
  Global() = default;
  explicit Global(const void *address)
      : address_(reinterpret_cast<uintptr_t>(address)), buffer_(emulation::find_buffer(address_)) {}
  emulation::GlobalRef<T> operator[](size_t index) const {
    return {address_ + index * sizeof(T), buffer_};
  }
  emulation::GlobalRef<T> operator*() const { return (*this)[0]; }
  Global operator+(size_t count) const {
    Global moved = *this;
    moved.address_ += count * sizeof(T);
    return moved;
  }
  explicit operator bool() const { return address_ != 0; }

 private:
  uintptr_t address_ = 0;
  const emulation::Buffer *buffer_ = nullptr;
};

template <class T> class Shared {
 public:
  Shared() = default;
  Shared(emulation::Block *block, size_t offset, size_t count)
      : block_(block), offset_(offset), count_(count) {}
  emulation::SharedRef<T> operator[](size_t index) const {
    if (index >= count_)
      emulation::fault("shared array of %zu read or written at %zu", count_, index);
    return {block_, offset_ + index * sizeof(T)};
  }
  Shared operator+(size_t count) const {
    if (count > count_) emulation::fault("shared array of %zu moved by %zu", count_, count);
    return {block_, offset_ + count * sizeof(T), count_ - count};
  }
  Shared of_block(emulation::Block *block) const { return {block, offset_, count_}; }
  template <class To> Shared<To> as() const {
    if (offset_ % alignof(To) || count_ * sizeof(T) % sizeof(To))
      emulation::fault("shared array at byte %zu taken as one of %zu-byte values", offset_,
                       sizeof(To));
    return {block_, offset_, count_ * sizeof(T) / sizeof(To)};
  }
  /// Start address, for a read of `count` values by another lane.
  size_t place(size_t count) const {
    if (count > count_) emulation::fault("shared array of %zu read to its %zuth", count_, count);
    return offset_;
  }

 private:
  emulation::Block *block_ = nullptr;
  size_t offset_ = 0, count_ = 0;
};

template <class To, class From> Shared<To> shared_cast(Shared<From> array) {
  return array.template as<To>();
}

template <class T> Global<T> global(const void *address) { return Global<T>(address); }

class SharedArena {
 public:
  template <class T> Shared<T> take(unsigned count) {
    emulation::Block *block = emulation::this_block();
    const size_t offset = used_;
    used_ += (count * sizeof(T) + 15) & ~size_t(15);
    if (used_ > block->size)
      emulation::fault("shared memory of %zu bytes asked for %zu", block->size, used_);
    return {block, offset, count};
  }

 private:
  size_t used_ = 0;
};

}  // namespace fp
