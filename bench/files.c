/* SPDX-License-Identifier: MIT
 *
 * files.c: whole files, the temporary directory, the corpus. Dies at what is not there: a benchmark
 * without its input has nothing to say.
 */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define FILE_MAX ((long)256 << 20)

char *bench_format(const char *format, ...) {
  char *text;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&text, format, args);
  va_end(args);
  if (length < 0) bench_die("out of memory");
  return text;
}

bench_file bench_read(const char *path) {
  bench_file file = {NULL, 0};
  struct stat status;
  FILE *in = fopen(path, "rb");
  if (in == NULL || fstat(fileno(in), &status) != 0) bench_die("'%s': %s", path, strerror(errno));
  if (status.st_size > FILE_MAX) bench_die("'%s': over %ld bytes", path, FILE_MAX);
  file.length = (size_t)status.st_size;
  file.data = malloc(file.length + 1);
  if (file.data == NULL) bench_die("out of memory");
  if (fread(file.data, 1, file.length, in) != file.length) bench_die("'%s': cut short", path);
  file.data[file.length] = '\0';
  fclose(in);
  return file;
}

void bench_write(const char *path, const void *data, size_t length) {
  FILE *out = fopen(path, "wb");
  if (out == NULL || fwrite(data, 1, length, out) != length || fclose(out) != 0) {
    bench_die("'%s': %s", path, strerror(errno));
  }
}

static char temp[4096];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place) {
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

static void remove_temp(void) {
  nftw(temp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *bench_temp_dir(void) {
  if (temp[0] != '\0') return temp;
  const char *base = getenv("TMPDIR");
  int length = snprintf(temp, sizeof temp, "%s/kiln-bench-XXXXXX", base != NULL ? base : "/tmp");
  if (length < 0 || (size_t)length >= sizeof temp || mkdtemp(temp) == NULL) {
    bench_die("no temporary directory: %s", strerror(errno));
  }
  if (atexit(remove_temp) != 0) bench_die("out of memory");
  return temp;
}

void bench_corpus_load(bench_corpus *ret_corpus) {
  bench_file list = bench_read(KILN_SOURCE_DIR "/tests/corpus/corpus.txt");
  char *rest = list.data;
  ret_corpus->count = 0;
  for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
    char *name = strsep(&line, " ");
    char *file = line != NULL ? strsep(&line, " ") : NULL;
    if (name[0] == '#' || file == NULL) continue;
    if (ret_corpus->count == BENCH_BUNDLES_MAX) bench_die("corpus.txt: over %d", BENCH_BUNDLES_MAX);
    bench_bundle *bundle = &ret_corpus->bundles[ret_corpus->count++];
    bundle->name = bench_format("%s", name);
    bundle->path = bench_format("%s/build/npm/node_modules/%s", KILN_SOURCE_DIR, file);
    if (access(bundle->path, R_OK) != 0) bench_die("'%s' is not there: ./run setup", bundle->path);
  }
  free(list.data);
}

void bench_corpus_release(bench_corpus *corpus) {
  for (size_t i = 0; i < corpus->count; i++) {
    free(corpus->bundles[i].name);
    free(corpus->bundles[i].path);
  }
  corpus->count = 0;
}
