/* SPDX-License-Identifier: MIT
 *
 * sandbox_image.c: the limits of an image's process. A hard limit can never be raised again, and
 * children inherit it: so the process has soft limits of its own below.
 */
#include <sys/resource.h>

#include "toolkit/sandbox.h"

/* V8's background threads use processor time too. */
#define CPU_THREADS 5
/* For its forks, once it is loaded: then it is renewed. */
#define FORKING_SECONDS 600

static bool limit_softly(__rlimit_resource_t resource, rlim_t soft, rlim_t hard) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0) return false;
  if (limit.rlim_max > hard) limit.rlim_max = hard;
  limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
  return setrlimit(resource, &limit) == 0;
}

bool kiln_sandbox_limit_image(unsigned timeout_ms, uint64_t memory_max) {
  rlim_t seconds = ((rlim_t)timeout_ms + 999) / 1000 * CPU_THREADS + 2;
#ifndef KILN_ADDRESS_SANITIZER /* whose shadow memory alone is terabytes */
  uint64_t data = kiln_sandbox_get_data_bytes();
  if (memory_max > 0 && !limit_softly(RLIMIT_DATA, data + memory_max, data + 2 * memory_max))
    return false;
#else
  (void)memory_max;
#endif
  return limit_softly(RLIMIT_CPU, seconds, seconds + FORKING_SECONDS);
}

bool kiln_sandbox_settle_image(void) {
  return limit_softly(RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY);
}
