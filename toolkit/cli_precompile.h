/* SPDX-License-Identifier: MIT
 *
 * cli_precompile.h: what the parts of `kiln precompile` share: the command line
 * (cli_precompile.c), the baking (cli_bake.c), programs that are run for what they use
 * (cli_exercise.c), the folder it writes (cli_output.c), what it tells (cli_report.c).
 */
#ifndef KILN_TOOLKIT_CLI_PRECOMPILE_H
#define KILN_TOOLKIT_CLI_PRECOMPILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "toolkit/cli.h"

#define KILN__EXERCISES_MAX 64

typedef struct kiln__failure {
  char code[64];
  char name[64];
  char message[512];
  int line;
  int column;
} kiln__failure;

/* A file, in memory while engines work on it. */
typedef struct kiln__source {
  const kiln__cli_file *file;
  const char *name; /* with --out: below the root, lent from the file */
  kiln__cli_kind kind;
  bool guessed;        /* the kind, from nothing but the hope that it compiles */
  size_t pending;      /* engines that are not done with it */
  kiln_bytes *text;    /* read ahead; NULL: not yet, or no more */
  kiln_bytes *wrapped; /* as wrapper; NULL: not needed yet */
  uint64_t length;
  uint64_t wrapped_length;
  char sha256[KCC_HEX_BYTES]; /* with --out; empty: not read yet */
  char wrapped_sha256[KCC_HEX_BYTES];
} kiln__source;

/* A blob that a program made while it ran; the file is in a folder of ours. */
typedef struct kiln__recorded {
  kiln__cli_kind kind;
  size_t exercise;
  char source_sha256[KCC_HEX_BYTES];
  char blob_sha256[KCC_HEX_BYTES];
  uint64_t blob_bytes;
  char path[];
} kiln__recorded;

/* One file for one engine. */
typedef struct kiln__item {
  struct kiln__baking *baking;
  struct kiln__item *next; /* in the list of those that are done, or to be tried again */
  kiln__source *source;
  size_t engine;
  kiln__cli_kind kind; /* as tried now */
  bool guessed;
  bool finished;
  kiln__failure *failure; /* NULL: it is baked */
  char *store_message;    /* why the store did not take it; NULL: it did, or nobody knows */
  kiln_cache cache;
  char key[KILN_KEY_HEX + 1];
  uint64_t blob_length;
  kiln_times times;
  kiln_bytes *blob;         /* with --out, until written */
  kiln__recorded *recorded; /* to be taken; NULL: bake it */
  size_t exercise;          /* 1 and up: the blob is of that --exercise */
  uint64_t offset;          /* in the pack */
  char blob_sha256[KCC_HEX_BYTES];
} kiln__item;

/* What is counted for an engine. */
typedef struct kiln__tally {
  size_t failed;
  size_t hits;
  size_t exercised;
  size_t not_stored; /* baked, but the store did not take it */
} kiln__tally;

typedef struct kiln__output kiln__output;

typedef struct kiln__baking {
  const kiln__cli_command *self;
  kiln *k;
  kiln_engine_info *engines;
  char (*node_versions)[32]; /* by engine; "": it has no node */
  char (*node_flags)[256];   /* V8 flags that its node is to be started with */
  size_t engines_count;
  /* the command line */
  const char *store_option;
  const char *engines_option; /* --engines-dir */
  const char *specs[KILN_ENGINES_MAX];
  size_t specs_count;
  const char *out;
  const char *root_option;
  const char *exercises[KILN__EXERCISES_MAX];
  size_t exercises_count;
  unsigned exercise_ms;
  kiln__cli_kind kind;
  kiln_mode mode;
  kiln_bytes *workload;
  char workload_sha256[KCC_HEX_BYTES];
  kiln_span *params; /* of --kind function */
  size_t params_count;
  unsigned jobs;
  unsigned timeout_ms;
  bool forget_sources;
  bool separate_files; /* --files */
  bool json;
  bool quiet;
  bool verbose;
  /* the files, in the order of the command line, and the items, each file's together */
  kiln__cli_files files;
  kiln__source *sources;
  kiln__item *items;
  size_t items_count;
  kiln__output *output; /* with --out */
  char *recordings;     /* folder with what programs recorded; NULL: none */
  bool exercise_failed;
  /* progress */
  size_t finished;
  kiln__tally sum;
  kiln__tally *tallies; /* by engine */
  uint64_t started_ns;
  kiln__cli_bar bar;
  atomic_bool opened; /* the kiln, or not for ever */
  /* from done functions to the main thread */
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  kiln__item *done;
} kiln__baking;

/* Notes that an item failed for a reason that is not the script's. */
void kiln__item_fail(kiln__item *item, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *kiln__item_engine(const kiln__item *item);
/* What is told of it, "" or "NAME: ", where there are several engines. */
const char *kiln__item_prefix(const kiln__item *item, char ret_prefix[40]);

/* ---- cli_bake.c ---------------------------------------------------------------------- */

/* Reads and digests the files whose turn comes first, until the kiln is open. */
void kiln__bake_ahead(const kiln__baking *baking, kiln__source **order);
/* Reads a file, and digests it where that is wanted. KILN_EINVAL ... with the reason. */
kiln_status kiln__source_read(const kiln__baking *baking, kiln__source *source, kiln_error *err);
void kiln__source_release(kiln__source *source);
/* Bakes each file for each engine; settles all items. */
void kiln__bake_all(kiln__baking *baking, kiln__source **order);

/* ---- cli_exercise.c ------------------------------------------------------------------ */

/* Runs the programs of --exercise for each engine and notes with the items what they recorded. What
 * fails is complained of, and noted in exercise_failed. */
void kiln__exercise_all(kiln__baking *baking);
/* Removes the recordings. */
void kiln__exercise_release(kiln__baking *baking);

/* ---- cli_output.c -------------------------------------------------------------------- */

/* Finds the root and the files' names below it. False after a complaint. */
bool kiln__output_name(kiln__baking *baking);
/* Makes the folder and what is needed to write into it; what is there must be a baked folder that
 * can be added to. False after a complaint. */
bool kiln__output_open(kiln__baking *baking);
/* Writes an item's blob; a failure is the item's. */
void kiln__output_blob(kiln__item *item);
/* Writes manifest and indexes, which makes the blobs known. False after a complaint. */
bool kiln__output_finish(kiln__baking *baking);
void kiln__output_close(kiln__baking *baking);

/* ---- cli_report.c -------------------------------------------------------------------- */

json_t *kiln__times_json(const kiln_times *times);
void kiln__report_progress(kiln__baking *baking);
/* Prints what became of all files on stdout; returns the exit status. */
int kiln__report(const kiln__baking *baking);

#endif
