// Texts of statuses, and the version of the linked CUDA runtime.

#include "device.cuh"

const char *fp_status_string(int status) {
  switch (status) {
    case FP_OK: return "no error";
    case FP_NULL_POINTER: return "a pointer that is needed is null";
    case FP_BAD_SHAPE: return "a dimension is 0, or dimensions contradict each other";
    case FP_TOO_LARGE: return "a dimension is larger than the kernels take";
    case FP_BAD_DTYPE: return "an unknown element type";
    case FP_BAD_OPTION: return "an unknown option";
    case FP_BAD_COUNT: return "can't select none, or more than there are";
    case FP_BAD_STRATEGY:
      return "no strategy, an unknown one, one named twice, or one not for this kernel";
    case FP_MISALIGNED: return "an address, stride or row is no multiple of 16 bytes";
    case FP_WORKSPACE_TOO_SMALL: return "the workspace is too small";
    case FP_EMULATION_FAULT: return "the emulation stopped the kernel";
  }
#ifdef FP_EMULATION
  return "unknown status";
#else
  return status > 0 ? cudaGetErrorString(static_cast<cudaError_t>(status)) : "unknown status";
#endif
}

int fp_runtime_version(void) {
#ifdef FP_EMULATION
  return 13000;
#else
  return CUDART_VERSION;
#endif
}
