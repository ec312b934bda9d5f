/* SPDX-License-Identifier: MIT
 *
 * cli_bake.c: the baking of `kiln precompile`.
 *
 * The big files first, so that no worker is left with the biggest at the end; a file for all
 * engines together, so that it is read and digested once. The main thread reads the next files
 * while workers compile; no more files are in memory than keep the workers busy.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/cli_precompile.h"
#include "toolkit/service.h"
#include "toolkit/status.h"

void kiln__item_fail(kiln__item *item, const char *code, const char *format, ...) {
  if (item->failure == NULL) item->failure = calloc(1, sizeof(*item->failure));
  if (item->failure == NULL) {
    /* Nothing can be told any more. */
    kiln__cli_complain(item->baking->self, "out of memory");
    exit(KILN__CLI_FAILED);
  }
  (void)snprintf(item->failure->code, sizeof(item->failure->code), "%s", code);
  va_list args;
  va_start(args, format);
  (void)vsnprintf(item->failure->message, sizeof(item->failure->message), format, args);
  va_end(args);
}

const char *kiln__item_engine(const kiln__item *item) {
  return item->baking->engines[item->engine].name;
}

const char *kiln__item_prefix(const kiln__item *item, char ret_prefix[40]) {
  bool several = item->baking->engines_count > 1;
  (void)snprintf(ret_prefix, 40, "%s%s", several ? kiln__item_engine(item) : "",
                 several ? ": " : "");
  return ret_prefix;
}

/* On any thread, also in kiln_submit() on the main one. */
static void item_done(void *user, const kiln_response *response) {
  kiln__item *item = user;
  kiln__baking *baking = item->baking;
  item->cache = response->cache;
  memcpy(item->key, response->key, sizeof(item->key));
  item->times = response->times;
  item->blob_length = response->blob_length;
  if (response->status != KILN_OK) {
    kiln__item_fail(item, response->error.code, "%s", response->error.message);
  } else if (response->outcome != KILN_OUTCOME_OK) {
    const char *code = response->code != NULL && *response->code != '\0'
                           ? response->code
                           : kiln_outcome_word(response->outcome);
    kiln__item_fail(
        item, code, "%s",
        response->message != NULL ? response->message : kiln_outcome_word(response->outcome));
    item->failure->line = response->line;
    item->failure->column = response->column;
    (void)snprintf(item->failure->name, sizeof(item->failure->name), "%s",
                   response->name != NULL ? response->name : "");
  } else {
    if (response->blob != NULL) {
      kiln_bytes_unref(item->blob);
      item->blob = kiln_bytes_ref(response->blob);
    }
    if (response->cache == KILN_CACHE_BYPASS && response->error.message[0] != '\0') {
      item->store_message = strdup(response->error.message);
    }
  }
  (void)pthread_mutex_lock(&baking->mutex);
  item->next = baking->done;
  baking->done = item;
  (void)pthread_cond_signal(&baking->wake);
  (void)pthread_mutex_unlock(&baking->mutex);
}

/* ---- sources ------------------------------------------------------------------------- */

/* Digests bytes into `ret_hex`, unless that is done. */
static kiln_status digest(kiln_bytes *bytes, char ret_hex[KCC_HEX_BYTES], kiln_error *err) {
  kcc_digest sha256;
  kcc_error error;
  if (ret_hex[0] != '\0') return KILN_OK;
  if (kiln__source_digest(bytes, &sha256, &error) != KCC_OK) return kiln__from_kcc(&error, err);
  kcc_digest_format(&sha256, ret_hex);
  return KILN_OK;
}

kiln_status kiln__source_read(const kiln__baking *baking, kiln__source *source, kiln_error *err) {
  if (source->text != NULL) return KILN_OK;
  kiln_status status = kiln__cli_read(source->file->path, &source->text, err);
  if (status != KILN_OK) return status;
  source->length = kiln_bytes_get(source->text).length;
  source->sha256[0] = '\0';
  return baking->out == NULL ? KILN_OK : digest(source->text, source->sha256, err);
}

