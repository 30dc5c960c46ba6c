// Number formats of device memory, and 16-byte packs of them.
//
// Kernels take the format as a template parameter: with a branch on the format inside a loop, the
// compiler issues one load at a time and waits for each.
#pragma once

#include "device.cuh"

namespace fp {

// A format defines how a value is stored, and its conversion to f32 (exact) and from f32 (rounded
// to the nearest). `kValues` values fill 16 bytes.
struct F32 {
  using Stored = float;
  static constexpr unsigned kDtype = FP_F32, kValues = 4;
  static constexpr bool kIsBfloat = false;
  __device__ __forceinline__ static float widen(float value) { return value; }
  __device__ __forceinline__ static float narrow(float value) { return value; }
  __device__ __forceinline__ static void unpack(const uint4 &words, float (&values)[kValues]) {
    values[0] = bits_to_float(words.x);
    values[1] = bits_to_float(words.y);
    values[2] = bits_to_float(words.z);
    values[3] = bits_to_float(words.w);
  }
  __device__ __forceinline__ static uint4 pack(const float (&values)[kValues]) {
    return uint4{float_to_bits(values[0]), float_to_bits(values[1]), float_to_bits(values[2]),
                 float_to_bits(values[3])};
  }
};

/// Code that the two 16-bit formats share.
template <class Format> struct Halves {
  using Stored = unsigned short;
  static constexpr unsigned kValues = 8;
  __device__ __forceinline__ static void unpack(const uint4 &words, float (&values)[kValues]) {
    unpack_two(words.x, values[0], values[1]);
    unpack_two(words.y, values[2], values[3]);
    unpack_two(words.z, values[4], values[5]);
    unpack_two(words.w, values[6], values[7]);
  }
  __device__ __forceinline__ static uint4 pack(const float (&values)[kValues]) {
    return uint4{pack_two(values[0], values[1]), pack_two(values[2], values[3]),
                 pack_two(values[4], values[5]), pack_two(values[6], values[7])};
  }
  /// Joins two stored values to one word, the first one in the low half.
  __device__ __forceinline__ static unsigned join(Stored low, Stored high) {
    return unsigned(low) | unsigned(high) << 16;
  }

 private:
  __device__ __forceinline__ static void unpack_two(unsigned word, float &low, float &high) {
    low = Format::widen(static_cast<unsigned short>(word & 0xffffu));
    high = Format::widen(static_cast<unsigned short>(word >> 16));
  }
  __device__ __forceinline__ static unsigned pack_two(float low, float high) {
    return join(Format::narrow(low), Format::narrow(high));
  }
};

struct F16 : Halves<F16> {
  static constexpr unsigned kDtype = FP_F16;
  static constexpr bool kIsBfloat = false;
  __device__ __forceinline__ static float widen(unsigned short bits) { return half_to_float(bits); }
  __device__ __forceinline__ static unsigned short narrow(float value) {
    return float_to_half(value);
  }
};

struct Bf16 : Halves<Bf16> {
  static constexpr unsigned kDtype = FP_BF16;
  static constexpr bool kIsBfloat = true;
  __device__ __forceinline__ static float widen(unsigned short bits) {
    return bits_to_float(unsigned(bits) << 16);
  }
  __device__ __forceinline__ static unsigned short narrow(float value) {
    return float_to_bfloat(value);
  }
};

/// `value` after a round trip through memory in this format.
template <class Format> __device__ __forceinline__ float rounded(float value) {
  return Format::widen(Format::narrow(value));
}

/// One row of a tensor, read and written in packs of `Format::kValues` values. If rows don't
/// start at multiples of 16 bytes, the same packs are moved value by value, so that results don't
/// depend on the address of a row.
template <class Format> class PackedRow {
 public:
  static constexpr unsigned kValues = Format::kValues;

  PackedRow() = default;
  /// The `length` values from `offset` on; `is_aligned`: address, offset and length are multiples
  /// of 16 bytes.
  __device__ PackedRow(const void *tensor, size_t offset, unsigned length, bool is_aligned)
      : length_(length), is_aligned_(is_aligned) {
    if (is_aligned)
      words_ = global<uint4>(tensor) + offset / kValues;
    else
      values_ = global<typename Format::Stored>(tensor) + offset;
  }

  /// Packs `first`, `first + step`, … of the row; zeros beyond its end. All loads are
  /// issued before the first is used.
  template <int COUNT>
  __device__ __forceinline__ void load(unsigned first, unsigned step,
                                       uint4 (&packs)[COUNT]) const {
    if (is_aligned_) {
#pragma unroll
      for (int i = 0; i < COUNT; ++i) {
        const unsigned pack = first + i * step;
        packs[i] = uint4{0, 0, 0, 0};
        if (pack * kValues < length_) packs[i] = words_[pack];
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
      float values[kValues];
#pragma unroll
      for (unsigned j = 0; j < kValues; ++j) {
        const unsigned at = (first + i * step) * kValues + j;
        values[j] = 0.0f;
        if (at < length_) values[j] = Format::widen(values_[at]);
      }
      packs[i] = Format::pack(values);
    }
  }

  /// Writes pack `pack`; values beyond the row's end are dropped.
  __device__ __forceinline__ void store(unsigned pack, const float (&values)[kValues]) const {
    if (is_aligned_) {
      if (pack * kValues < length_) words_[pack] = Format::pack(values);
      return;
    }
#pragma unroll
    for (unsigned j = 0; j < kValues; ++j)
      if (pack * kValues + j < length_) values_[pack * kValues + j] = Format::narrow(values[j]);
  }

 private:
  Global<uint4> words_;
  Global<typename Format::Stored> values_;
  unsigned length_ = 0;
  bool is_aligned_ = false;
};

/// Calls `run(Format())` with the format of `dtype`, one of fp_dtype.
template <class Run> int for_format(unsigned dtype, const Run &run) {
  if (dtype == FP_F32) return run(F32());
  if (dtype == FP_F16) return run(F16());
  return run(Bf16());
}

}  // namespace fp
