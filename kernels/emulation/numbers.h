// Bits and number formats of the emulation: a part of emulation.h, which alone includes it.
#pragma once

namespace fp {

inline float bits_to_float(unsigned bits) { return emulation::from_word<float>(bits); }
inline unsigned float_to_bits(float value) { return unsigned(emulation::to_word(value)); }

/// Exact value of an IEEE binary16.
inline float half_to_float(unsigned short bits) {
  const unsigned magnitude = bits & 0x7fff, sign = unsigned(bits & 0x8000) << 16;
  if (magnitude >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (magnitude & 1023) << 13);
  // Below 2^-14 in steps of 2^-24.
  if (magnitude < 0x400)
    return bits_to_float(sign | float_to_bits(float(magnitude) * (1.0f / (1 << 24))));
  return bits_to_float(sign | (magnitude + (112u << 10)) << 13);
}

/// Rounds to the nearest binary16; ties go to even.
inline unsigned short float_to_half(float value) {
  const unsigned bits = float_to_bits(value), sign = bits >> 16 & 0x8000;
  const unsigned magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<unsigned short>(sign | 0x7fff);
  if (magnitude >= 0x477ff000) return static_cast<unsigned short>(sign | 0x7c00);
  // Below 2^-14 in steps of 2^-24: the rint of the scaled value.
  if (magnitude < 0x38800000)
    return static_cast<unsigned short>(
        sign | unsigned(std::rint(std::ldexp(bits_to_float(magnitude), 24))));
  const unsigned rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return static_cast<unsigned short>(sign | (rounded - (112u << 23)) >> 13);
}

/// Rounds to the nearest bfloat16; ties go to even.
inline unsigned short float_to_bfloat(float value) {
  const unsigned bits = float_to_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline double bits_to_double(unsigned long long bits) { return emulation::from_word<double>(bits); }
inline unsigned long long double_to_bits(double value) { return emulation::to_word(value); }

}  // namespace fp
