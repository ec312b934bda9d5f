/* SPDX-License-Identifier: MIT
 *
 * cli_precompile.h: what the parts of `kiln precompile` share: the baking (cli_precompile.c), the
 * files it writes (cli_output.c), what it tells (cli_report.c).
 */
#ifndef KILN_TOOLKIT_CLI_PRECOMPILE_H
#define KILN_TOOLKIT_CLI_PRECOMPILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "toolkit/cli.h"

typedef struct kiln__failure {
  char code[64];
  char name[64];
  char message[512];
  int line;
  int column;
} kiln__failure;

/* One file on its way. */
typedef struct kiln__item {
  struct kiln__baking *baking;
  struct kiln__item *next; /* in the list of those that are done, or to be tried again */
  const kiln__cli_file *file;
  char *filename;      /* absolute: V8's resource name */
  kiln_bytes *source;  /* read ahead; NULL: not yet */
  kiln__cli_kind kind; /* as tried now */
  bool guessed;        /* from nothing but the hope that it compiles */
  bool finished;
  kiln__failure *failure; /* NULL: it is baked */
  char *store_message;    /* why the store did not take it; NULL: it did, or nobody knows */
  kiln_cache cache;
  char key[KILN_KEY_HEX + 1];
  char source_sha256[KCC_HEX_BYTES]; /* with --out only */
  uint64_t source_length;
  uint64_t blob_length;
  kiln_times times;
  kiln_bytes *blob; /* with --out, until written */
} kiln__item;

typedef struct kiln__baking {
  const kiln__cli_command *self;
  kiln *k;
  kiln_engine_info engine;
  /* the command line */
  const char *store_option;
  const char *out;
  kiln__cli_kind kind;
  kiln_mode mode;
  kiln_bytes *workload;
  kiln_span *params; /* of --kind function */
  size_t params_count;
  unsigned jobs;
  unsigned timeout_ms;
  bool keep_sources;
  bool json;
  bool quiet;
  /* the files, in the order of the command line */
  kiln__cli_files files;
  kiln__item *items;
  /* progress */
  size_t finished;
  size_t failed;
  size_t hits;
  size_t not_stored; /* baked, but the store did not take it */
  uint64_t started_ns;
  uint64_t drawn_ns;
  bool terminal;
  atomic_bool opened; /* the kiln, or not for ever */
  /* from done functions to the main thread */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  kiln__item *done;
} kiln__baking;

uint64_t kiln__cli_now_ns(void);

/* Notes that an item failed for a reason that is not the script's. */
void kiln__item_fail(kiln__item *item, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Checks that no two files would be written to one place. False after a complaint. */
bool kiln__output_check(const kiln__baking *baking);
/* Writes an item's blob as OUT/<its path>.cache; a failure is the item's. */
void kiln__output_blob(kiln__item *item);
/* Writes OUT/manifest.json. False after a complaint. */
bool kiln__output_manifest(const kiln__baking *baking);

/* Draws the bar on a terminal, not more often than the eye can see. */
void kiln__report_progress(kiln__baking *baking);
/* Takes the bar away. */
void kiln__report_clear(const kiln__baking *baking);
/* Prints what became of all files on stdout; returns the exit status. */
int kiln__report(const kiln__baking *baking);

#endif
