/* SPDX-License-Identifier: MIT
 *
 * explain.c: why a look-up hits or misses: finds the nearest entry that the store has and tells in
 * what it differs, field by field. What a blob's own header tells is explain_blob.c's part.
 */
#include "toolkit/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "toolkit/status.h"

/* Entries looked at for an answer's reason, and for an explanation. */
#define REASON_CANDIDATES 16
#define EXPLAIN_CANDIDATES KCC_LIKE_MAX
#define CODES_MAX 8
#define SHOWN 40

const char *kiln_cause_word(kiln_cause_code code) {
  switch (code) {
#define WORD(symbol, word) \
  case symbol:             \
    return #word;
    KILN_CAUSE_MAP(WORD)
#undef WORD
    case KILN_CAUSE_CODES:
      break;
  }
  return "";
}

const char *kiln__count_reason(kiln *k, kiln_cause_code code) {
  atomic_fetch_add(&k->reasons[code], 1);
  return kiln_cause_word(code);
}

void kiln_get_reasons(const kiln *k, uint64_t ret_counts[KILN_CAUSE_CODES]) {
  for (size_t i = 0; i < KILN_CAUSE_CODES; i++) ret_counts[i] = atomic_load(&k->reasons[i]);
}

void kiln__explain_add(kiln_explanation *explanation, kiln_cause_code code, const char *format,
                       ...) {
  if (explanation->causes_count == KILN_CAUSES_MAX) return;
  kiln_cause *cause = &explanation->causes[explanation->causes_count++];
  va_list args;
  cause->code = code;
  va_start(args, format);
  (void)vsnprintf(cause->text, sizeof(cause->text), format, args);
  va_end(args);
}

/* ---- in what an entry differs -------------------------------------------------------- */

typedef struct differences {
  kiln_cause_code codes[CODES_MAX];
  size_t count;
} differences;

static void differ(differences *d, kiln_cause_code code) {
  if (d->count < CODES_MAX) d->codes[d->count++] = code;
}

static bool same_name(kcc_span wanted, const char *cut) {
  size_t length = strlen(cut), limit = sizeof(((kcc_entry_info *)NULL)->filename) - 8;
  /* The entry's may have been cut at a character's boundary. */
  if (wanted.length != length && !(wanted.length > length && length >= limit)) return false;
  return length == 0 || memcmp(wanted.data, cut, length) == 0;
}

/* The engine's part; entries of schema 1 have less to compare. */
static void differ_by_engine(const kcc_entry_info *info, const kcc_fingerprint *wanted,
                             const kcc_digest *wanted_id, differences *d) {
  static const kcc_digest unknown;
  bool old = memcmp(&info->fingerprint_id, &unknown, sizeof(unknown)) == 0;
  if (!old && memcmp(&info->fingerprint_id, wanted_id, sizeof(*wanted_id)) == 0) return;
  if (strcmp(info->v8_version, wanted->v8_version) != 0) {
    differ(d, KILN_CAUSE_ENGINE_V8_VERSION);
  } else if (!old && strcmp(info->build_id, wanted->build_id) != 0) {
    differ(d, KILN_CAUSE_ENGINE_BUILD);
  } else if (strcmp(info->engine, wanted->engine) != 0 && old) {
    differ(d, KILN_CAUSE_ENGINE_NAME);
  } else if (!old) { /* or by the processor, which V8 counts among them */
    differ(d, KILN_CAUSE_ENGINE_FLAGS);
  }
}

/* What can be told without the entry's own parts. Where nothing differs so far, it is what has no
 * place in the index: parameters, or a workload. */