/* Makes the text of a wrapper. */
static kiln_status wrap(const kiln__baking *baking, kiln__source *source, kiln_error *err) {
  if (source->wrapped != NULL) return KILN_OK;
  source->wrapped = kiln__cli_wrap(source->text);
  if (source->wrapped == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "out of memory");
  source->wrapped_length = kiln_bytes_get(source->wrapped).length;
  source->wrapped_sha256[0] = '\0';
  return baking->out == NULL ? KILN_OK : digest(source->wrapped, source->wrapped_sha256, err);
}

void kiln__source_release(kiln__source *source) {
  kiln_bytes_unref(source->text);
  kiln_bytes_unref(source->wrapped);
  source->text = NULL;
  source->wrapped = NULL;
}

/* Of what is read before the engine is ready. */
#define AHEAD_BYTES_MAX ((size_t)64 << 20)

/* While an engine starts: what its first jobs are. The rest would take a core from it, and can be
 * read while those are done. What cannot be read is reported when it is its turn. */
void kiln__bake_ahead(const kiln__baking *baking, kiln__source **order) {
  size_t bytes = 0;
  kcc_digest sha256;
  for (size_t i = 0; i < baking->files.count && i < baking->jobs; i++) {
    kiln__source *source = order[i];
    if (kiln__source_read(baking, source, /* err= */ NULL) != KILN_OK) continue;
    if (source->kind != KILN__CLI_WRAPPER) {
      (void)kiln__source_digest(source->text, &sha256, /* err= */ NULL);
    } else if (wrap(baking, source, /* err= */ NULL) == KILN_OK) {
      (void)kiln__source_digest(source->wrapped, &sha256, /* err= */ NULL);
    }
    bytes += source->length;
    if (bytes > AHEAD_BYTES_MAX || atomic_load(&baking->opened)) return;
  }
}

/* ---- one item ------------------------------------------------------------------------ */

/* What has been recorded for an item, if it is what it was said to be, and of this very source. */
static kiln_status read_recorded(const kiln__item *item, kiln_bytes **ret_blob, kiln_error *err) {
  const kiln__recorded *recorded = item->recorded;
  char hex[KCC_HEX_BYTES] = "";
  kiln_bytes *blob;
  if (strcmp(recorded->source_sha256, item->source->sha256) != 0) {
    return kiln__fail(err, KILN_EINVAL, NULL, "the file has changed since");
  }
  kiln_status status = kiln__cli_read(recorded->path, &blob, err);
  if (status != KILN_OK) return status;
  if (kiln_bytes_get(blob).length != recorded->blob_bytes) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "its size is wrong");
  }
  if (status == KILN_OK) status = digest(blob, hex, err);
  if (status == KILN_OK && strcmp(hex, recorded->blob_sha256) != 0) {
    status = kiln__fail(err, KILN_EINVAL, NULL, "its SHA-256 is wrong");
  }
  if (status == KILN_OK) {
    *ret_blob = blob;
  } else {
    kiln_bytes_unref(blob);
  }
  return status;
}

static const kiln_span *commonjs_params(void) {
  static kiln_span params[KILN__CLI_COMMONJS_PARAMS];
  for (size_t i = 0; i < KILN__CLI_COMMONJS_PARAMS; i++) {
    params[i] = kiln_span_from(kiln__cli_commonjs_params[i]);
  }
  return params;
}

