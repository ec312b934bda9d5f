/* SPDX-License-Identifier: MIT
 *
 * process_memory.c: how much memory another process has, from /proc.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toolkit/pool_private.h"

static uint64_t read_kilobytes(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

uint64_t kiln__process_private_bytes(pid_t pid) {
  char path[64], text[4096];
  unsigned long resident = 0, shared = 0;
  snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
  FILE *file = fopen(path, "re");
  size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
  if (file) fclose(file);
  text[length] = '\0';
  if (length > 0)
    return read_kilobytes(text, "Private_Clean:") + read_kilobytes(text, "Private_Dirty:") +
           read_kilobytes(text, "Swap:");
  snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
  file = fopen(path, "re");
  if (!file || fscanf(file, "%*u %lu %lu", &resident, &shared) != 2) resident = shared = 0;
  if (file) fclose(file);
  return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t kiln__process_data_bytes(pid_t pid, uint64_t otherwise) {
  char path[64];
  unsigned long pages = 0;
  snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
  FILE *file = fopen(path, "re");
  bool good = file && fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) == 1;
  if (file) fclose(file);
  return good ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : otherwise;
}
