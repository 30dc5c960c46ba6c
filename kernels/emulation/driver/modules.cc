// Kernels that come as PTX: the emulation has none of them, and reports which one was requested.
//
// The tensor library loads its own kernels as PTX. A module can be loaded, since it may hold
// kernels that are never called; requests for one of its functions are refused by name.

#include <cctype>

#include "driver.h"

using namespace fp::driver;

namespace {

struct Module {
  std::string name;
};

/// The module's name in the first line, which a build without nvcc writes as "// module NAME".
std::string name_of(const char *text) {
  const std::string mark = "// module ";
  const char *end = text;
  while (*end && *end != '\n') end++;
  const std::string line(text, end);
  if (line.compare(0, mark.size(), mark) != 0) return "a module of PTX";
  return "the module `" + line.substr(mark.size()) + "`";
}

}  // namespace

extern "C" {

int cuModuleLoadData(void **module, const void *image) {
  const char *text = static_cast<const char *>(image);
  const bool is_text = std::isprint(static_cast<unsigned char>(text[0])) || text[0] == '\n';
  if (!is_text) return refuse(kNotSupported, "cuModuleLoadData of machine code");
  *module = new Module{name_of(text)};
  return kSuccess;
}
int cuModuleUnload(void *module) {
  delete static_cast<Module *>(module);
  return kSuccess;
}
int cuModuleGetFunction(void **, void *module, const char *name) {
  return refuse(kNotFound,
                "the kernel `%s` of %s was asked for; the emulation has this project's kernels and "
                "cuBLAS alone, so a path that runs on a GPU must not take it",
                name, static_cast<Module *>(module)->name.c_str());
}
int cuFuncGetAttribute(int *, int, void *) {
  return refuse(kNotSupported, "cuFuncGetAttribute: there are no functions");
}
int cuFuncSetAttribute(void *, int, int) {
  return refuse(kNotSupported, "cuFuncSetAttribute: there are no functions");
}
int cuLaunchKernel(void *, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned, void *, void **, void **) {
  if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z)
    return refuse(kInvalidValue, "cuLaunchKernel of %u x %u x %u blocks of %u x %u x %u threads",
                  grid_x, grid_y, grid_z, block_x, block_y, block_z);
  return refuse(kInvalidHandle, "cuLaunchKernel of a function that the emulation doesn't have");
}

}  // extern "C"