static kiln_status submit_request(kiln__item *item, kiln_request *request, kiln_error *err) {
  const kiln__baking *baking = item->baking;
  kiln__source *source = item->source;
  kiln_status status = KILN_OK;
  request->source = source->text;
  switch (item->kind) {
    case KILN__CLI_MODULE:
      request->kind = KILN_MODULE;
      break;
    case KILN__CLI_COMMONJS:
      request->kind = KILN_FUNCTION;
      request->params = commonjs_params();
      request->params_count = KILN__CLI_COMMONJS_PARAMS;
      break;
    case KILN__CLI_FUNCTION:
      request->kind = KILN_FUNCTION;
      request->params = baking->params;
      request->params_count = baking->params_count;
      break;
    case KILN__CLI_WRAPPER:
      status = wrap(baking, source, err);
      request->source = source->wrapped;
      request->line_offset = KILN__CLI_WRAPPER_LINE_OFFSET;
      break;
    case KILN__CLI_SCRIPT:
    case KILN__CLI_AUTO:
      break;
  }
  if (status == KILN_OK) status = kiln_submit(baking->k, request, item_done, item, err);
  return status;
}

/* Hands an item to the kiln; false: it has failed already. */
static bool submit(kiln__item *item) {
  const kiln__baking *baking = item->baking;
  const kiln__cli_file *file = item->source->file;
  kiln_bytes *blob = NULL, *command = NULL;
  kiln_error error;
  if (kiln__source_read(baking, item->source, &error) != KILN_OK) {
    kiln__item_fail(item, "ERR_READ", "%s", error.message);
    return false;
  }
  kiln_request request = {
      .op = baking->out != NULL ? KILN_CREATE_CACHED_DATA : KILN_COMPILE,
      /* A pipe has no other name than the one given. */
      .filename = kiln_span_from(file->absolute != NULL ? file->absolute : file->path),
      .engine = kiln_span_from(kiln__item_engine(item)),
      .mode = baking->mode,
      .workload = baking->workload,
      .timeout_ms = baking->timeout_ms};
  kiln_status status = KILN_OK;
  if (item->recorded != NULL) {
    const char *text = baking->exercises[item->recorded->exercise];
    item->kind = item->recorded->kind;
    status = read_recorded(item, &blob, &error);
    command = kiln_bytes_new(text, strlen(text));
    if (status == KILN_OK && command == NULL) {
      status = kiln__fail(&error, KILN_ENOMEM, NULL, "out of memory");
    }
    request.op = KILN_IMPORT;
    request.blob = blob;
    request.mode = KILN_WORKLOAD;
    request.workload = command;
    if (blob != NULL) item->blob = kiln_bytes_ref(blob);
  }
  if (status == KILN_OK) status = submit_request(item, &request, &error);
  if (status != KILN_OK) kiln__item_fail(item, error.code, "%s", error.message);
  kiln_bytes_unref(blob);
  kiln_bytes_unref(command);
  return status == KILN_OK;
}

static void complain_failure(const kiln__item *item) {
  const kiln__failure *failure = item->failure;
  char prefix[40], place[64] = "";
  if (failure->line > 0) {
    (void)snprintf(place, sizeof(place), ":%d:%d", failure->line, failure->column);
  }
  kiln__cli_bar_clear(&item->baking->bar);
  kiln__cli_complain(item->baking->self, "%s%s%s: %s%s%s", kiln__item_prefix(item, prefix),
                     item->source->file->path, place, failure->name,
                     *failure->name != '\0' ? ": " : "", failure->message);
}

/* True: a recorded blob was no good, and the file is to be baked like the others. */
static bool fall_back(kiln__item *item) {
  char prefix[40];
  if (item->recorded == NULL) return false;
  kiln__recorded *recorded = item->recorded;
  item->recorded = NULL;
  if (item->failure == NULL) {
    item->exercise = recorded->exercise + 1;
    free(recorded);
    return false;
  }
  kiln__cli_bar_clear(&item->baking->bar);
  kiln__cli_complain(item->baking->self, "%s%s: what it used was recorded, but not taken: %s",
                     kiln__item_prefix(item, prefix), item->source->file->path,
                     item->failure->message);
  free(recorded);
  free(item->failure);
  item->failure = NULL;
  item->kind = item->source->kind;
  item->guessed = item->source->guessed;
  return true;
}

