/* SPDX-License-Identifier: MIT
 *
 * image.c: the images of a kiln: made, found, deleted, held to their limits. Their processes are
 * the pools' part (pool_image.c), which tell here what happened to them, on their threads.
 */
#include "toolkit/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "toolkit/status.h"

#define MS UINT64_C(1000000)

struct kiln__image {
  kiln__image *next; /* the younger ones */
  kiln *k;
  kiln_image_info info; /* without age_ms and idle_ms */
  const kiln__engine *engine;
  kiln_pool_image *pooled;
  uint64_t created_ns, used_ns;
  bool listed;
  /* until the first load has ended */
  kiln_done_fn done;
  void *user;
};

static const char *const state_words[] = {
#define STATE_WORD(symbol, word) word,
    KILN_IMAGE_STATE_MAP(STATE_WORD)
#undef STATE_WORD
};

const char *kiln_image_state_word(kiln_image_state state) {
  return (unsigned)state < sizeof(state_words) / sizeof(state_words[0]) ? state_words[state] : "?";
}

void kiln__images_init(kiln__images *images) {
  (void)pthread_mutex_init(&images->mutex, /* attributes= */ NULL);
}

void kiln__images_destroy(kiln__images *images) {
  (void)pthread_mutex_destroy(&images->mutex);
}

/* ---- under the mutex ---------------------------------------------------------------------------
 */

static kiln__image *find(kiln__images *images, kiln_span id) {
  if (id.length != KILN_IMAGE_ID_HEX) return NULL;
  for (kiln__image *image = images->first; image != NULL; image = image->next)
    if (memcmp(image->info.id, id.data, KILN_IMAGE_ID_HEX) == 0) return image;
  return NULL;
}

static kiln_status fail_unknown(kiln_span id, kiln_error *err) {
  char quoted[KILN__QUOTE_BYTES];
  return kiln__fail(err, KILN_NOT_FOUND, NULL, "image %s: not found", kiln__quote(id, quoted));
}

static void list(kiln__images *images, kiln__image *image) {
  kiln__image **at = &images->first;
  while (*at != NULL) at = &(*at)->next;
  *at = image;
  image->listed = true;
  images->count++;
}

static void unlist(kiln__images *images, kiln__image *image) {
  if (!image->listed) return;
  kiln__image **at = &images->first;
  while (*at != image) at = &(*at)->next;
  *at = image->next;
  image->next = NULL;
  image->listed = false;
  images->count--;
}

static uint64_t total_bytes(const kiln__images *images) {
  uint64_t total = 0;
  for (const kiln__image *image = images->first; image != NULL; image = image->next)
    total += image->info.memory_bytes + image->info.source_bytes;
  return total;
}

/* Ends processes, the longest unused first, until the images are within their limit again. */
static void make_room(kiln *k, const kiln__image *newest) {
  kiln__images *images = &k->images;
  while (total_bytes(images) > k->options.images_max_bytes) {
    kiln__image *oldest = NULL;
    for (kiln__image *image = images->first; image != NULL; image = image->next) {
      if (image == newest || image->info.memory_bytes == 0) continue;
      if (oldest == NULL || image->used_ns < oldest->used_ns) oldest = image;
    }
    if (oldest == NULL) return;
    oldest->info.memory_bytes = 0;
    oldest->info.state = KILN_IMAGE_EVICTED;
    kiln_pool_image_evict(oldest->pooled);
  }
}

/* ---- what the pools tell -----------------------------------------------------------------------
 */

static void note_load(kiln__image *image, const kiln_job_result *result, uint64_t bytes) {
  kiln_image_info *info = &image->info;
  info->memory_bytes = bytes;
  info->state = KILN_IMAGE_READY;
  info->loads++;
  info->load_ns = result->times.compile_ns + result->times.run_ns;
}

