/* LD_PRELOAD: writes fail with ENOSPC once FAULT_BYTES bytes have gone to files whose path holds FAULT_PATH. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long long written = 0;

static int full(int descriptor, size_t count) {
  const char *limit = getenv("FAULT_BYTES");
  const char *part = getenv("FAULT_PATH");
  char link[64], path[4096];
  if (limit == NULL || part == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  if (strstr(path, part) == NULL) return 0;
  if (written + (long long)count > atoll(limit)) return 1;
  written += (long long)count;
  return 0;
}

ssize_t write(int descriptor, const void *data, size_t count) {
  static ssize_t (*real)(int, const void *, size_t);
  if (real == NULL) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (full(descriptor, count)) return errno = ENOSPC, -1;
  return real(descriptor, data, count);
}

ssize_t pwrite(int descriptor, const void *data, size_t count, off_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (real == NULL) real = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
  if (full(descriptor, count)) return errno = ENOSPC, -1;
  return real(descriptor, data, count, offset);
}

ssize_t pwrite64(int descriptor, const void *data, size_t count, off_t offset) {
  return pwrite(descriptor, data, count, offset);
}