/* Whether a file that was taken for something else is to be tried again, and as what. */
static bool try_other_kind(kiln__item *item) {
  if (item->failure == NULL || !item->guessed || strcmp(item->failure->name, "SyntaxError") != 0) {
    return false;
  }
  kiln__cli_kind other = kiln__cli_kind_after(item->failure->message);
  item->guessed = false;
  if (other == KILN__CLI_AUTO || other == item->kind) return false;
  item->kind = other;
  free(item->failure);
  item->failure = NULL;
  /* The next engine need not find that out again. */
  if (item->source->guessed) item->source->kind = other;
  return true;
}

static void count(kiln__item *item) {
  kiln__baking *baking = item->baking;
  kiln__tally *sums[] = {&baking->sum, &baking->tallies[item->engine]};
  for (size_t i = 0; i < 2; i++) {
    if (item->failure != NULL) {
      sums[i]->failed++;
    } else {
      if (item->cache == KILN_CACHE_HIT) sums[i]->hits++;
      if (item->cache == KILN_CACHE_BYPASS) sums[i]->not_stored++;
      if (item->exercise > 0) sums[i]->exercised++;
    }
  }
}

/* Takes note of an item that came back. True: try it again. */
static bool settle(kiln__item *item) {
  kiln__baking *baking = item->baking;
  if (fall_back(item) || try_other_kind(item)) {
    kiln_bytes_unref(item->blob);
    item->blob = NULL;
    return true;
  }
  if (item->failure == NULL && baking->out != NULL) kiln__output_blob(item);
  kiln_bytes_unref(item->blob);
  item->blob = NULL;
  item->finished = true;
  baking->finished++;
  if (--item->source->pending == 0) kiln__source_release(item->source);
  if (item->failure != NULL) {
    complain_failure(item);
  } else if (item->cache == KILN_CACHE_BYPASS && baking->sum.not_stored == 0 &&
             item->store_message != NULL) {
    /* One reason is enough: a full disk is full for all. */
    kiln__cli_bar_clear(&baking->bar);
    kiln__cli_complain(baking->self, "%s", item->store_message);
  }
  count(item);
  return false;
}

/* ---- all ----------------------------------------------------------------------------- */

typedef struct queue {
  kiln__baking *baking;
  kiln__source **order;
  kiln__item *again;
  size_t next;
} queue;

/* The item whose turn it is; NULL: all are on their way. */
static kiln__item *take(queue *q) {
  kiln__baking *baking = q->baking;
  kiln__item *item = q->again;
  if (item != NULL) {
    q->again = item->next;
    return item;
  }
  if (q->next == baking->items_count) return NULL;
  size_t file = (size_t)(q->order[q->next / baking->engines_count] - baking->sources);
  item = &baking->items[file * baking->engines_count + q->next % baking->engines_count];
  q->next++;
  item->kind = item->source->kind;
  item->guessed = item->source->guessed;
  return item;
}

void kiln__bake_all(kiln__baking *baking, kiln__source **order) {
  /* Of several engines each has a pool of its own: then this is what bounds their processes. */
  size_t window = baking->engines_count == 1 ? 2 * (size_t)baking->jobs + 2 : baking->jobs + 1;
  size_t flying = 0;
  queue q = {.baking = baking, .order = order};
  while (baking->finished < baking->items_count) {
    kiln__item *item = flying < window ? take(&q) : NULL;
    if (item != NULL) {
      if (submit(item)) {
        flying++;
      } else if (settle(item)) {
        item->next = q.again;
        q.again = item;
      }
    }
    (void)pthread_mutex_lock(&baking->mutex);
    while (item == NULL && baking->done == NULL) {
      (void)pthread_cond_wait(&baking->wake, &baking->mutex);
    }
    kiln__item *done = baking->done;
    baking->done = NULL;
    (void)pthread_mutex_unlock(&baking->mutex);
    while (done != NULL) {
      item = done;
      done = item->next;
      flying--;
      if (settle(item)) {
        item->next = q.again;
        q.again = item;
      }
    }
    kiln__report_progress(baking);
  }
  kiln__cli_bar_clear(&baking->bar);
}