/* The answer to who made it. */
static void answer(const kiln_image_info *info, uint64_t created_ns, kiln_done_fn done, void *user,
                   const kiln_job_result *result, const kiln_error *refusal) {
  kiln_response response = {.op = KILN_IMAGE, .engine = info->engine, .cached_data_rejected = -1};
  if (refusal != NULL) {
    response.status = refusal->status;
    response.error = *refusal;
  } else {
    response.console_json = result->console_json;
    response.console_truncated = result->console_truncated;
    kiln__response_from_job(result, &response);
    response.times.total_ns = kiln__now_ns() - created_ns;
    if (result->status == KILN_OK && result->outcome == KILN_OUTCOME_OK) {
      response.image_id = info->id;
      response.image_bytes = info->memory_bytes;
    }
  }
  done(user, &response);
}

/* It is over before it began. */
static void give_up(kiln__image *image) {
  unlist(&image->k->images, image);
  kiln_pool_image_free(image->pooled);
}

/* kiln_pool_image_fn */
static void on_event(void *user, kiln_pool_image_event event, const kiln_job_result *result,
                     uint64_t bytes) {
  kiln__image *image = user;
  kiln *k = image->k;
  kiln_error refusal = {.status = KILN_OK};
  (void)pthread_mutex_lock(&k->images.mutex);
  kiln_done_fn done = image->done;
  void *done_user = image->user;
  uint64_t max = k->options.images_max_bytes;
  bool answered = false;
  switch (event) {
    case KILN_POOL_IMAGE_RENEWED:
      atomic_fetch_add(&k->image_renewals, 1);
      note_load(image, result, bytes);
      make_room(k, image);
      break;
    case KILN_POOL_IMAGE_LOADED:
      note_load(image, result, bytes);
      answered = true;
      if (done != NULL && bytes + image->info.source_bytes > max) {
        (void)kiln__fail(&refusal, KILN_ETOOBIG, NULL,
                         "image is %llu bytes, with its sources, limit %llu (images_max_bytes)",
                         (unsigned long long)(bytes + image->info.source_bytes),
                         (unsigned long long)max);
        give_up(image);
        break;
      }
      make_room(k, image);
      break;
    case KILN_POOL_IMAGE_NOT_LOADED:
      atomic_fetch_add(&k->image_failures, 1);
      answered = true;
      if (done != NULL) give_up(image);
      break;
    case KILN_POOL_IMAGE_FAILED:
      answered = true;
      image->info.state = KILN_IMAGE_FAILED;
      if (done != NULL) give_up(image);
      break;
    case KILN_POOL_IMAGE_EVICTED:
      atomic_fetch_add(&k->image_evictions, 1);
      image->info.memory_bytes = 0;
      if (image->info.state == KILN_IMAGE_READY) image->info.state = KILN_IMAGE_EVICTED;
      break;
    case KILN_POOL_IMAGE_LOST:
      atomic_fetch_add(&k->image_failures, 1);
      image->info.memory_bytes = 0;
      if (image->info.state == KILN_IMAGE_READY) image->info.state = KILN_IMAGE_EVICTED;
      break;
    case KILN_POOL_IMAGE_FREED:
      answered = true;
      if (image->listed)
        (void)kiln__fail(&refusal, KILN_ECLOSING, NULL, "the service is stopping");
      else
        (void)kiln__fail(&refusal, KILN_NOT_FOUND, NULL, "image: it has been deleted");
      unlist(&k->images, image);
      break;
  }
  if (answered) image->done = NULL;
  const kiln_image_info info = image->info;
  (void)pthread_mutex_unlock(&k->images.mutex);
  if (answered && done != NULL)
    answer(&info, image->created_ns, done, done_user, result,
           refusal.status != KILN_OK ? &refusal : NULL);
  if (event == KILN_POOL_IMAGE_FREED) free(image);
}

/* ---- making one --------------------------------------------------------------------------------
 */

static bool make_id(char ret_id[KILN_IMAGE_ID_HEX + 1]) {
  unsigned char bytes[KILN_IMAGE_ID_HEX / 2];
  if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) return false;
  for (size_t i = 0; i < sizeof(bytes); i++) (void)snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
  return true;
}

