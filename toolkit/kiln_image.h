/* SPDX-License-Identifier: MIT
 *
 * kiln_image.h: preloaded images. A part of kiln.h, whose conventions hold here; include that.
 *
 * An image is a context in which scripts and modules have run already, in an engine process of its
 * own. A run that names it (kiln_request.image) starts in a fork of that process: what the image
 * left is there at once, and nothing of the run is there for the next. An image's code is a guest's
 * like any other, under the same sandbox and limits, and its process makes no blobs for the store.
 *
 * A run's limits on memory count from what the image has. Math.random() differs from run to run;
 * the run's `globals` are those it added. The context's options are the image's: a run names none.
 *
 * The image's sources are kept. Its process ends when nobody has used it for image_idle_ms, or when
 * images need more memory than images_max_bytes and this one was used longest ago; it may also be
 * killed. The next run that names the image makes the process again, and waits for it. After
 * forks_per_zygote forks it is replaced by a new one in the background. What the image's code does
 * must therefore not depend on when it runs.
 */
#ifndef KILN_TOOLKIT_KILN_IMAGE_H
#define KILN_TOOLKIT_KILN_IMAGE_H

#include "kiln.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_IMAGE_ID_HEX 32
#define KILN_IMAGES_MAX 1024 /* that kiln_options.images_max may be */

typedef struct kiln_image_script {
  kiln_bytes *source;
  kiln_span key;      /* 64 hex digits instead of a source, if the store kept it */
  kiln_span filename; /* empty: that of the key's entry, else "scripts[N]" */
} kiln_image_script;

/* All of it is read during kiln_image_create() (references are taken to the bytes). */
typedef struct kiln_image_request {
  kiln_span engine; /* a spec; empty: the default */
  kiln_span name;   /* for people; empty: none */
  kiln_span globals_json;
  const kiln_image_script *scripts; /* run in this order */
  size_t scripts_count;
  const kiln_named_source *modules;
  size_t modules_count;
  kiln_span entry; /* the specifier of the module to evaluate, after the scripts */
  kiln_span context_name;
  kiln_span context_origin;
  bool microtasks_after_evaluate;
  bool deny_strings;
  bool deny_wasm;
  unsigned timeout_ms; /* of the whole load; 0: the kiln's default */
} kiln_image_request;

/* Makes an image and loads it; `done` as for kiln_submit(), when a fork of it has done an empty
 * job. The response's op is KILN_IMAGE; beside image_id and image_bytes it has times and
 * console_json. Where the outcome is not OK, the exception says why, and there is no image.
 * KILN_EBUSY: there are images_max; KILN_ETOOBIG: over a limit, of images_max_bytes also the image
 * alone. */
KILN_API kiln_status kiln_image_create(kiln *k, const kiln_image_request *request,
                                       kiln_done_fn done, void *user, kiln_error *err);

/* Forgets it; runs under way in it go on, those that wait are KILN_NOT_FOUND. KILN_NOT_FOUND. */
KILN_API kiln_status kiln_image_delete(kiln *k, kiln_span id, kiln_error *err);

/* X(symbol, word) */
#define KILN_IMAGE_STATE_MAP(X)                                                                   \
  X(KILN_IMAGE_LOADING, "loading")                                                                \
  X(KILN_IMAGE_READY, "ready")                                                                    \
  X(KILN_IMAGE_EVICTED, "evicted") /* it has no process now */                                    \
  X(KILN_IMAGE_FAILED, "failed")   /* three processes in a row ended before a run; runs that name \
                                      it end as ERR_IMAGE_FAILED */
typedef enum kiln_image_state {
#define KILN_IMAGE_STATE_ENUM(symbol, word) symbol,
  KILN_IMAGE_STATE_MAP(KILN_IMAGE_STATE_ENUM)
#undef KILN_IMAGE_STATE_ENUM
} kiln_image_state;
KILN_API const char *kiln_image_state_word(kiln_image_state state);

typedef struct kiln_image_info {
  char id[KILN_IMAGE_ID_HEX + 1];
  char name[128];
  char engine[32];
  kiln_image_state state;
  uint64_t memory_bytes; /* private to its process; 0: it has none */
  uint64_t source_bytes; /* kept; both count in images_max_bytes */
  uint64_t runs;
  uint64_t loads;
  uint64_t load_ns; /* the last one: compiling and running */
  uint64_t age_ms;
  uint64_t idle_ms; /* since a run named it */
} kiln_image_info;
/* KILN_NOT_FOUND. */
KILN_API kiln_status kiln_image_get(kiln *k, kiln_span id, kiln_image_info *ret_info,
                                    kiln_error *err);
/* Fills up to `max`, the oldest first; returns how many there are. */
KILN_API size_t kiln_image_list(kiln *k, kiln_image_info *ret_infos, size_t max);

#ifdef __cplusplus
}
#endif
#endif
