// Streams and events of the emulated driver; order.cc tracks the order that they define.

#include <chrono>

#include "driver.h"

using namespace fp::driver;

namespace {

constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
using Time = std::chrono::steady_clock;

struct Stream {};  // its address is the handle

struct Event {
  Time::time_point recorded;
  Clock clock;
};

/// The number of the stream, or -1 after reporting the call that used an unknown one.
int known(void *stream, const char *call) {
  const int number = stream_number(stream);
  if (number < 0) refuse(kInvalidHandle, "%s of a stream that doesn't exist", call);
  return number;
}

}  // namespace

extern "C" {

int cuStreamCreate(void **stream, unsigned flags) {
  *stream = new Stream();
  create_stream(*stream, (flags & kNonBlocking) == 0);
  return kSuccess;
}
int cuStreamDestroy_v2(void *stream) {
  if (!destroy_stream(stream)) return refuse(kInvalidHandle, "cuStreamDestroy of no stream");
  delete static_cast<Stream *>(stream);
  return kSuccess;
}
int cuStreamSynchronize(void *stream) {
  const int number = known(stream, "cuStreamSynchronize");
  if (number < 0) return kInvalidHandle;
  wait_on_host(clock_of_stream(number));
  count_synchronisation();
  return kSuccess;
}
int cuStreamQuery(void *stream) {
  const int number = known(stream, "cuStreamQuery");
  if (number < 0) return kInvalidHandle;
  wait_on_host(clock_of_stream(number));
  return kSuccess;
}
int cuStreamWaitEvent(void *stream, void *event, unsigned) {
  const int number = known(stream, "cuStreamWaitEvent");
  if (number < 0) return kInvalidHandle;
  wait_on_stream(number, static_cast<Event *>(event)->clock);
  return kSuccess;
}
int cuStreamBeginCapture_v2(void *, int) { return kNotSupported; }
int cuStreamEndCapture(void *, void **) { return kNotSupported; }
int cuStreamIsCapturing(void *, int *status) {
  *status = 0;  // CU_STREAM_CAPTURE_STATUS_NONE
  return kSuccess;
}

int cuEventCreate(void **event, unsigned) {
  *event = new Event();
  return kSuccess;
}
int cuEventDestroy_v2(void *event) {
  delete static_cast<Event *>(event);
  return kSuccess;
}
int cuEventRecord(void *event, void *stream) {
  const int number = known(stream, "cuEventRecord");
  if (number < 0) return kInvalidHandle;
  Event *it = static_cast<Event *>(event);
  it->recorded = Time::now();
  it->clock = clock_of_stream(number);
  return kSuccess;
}
int cuEventSynchronize(void *event) {
  wait_on_host(static_cast<Event *>(event)->clock);
  count_synchronisation();
  return kSuccess;
}
int cuEventQuery(void *event) {
  wait_on_host(static_cast<Event *>(event)->clock);
  return kSuccess;
}
int cuEventElapsedTime_v2(float *milliseconds, void *start, void *end) {
  const auto taken = static_cast<Event *>(end)->recorded - static_cast<Event *>(start)->recorded;
  *milliseconds = std::chrono::duration<float, std::milli>(taken).count();
  return *milliseconds < 0 ? kNotReady : kSuccess;
}
int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}

}  // extern "C"