/* A module that imports the entry: so cycles back to the entry find the very module. NULL: no
 * memory. */
static kiln_bytes *import_of(kiln_span entry) {
  static const char head[] = "import \"", tail[] = "\";";
  char *text = malloc(sizeof(head) + entry.length * 6 + sizeof(tail));
  if (text == NULL) return NULL;
  size_t length = sizeof(head) - 1;
  memcpy(text, head, length);
  for (size_t i = 0; i < entry.length; i++) {
    unsigned char c = (unsigned char)entry.data[i];
    if (c == '"' || c == '\\' || c < 0x20)
      length += (size_t)snprintf(text + length, 7, "\\u%04x", c);
    else
      text[length++] = (char)c;
  }
  memcpy(text + length, tail, sizeof(tail) - 1);
  kiln_bytes *bytes = kiln_bytes_new(text, length + sizeof(tail) - 1);
  free(text);
  return bytes;
}

/* The scripts of a request, their sources found. */
typedef struct scripts {
  kiln_job_source *items; /* with a reference each */
  char (*names)[256];
  size_t count;
} scripts;

static void scripts_free(scripts *s) {
  for (size_t i = 0; i < s->count; i++) kiln_bytes_unref(s->items[i].source);
  free(s->items);
  free(s->names);
}

/* The script of an entry of the store, and its filename. */
static kiln_status find_by_key(kiln *k, const kiln__engine *engine, kiln_span key,
                               kiln_bytes **ret_source, char ret_filename[256], kiln_error *err) {
  kiln_request run = {.op = KILN_RUN, .key = key, .engine = kiln_span_from(engine->info.name)};
  kiln__resolved resolved = {.engine = engine};
  kiln_status status = kiln__resolve_key(k, &run, &resolved, err);
  if (status != KILN_OK) return status;
  kiln_bytes_unref(resolved.blob);
  if (run.kind != KILN_SCRIPT) {
    char quoted[KILN__QUOTE_BYTES];
    kiln_bytes_unref(resolved.source);
    return kiln__fail(err, KILN_EINVAL, NULL, "key %s: is of no script", kiln__quote(key, quoted));
  }
  *ret_source = resolved.source;
  (void)snprintf(ret_filename, 256, "%.*s", (int)run.filename.length, run.filename.data);
  return KILN_OK;
}

static kiln_status find_scripts(kiln *k, const kiln__engine *engine,
                                const kiln_image_request *request, scripts *s, kiln_error *err) {
  size_t count = request->scripts_count;
  s->items = calloc(count + 1, sizeof(*s->items));
  s->names = calloc(count + 1, sizeof(*s->names));
  if (s->items == NULL || s->names == NULL)
    return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
  for (size_t i = 0; i < count; i++) {
    const kiln_image_script *given = &request->scripts[i];
    kiln_job_source *item = &s->items[i];
    if (given->source != NULL) {
      item->source = kiln_bytes_ref(given->source);
    } else {
      kiln_status status = find_by_key(k, engine, given->key, &item->source, s->names[i], err);
      if (status != KILN_OK) return status;
    }
    s->count = i + 1;
    item->name = given->filename;
    if (item->name.length > 0) continue;
    if (s->names[i][0] == '\0') (void)snprintf(s->names[i], sizeof(s->names[i]), "scripts[%zu]", i);
    item->name = kiln_span_from(s->names[i]);
  }
  return KILN_OK;
}

static uint64_t count_bytes(const kiln_image_request *request, const scripts *s) {
  uint64_t total = request->globals_json.length;
  for (size_t i = 0; i < s->count; i++) total += kiln_bytes_get(s->items[i].source).length;
  for (size_t i = 0; i < request->modules_count; i++)
    total += kiln_bytes_get(request->modules[i].source).length;
  return total;
}