static void compare(const kcc_entry_info *info, const kcc_key_parts *wanted,
                    const kcc_digest *wanted_id, differences *d) {
  d->count = 0;
  if (memcmp(&info->source, &wanted->source, sizeof(wanted->source)) != 0) {
    differ(d, info->source_length == wanted->source_length ? KILN_CAUSE_SOURCE_CHANGED
                                                           : KILN_CAUSE_SOURCE_LENGTH);
  }
  differ_by_engine(info, &wanted->fingerprint, wanted_id, d);
  if (info->kind != wanted->kind) differ(d, KILN_CAUSE_KIND);
  if (!same_name(wanted->filename, info->filename)) differ(d, KILN_CAUSE_FILENAME);
  if (info->line_offset != wanted->line_offset || info->column_offset != wanted->column_offset) {
    differ(d, KILN_CAUSE_OFFSETS);
  }
  if (info->mode != wanted->mode) differ(d, KILN_CAUSE_MODE);
  if (d->count > 0) return;
  differ(d, wanted->kind == KCC_FUNCTION   ? KILN_CAUSE_PARAMS
            : wanted->mode == KCC_WORKLOAD ? KILN_CAUSE_WORKLOAD
                                           : KILN_CAUSE_FILENAME);
}

typedef struct search {
  const kcc_key_parts *wanted;
  const kcc_digest *wanted_id;
  const kcc_digest *not_key; /* an entry that is no candidate; NULL: none */
  size_t left;
  bool found;
  kcc_entry_info best;
  differences best_differences;
} search;

/* They come most recently used first: of equally near ones the first stays. */
static bool look_at(void *user, const kcc_entry_info *info) {
  search *s = user;
  differences d;
  if (s->not_key != NULL && memcmp(&info->key, s->not_key, sizeof(info->key)) == 0) return true;
  compare(info, s->wanted, s->wanted_id, &d);
  if (!s->found || d.count < s->best_differences.count) {
    s->found = true;
    s->best = *info;
    s->best_differences = d;
  }
  return --s->left > 0;
}

typedef struct quarantine_search {
  const kcc_digest *key;
  bool found;
  kiln_cause_code code;
  char reason[160];
  int64_t moved_unix_ms;
} quarantine_search;

/* An entry that its user had put there is good, for all one knows; the others were damaged. */
static bool in_quarantine(void *user, const kcc_quarantined *item) {
  quarantine_search *s = user;
  if (memcmp(&item->key, s->key, sizeof(*s->key)) != 0 || strcmp(item->what, "entry") != 0) {
    return true;
  }
  s->found = true;
  s->code = strncmp(item->reason, "engine", strlen("engine")) == 0 ? KILN_CAUSE_QUARANTINED
                                                                   : KILN_CAUSE_CORRUPT;
  (void)snprintf(s->reason, sizeof(s->reason), "%s", item->reason);
  s->moved_unix_ms = item->moved_unix_ms;
  return false;
}

kiln_cause_code kiln__reason_of_miss(kiln *k, const kiln__engine *engine,
                                     const kcc_key_parts *parts, const kcc_digest *key) {
  search s = {.wanted = parts,
              .wanted_id = &engine->fingerprint_id,
              .not_key = key,
              .left = REASON_CANDIDATES};
  quarantine_search q = {.key = key};
  if (k->store == NULL) return KILN_CAUSE_STORE_UNAVAILABLE;
  if (kcc_store_list_quarantine(k->store, in_quarantine, &q, /* err= */ NULL) == KCC_OK && q.found)
    return q.code;
  if (kcc_store_each_like(k->store, parts, look_at, &s, /* err= */ NULL) != KCC_OK) {
    return KILN_CAUSE_STORE_UNAVAILABLE;
  }
  return s.found ? s.best_differences.codes[0] : KILN_CAUSE_NEVER_BAKED;
}

/* ---- telling it ---------------------------------------------------------------------- */

static void describe_engine(const kcc_fingerprint *ours, const kcc_fingerprint *theirs,
                            kiln_explanation *e) {
  if (strcmp(ours->v8_version, theirs->v8_version) != 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_V8_VERSION, "engine's V8 is %s, the entry's %s",
                      ours->v8_version, theirs->v8_version);
  } else if (strcmp(ours->build_id, theirs->build_id) != 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_BUILD, "engine build id %.12s.. vs %.12s..",
                      ours->build_id, theirs->build_id);
  }
  if (strcmp(ours->flags, theirs->flags) != 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_FLAGS, "flags differ: %.120s vs %.120s",
                      ours->flags[0] != '\0' ? ours->flags : "none",
                      theirs->flags[0] != '\0' ? theirs->flags : "none");
  }
  if (strcmp(ours->arch, theirs->arch) != 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_ARCH, "architecture %s vs %s", ours->arch, theirs->arch);
  }
  if (ours->cached_data_tag != theirs->cached_data_tag && e->causes_count == 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_FLAGS,
                      "the processor has other abilities: V8's version tag is %lu, the entry's %lu",
                      (unsigned long)ours->cached_data_tag, (unsigned long)theirs->cached_data_tag);
  }
  if (strcmp(ours->engine, theirs->engine) != 0 && e->causes_count == 0) {
    kiln__explain_add(e, KILN_CAUSE_ENGINE_NAME,
                      "engine is registered as '%s', the entry's as '%s'", ours->engine,
                      theirs->engine);
  }
}

