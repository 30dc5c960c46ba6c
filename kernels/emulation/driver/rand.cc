// A cuRAND whose generators can be created, as the tensor library does with each device, but
// produce nothing: random numbers on a device are not part of the emulation.

#include <cstddef>
#include <cstdio>

namespace {

constexpr int kSuccess = 0, kNotInitialized = 101, kInternalError = 999;  // curandStatus_t

struct Generator {};

int refuse(const char *call) {
  std::fprintf(stderr, "emulated cuRAND: %s: no numbers are drawn on the device\n", call);
  return kInternalError;
}

}  // namespace

extern "C" {

int curandCreateGenerator(Generator **generator, int) {
  *generator = new Generator();
  return kSuccess;
}
int curandDestroyGenerator(Generator *generator) {
  delete generator;
  return kSuccess;
}
int curandSetPseudoRandomGeneratorSeed(Generator *generator, unsigned long long) {
  return generator ? kSuccess : kNotInitialized;
}
int curandSetGeneratorOffset(Generator *generator, unsigned long long) {
  return generator ? kSuccess : kNotInitialized;
}
int curandSetStream(Generator *generator, void *) { return generator ? kSuccess : kNotInitialized; }

int curandGenerate(...) { return refuse("curandGenerate"); }
int curandGenerateUniform(...) { return refuse("curandGenerateUniform"); }
int curandGenerateUniformDouble(...) { return refuse("curandGenerateUniformDouble"); }
int curandGenerateNormal(...) { return refuse("curandGenerateNormal"); }
int curandGenerateNormalDouble(...) { return refuse("curandGenerateNormalDouble"); }
int curandGenerateLogNormal(...) { return refuse("curandGenerateLogNormal"); }
int curandGenerateLogNormalDouble(...) { return refuse("curandGenerateLogNormalDouble"); }

}  // extern "C"