/* Lists it and hands it to its pool, which begins to load it; under the mutex. */
static kiln_status start(kiln *k, kiln__image *image, const kiln_job *job, kiln_error *err) {
  kiln__images *images = &k->images;
  if (images->count >= k->options.images_max)
    return kiln__fail(err, KILN_EBUSY, NULL,
                      "images: there are %u already, limit %u (images_max); delete one",
                      images->count, k->options.images_max);
  uint64_t kept = image->info.source_bytes;
  for (const kiln__image *other = images->first; other != NULL; other = other->next)
    kept += other->info.source_bytes;
  if (kept > k->options.images_max_bytes)
    return kiln__fail(err, KILN_ETOOBIG, NULL,
                      "images: their sources are %llu bytes with this one's, limit %llu "
                      "(images_max_bytes)",
                      (unsigned long long)kept, (unsigned long long)k->options.images_max_bytes);
  kiln_status status = kiln_pool_image_new(image->engine->pool, job, k->options.image_idle_ms,
                                           on_event, image, &image->pooled, err);
  if (status == KILN_OK) list(images, image);
  return status;
}

static kiln_status create(kiln *k, const kiln_image_request *request, kiln__image *image,
                          const scripts *s, kiln_error *err) {
  kiln_job_context context = {.scripts = s->items, .scripts_count = s->count};
  kiln_request common = {.op = KILN_RUN,
                         .kind = KILN_MODULE,
                         .filename = kiln_span_from("image"),
                         .timeout_ms = request->timeout_ms};
  kiln_job job;
  if (request->entry.length > 0) {
    common.source = import_of(request->entry);
    if (common.source == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a request");
  }
  kiln_job_source *modules = kiln__copy_sources(request->modules, request->modules_count);
  kiln_status status = KILN_ENOMEM;
  if (modules == NULL) {
    (void)kiln__fail(err, status, NULL, "no memory for a request");
  } else {
    kiln__job_init(k, &common, KILN_JOB_IMAGE, &job);
    job.contexts = &context;
    job.contexts_count = 1;
    job.modules = modules;
    job.modules_count = request->modules_count;
    job.globals_json = request->globals_json;
    job.context_name = request->context_name;
    job.context_origin = request->context_origin;
    job.microtasks_after_evaluate = request->microtasks_after_evaluate;
    job.deny_strings = request->deny_strings;
    job.deny_wasm = request->deny_wasm;
    (void)pthread_mutex_lock(&k->images.mutex);
    status = start(k, image, &job, err);
    (void)pthread_mutex_unlock(&k->images.mutex);
  }
  free(modules);
  kiln_bytes_unref(common.source);
  return status;
}

kiln_status kiln_image_create(kiln *k, const kiln_image_request *request, kiln_done_fn done,
                              void *user, kiln_error *err) {
  scripts s = {0};
  const kiln__engine *engine;
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  atomic_fetch_add(&k->requests, 1);
  kiln__image *image = calloc(1, sizeof(*image));
  if (image == NULL) status = kiln__fail(err, KILN_ENOMEM, NULL, "no memory for an image");
  if (status == KILN_OK) status = kiln__find_engine(k, request->engine, &engine, err);
  if (status == KILN_OK) status = kiln__check_image(k, request, err);
  if (status == KILN_OK) status = find_scripts(k, engine, request, &s, err);
  if (status == KILN_OK && !make_id(image->info.id))
    status = kiln__fail(err, KILN_EINTERNAL, NULL, "image: no random bytes for an id");
  if (status == KILN_OK) {
    kiln_image_info *info = &image->info;
    image->k = k;
    image->engine = engine;
    image->done = done;
    image->user = user;
    image->created_ns = image->used_ns = kiln__now_ns();
    if (request->name.length > 0) memcpy(info->name, request->name.data, request->name.length);
    memcpy(info->engine, engine->info.name, sizeof(info->engine));
    info->source_bytes = count_bytes(request, &s);
    if (info->source_bytes > k->options.source_max_bytes)
      status = kiln__fail(err, KILN_ETOOBIG, NULL, "image: its sources are %llu bytes, limit %llu",
                          (unsigned long long)info->source_bytes,
                          (unsigned long long)k->options.source_max_bytes);
  }
  if (status == KILN_OK) status = create(k, request, image, &s, err);
  scripts_free(&s);
  if (status != KILN_OK) free(image);
  if (status == KILN_EBUSY) atomic_fetch_add(&k->busy, 1);
  kiln__leave(k);
  return status;
}

/* ---- using them --------------------------------------------------------------------------------
 */

kiln_status kiln__image_get_engine(kiln *k, kiln_span id, const kiln__engine **ret_engine,
                                   kiln_error *err) {
  (void)pthread_mutex_lock(&k->images.mutex);
  const kiln__image *image = find(&k->images, id);
  if (image != NULL) *ret_engine = image->engine;
  (void)pthread_mutex_unlock(&k->images.mutex);
  return image != NULL ? KILN_OK : fail_unknown(id, err);
}

kiln_status kiln__image_run(kiln *k, kiln_span id, kiln_job *job, kiln_job_done_fn done, void *user,
                            kiln_error *err) {
  /* Under the mutex, for the image is not to be freed meanwhile. */
  (void)pthread_mutex_lock(&k->images.mutex);
  kiln__image *image = find(&k->images, id);
  kiln_status status;
  if (image == NULL) {
    status = fail_unknown(id, err);
  } else {
    job->image = image->pooled;
    status = kiln_pool_submit(image->engine->pool, job, done, user, err);
    if (status == KILN_OK) {
      image->used_ns = kiln__now_ns();
      image->info.runs++;
      atomic_fetch_add(&k->image_runs, 1);
    }
  }
  (void)pthread_mutex_unlock(&k->images.mutex);
  return status;
}

kiln_status kiln_image_delete(kiln *k, kiln_span id, kiln_error *err) {
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  (void)pthread_mutex_lock(&k->images.mutex);
  kiln__image *image = find(&k->images, id);
  if (image != NULL) {
    unlist(&k->images, image);
    kiln_pool_image_free(image->pooled);
  }
  (void)pthread_mutex_unlock(&k->images.mutex);
  if (image == NULL) status = fail_unknown(id, err);
  kiln__leave(k);
  return status;
}

static void describe(const kiln__image *image, kiln_image_info *ret_info) {
  uint64_t now = kiln__now_ns();
  *ret_info = image->info;
  ret_info->age_ms = (now - image->created_ns) / MS;
  ret_info->idle_ms = (now - image->used_ns) / MS;
}

kiln_status kiln_image_get(kiln *k, kiln_span id, kiln_image_info *ret_info, kiln_error *err) {
  kiln_status status = kiln__enter(k, err);
  if (status != KILN_OK) return status;
  (void)pthread_mutex_lock(&k->images.mutex);
  const kiln__image *image = find(&k->images, id);
  if (image != NULL) describe(image, ret_info);
  (void)pthread_mutex_unlock(&k->images.mutex);
  if (image == NULL) status = fail_unknown(id, err);
  kiln__leave(k);
  return status;
}

size_t kiln_image_list(kiln *k, kiln_image_info *ret_infos, size_t max) {
  size_t count = 0;
  if (kiln__enter(k, /* err= */ NULL) != KILN_OK) return 0;
  (void)pthread_mutex_lock(&k->images.mutex);
  for (const kiln__image *image = k->images.first; image != NULL; image = image->next) {
    if (count < max) describe(image, &ret_infos[count]);
    count++;
  }
  (void)pthread_mutex_unlock(&k->images.mutex);
  kiln__leave(k);
  return count;
}

size_t kiln__images_count(kiln *k) {
  (void)pthread_mutex_lock(&k->images.mutex);
  size_t count = k->images.count;
  (void)pthread_mutex_unlock(&k->images.mutex);
  return count;
}