static void describe_source(kiln *k, const kiln_request *request, const kcc_key_parts *wanted,
                            const kcc_key_parts *theirs, kiln_explanation *e) {
  kiln_cause_code code = wanted->source_length == theirs->source_length ? KILN_CAUSE_SOURCE_CHANGED
                                                                        : KILN_CAUSE_SOURCE_LENGTH;
  kcc_entry kept;
  if (request->source == NULL ||
      kcc_store_get_source(k->store, &theirs->source, &kept, /* err= */ NULL) != KCC_OK) {
    kiln__explain_add(e, code, "source differs: %llu bytes vs %llu, whose text was not kept",
                      (unsigned long long)wanted->source_length,
                      (unsigned long long)theirs->source_length);
    return;
  }
  kiln_span ours = kiln_bytes_get(request->source);
  const char *other = kept.blob.data;
  size_t at = 0;
  while (at < ours.length && at < kept.blob.length && ours.data[at] == other[at]) at++;
  kiln__explain_add(e, code, "source differs from byte %zu on: %zu bytes vs %zu", at, ours.length,
                    kept.blob.length);
  kcc_entry_free(&kept);
}

static void put_params(char *text, size_t size, const kcc_key_parts *parts) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < parts->params_count && used + SHOWN + 8 < size; i++) {
    int shown = (int)(parts->params[i].length < SHOWN ? parts->params[i].length : SHOWN);
    used += (size_t)snprintf(text + used, size - used, "%s%.*s", i == 0 ? "" : ", ", shown,
                             (const char *)parts->params[i].data);
  }
}

static bool same_params(const kcc_key_parts *a, const kcc_key_parts *b) {
  if (a->params_count != b->params_count) return false;
  for (size_t i = 0; i < a->params_count; i++) {
    if (a->params[i].length != b->params[i].length ||
        (a->params[i].length > 0 &&
         memcmp(a->params[i].data, b->params[i].data, a->params[i].length) != 0)) {
      return false;
    }
  }
  return true;
}

