/* SPDX-License-Identifier: MIT
 *
 * process.c: see process.h. From /proc/self, whose fields proc(5) numbers.
 */
#include "server/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t count_descriptors(void) {
  uint64_t count = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) return 0;
  for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
    if (entry->d_name[0] != '.') count++;
  closedir(dir);
  return count > 0 ? count - 1 : 0; /* one of them was for looking */
}

/* Ticks since boot to seconds since the epoch. */
static double since_epoch(unsigned long long ticks, double ticks_per_s) {
  struct timespec now;
  struct timespec up;
  clock_gettime(CLOCK_REALTIME, &now);
  clock_gettime(CLOCK_BOOTTIME, &up);
  double booted = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
  return booted + (double)ticks / ticks_per_s;
}

static void read_stat(srv_process *process) {
  char line[1024];
  unsigned long long user, system, threads, started, bytes;
  long pages;
  FILE *in = fopen("/proc/self/stat", "re");
  if (in == NULL) return;
  size_t got = fread(line, 1, sizeof(line) - 1, in);
  fclose(in);
  line[got] = '\0';
  const char *rest = strrchr(line, ')'); /* the name may have blanks, and parentheses */
  if (rest == NULL) return;
  int fields = sscanf(rest + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu"
                      " %*d %llu %llu %ld",
                      &user, &system, &threads, &started, &bytes, &pages);
  if (fields != 6) return;
  double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
  process->cpu_seconds = (double)(user + system) / ticks_per_s;
  process->threads = threads;
  process->start_seconds = since_epoch(started, ticks_per_s);
  process->virtual_bytes = bytes;
  process->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void srv_process_read(srv_process *ret_process) {
  struct rlimit limit;
  *ret_process = (srv_process){0};
  read_stat(ret_process);
  ret_process->open_fds = count_descriptors();
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) ret_process->max_fds = limit.rlim_cur;
}