static bool same_span(kcc_span a, kcc_span b) {
  return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Everything that differs, with what stands on either side. */
static void describe(kiln *k, const kiln_request *request, const kcc_key_parts *wanted,
                     const kcc_key_parts *theirs, kiln_explanation *e) {
  char ours[128], other[128];
  if (memcmp(&wanted->source, &theirs->source, sizeof(wanted->source)) != 0) {
    describe_source(k, request, wanted, theirs, e);
  }
  describe_engine(&wanted->fingerprint, &theirs->fingerprint, e);
  if (wanted->kind != theirs->kind) {
    kiln__explain_add(e, KILN_CAUSE_KIND, "kind is %s, the entry's %s", kcc_kind_name(wanted->kind),
                      kcc_kind_name(theirs->kind));
  }
  if (!same_params(wanted, theirs)) {
    put_params(ours, sizeof(ours), wanted);
    put_params(other, sizeof(other), theirs);
    kiln__explain_add(e, KILN_CAUSE_PARAMS, "function parameters differ: (%s) vs (%s)", ours,
                      other);
  }
  if (!same_span(wanted->filename, theirs->filename)) {
    kiln__explain_add(e, KILN_CAUSE_FILENAME, "file name is '%.*s', the entry's '%.*s'",
                      (int)(wanted->filename.length < 120 ? wanted->filename.length : 120),
                      (const char *)wanted->filename.data,
                      (int)(theirs->filename.length < 120 ? theirs->filename.length : 120),
                      (const char *)theirs->filename.data);
  }
  if (wanted->line_offset != theirs->line_offset ||
      wanted->column_offset != theirs->column_offset) {
    kiln__explain_add(e, KILN_CAUSE_OFFSETS, "offsets are %d:%d, the entry's %d:%d",
                      wanted->line_offset, wanted->column_offset, theirs->line_offset,
                      theirs->column_offset);
  }
  if (wanted->mode != theirs->mode) {
    kiln__explain_add(e, KILN_CAUSE_MODE, "mode is %s, the entry's %s", kcc_mode_name(wanted->mode),
                      kcc_mode_name(theirs->mode));
  } else if (memcmp(&wanted->workload, &theirs->workload, sizeof(wanted->workload)) != 0) {
    kiln__explain_add(e, KILN_CAUSE_WORKLOAD, "the workload is another");
  }
}

static void show_candidate(const kcc_entry_info *info, kiln_explanation *e) {
  kcc_digest_format(&info->key, e->candidate_key);
  (void)snprintf(e->candidate_engine, sizeof(e->candidate_engine), "%s", info->engine);
  (void)snprintf(e->candidate_filename, sizeof(e->candidate_filename), "%s", info->filename);
}

/* Codes alone, in words that tell nothing of the other's entry. */
static void describe_to_stranger(const differences *d, kiln_explanation *e) {
  for (size_t i = 0; i < d->count; i++) {
    kiln__explain_add(e, d->codes[i], "an entry differs in this: %s", kiln_cause_word(d->codes[i]));
  }
}

static bool explain_quarantine(kiln *k, const kcc_digest *key, kiln_explanation *e) {
  quarantine_search q = {.key = key};
  if (kcc_store_list_quarantine(k->store, in_quarantine, &q, /* err= */ NULL) != KCC_OK || !q.found)
    return false;
  kiln__explain_add(e, q.code, "the entry was moved to quarantine: %s", q.reason);
  return true;
}

/* A miss whose parts are known. */
static kiln_status explain_miss(kiln *k, const kiln__engine *engine, const kiln_request *request,
                                const kcc_key_parts *parts, const kcc_digest *key, kiln_asker asker,
                                kiln_explanation *e, kiln_error *err) {
  search s = {.wanted = parts,
              .wanted_id = &engine->fingerprint_id,
              .not_key = key,
              .left = EXPLAIN_CANDIDATES};
  kcc_error error;
  e->outcome = "miss";
  (void)explain_quarantine(k, key, e);
  if (kcc_store_each_like(k->store, parts, look_at, &s, &error) != KCC_OK) {
    return kiln__from_kcc(&error, err);
  }
  if (!s.found) {
    kiln__explain_add(e, KILN_CAUSE_NEVER_BAKED,
                      "nothing of this source, and nothing of this file name, is in the store");
    return KILN_OK;
  }
  bool has_its_source = memcmp(&s.best.source, &parts->source, sizeof(parts->source)) == 0;
  if (asker == KILN_ASKER_STRANGER && !has_its_source) {
    describe_to_stranger(&s.best_differences, e);
    return KILN_OK;
  }
  show_candidate(&s.best, e);
  kcc_entry_parts theirs;
  if (asker == KILN_ASKER_OWNER &&
      kcc_store_get_parts(k->store, &s.best.key, &theirs, /* err= */ NULL) == KCC_OK) {
    describe(k, request, parts, &theirs.parts, e);
    kcc_entry_parts_free(&theirs);
  } else {
    describe_to_stranger(&s.best_differences, e);
  }
  return KILN_OK;
}

static kiln_status no_store(kiln_explanation *e) {
  e->outcome = "miss";
  kiln__explain_add(e, KILN_CAUSE_STORE_UNAVAILABLE, "there is no store");
  return KILN_OK;
}

/* ---- the public calls ---------------------------------------------------------------- */

kiln_status kiln_explain(kiln *k, const kiln_request *request, kiln_asker asker,
                         kiln_explanation *ret_explanation, kiln_error *err) {
  const kiln__engine *engine;
  kiln_explanation e = {.outcome = "hit"};
  kcc_digest source, key;
  kcc_key_parts parts;
  kcc_span params[KILN_PARAMS_MAX];
  kcc_error error;
  kcc_entry entry;
  kiln_request checked = *request;
  checked.op = KILN_CREATE_CACHED_DATA;
  kiln_status status = kiln__find_engine(k, request->engine, &engine, err);
  if (status == KILN_OK) status = kiln__check_request(k, &checked, err);
  if (status != KILN_OK) return status;
  if (kiln__source_digest(request->source, &source, &error) != KCC_OK ||
      kiln__parts_of(engine, request, &source, kiln_bytes_get(request->source).length,
                     request->mode, request->workload, params, &parts, &error) != KCC_OK ||
      kcc_key_of(&parts, &key, &error) != KCC_OK) {
    return kiln__from_kcc(&error, err);
  }
  kcc_digest_format(&key, e.key);
  memcpy(e.engine, engine->info.name, sizeof(e.engine));
  if (k->store == NULL) {
    status = no_store(&e);
  } else {
    kcc_status got = kcc_store_get(k->store, &key, &engine->fingerprint, &entry, &error);
    if (got == KCC_OK) {
      kiln__explain_add(&e, KILN_CAUSE_HIT, "the entry is there, whole, and this engine's");
      show_candidate(&entry.info, &e);
      kcc_entry_free(&entry);
    } else if (got == KCC_MISS) {
      status = explain_miss(k, engine, request, &parts, &key, asker, &e, err);
    } else {
      e.outcome = "miss";
      kiln__explain_add(&e, KILN_CAUSE_STORE_UNAVAILABLE, "%s", error.message);
    }
  }
  if (status == KILN_OK) *ret_explanation = e;
  return status;
}

kiln_status kiln_explain_key(kiln *k, kiln_span key_text, kiln_span engine_spec, kiln_asker asker,
                             kiln_explanation *ret_explanation, kiln_error *err) {
  const kiln__engine *engine;
  kiln_explanation e = {.outcome = "hit"};
  kcc_digest key;
  kcc_entry entry;
  kcc_entry_parts theirs;
  kcc_error error;
  char quoted[KILN__QUOTE_BYTES];
  if (!kcc_digest_parse(key_text.data, key_text.length, &key)) {
    return kiln__fail(err, KILN_EINVAL, NULL, "key %s: not 64 hex digits",
                      kiln__quote(key_text, quoted));
  }
  kiln_status status = kiln__find_engine(k, engine_spec, &engine, err);
  if (status != KILN_OK) return status;
  kcc_digest_format(&key, e.key);
  memcpy(e.engine, engine->info.name, sizeof(e.engine));
  if (k->store == NULL) {
    status = no_store(&e);
    *ret_explanation = e;
    return status;
  }
  kcc_status got = kcc_store_get(k->store, &key, /* fingerprint= */ NULL, &entry, &error);
  if (got == KCC_MISS) {
    e.outcome = "miss";
    if (!explain_quarantine(k, &key, &e)) {
      kiln__explain_add(&e, KILN_CAUSE_NEVER_BAKED, "there is no entry of this key");
    }
  } else if (got != KCC_OK) {
    e.outcome = "miss";
    kiln__explain_add(&e, KILN_CAUSE_STORE_UNAVAILABLE, "%s", error.message);
  } else {
    show_candidate(&entry.info, &e); /* who has the key may have the blob */
    if (asker == KILN_ASKER_STRANGER) e.candidate_filename[0] = '\0';
    if (kcc_store_get_parts(k->store, &key, &theirs, /* err= */ NULL) == KCC_OK) {
      describe_engine(&engine->fingerprint, &theirs.parts.fingerprint, &e);
      kcc_entry_parts_free(&theirs);
    } else {
      differences d = {.count = 0};
      differ_by_engine(&entry.info, &engine->fingerprint, &engine->fingerprint_id, &d);
      describe_to_stranger(&d, &e);
    }
    if (e.causes_count == 0) {
      kiln__explain_add(&e, KILN_CAUSE_HIT, "the entry is there, whole, and this engine's");
    } else {
      e.outcome = "miss";
    }
    kcc_entry_free(&entry);
  }
  *ret_explanation = e;
  return KILN_OK;
}
