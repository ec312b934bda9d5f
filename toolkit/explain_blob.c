/* SPDX-License-Identifier: MIT
 *
 * explain_blob.c: what an engine's V8 makes of a blob, from the blob's header: each field beside
 * that of a blob which the engine makes of a tiny script, in the order in which V8 looks at them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolkit/await.h"
#include "toolkit/cache_header.h"
#include "toolkit/explain.h"
#include "toolkit/status.h"

#define BAKE_MS 10000
#define FLAGS_MAX_BYTES 1024

/* ---- a blob of the engine's own ------------------------------------------------------ */

typedef struct waiting {
  kiln__await await;
  kiln_bytes *blob;
} waiting;

static void baked(void *user, const kiln_job_result *result) {
  waiting *w = user;
  if (result->status == KILN_OK && result->blob != NULL) w->blob = kiln_bytes_ref(result->blob);
  kiln__await_signal(&w->await);
}

static kiln_status bake_tiny(const kiln *k, kiln_pool *pool, kiln_bytes **ret_blob,
                             kiln_error *err) {
  waiting w = {.await = KILN__AWAIT_INIT};
  kiln_job job;
  kiln_request request = {.op = KILN_CREATE_CACHED_DATA, .source = kiln_bytes_new("0", 1)};
  if (request.source == NULL) return kiln__fail(err, KILN_ENOMEM, NULL, "no memory for a source");
  kiln__job_init(k, &request, KILN_JOB_BAKE, &job);
  job.timeout_ms = BAKE_MS;
  kiln_status status = kiln_pool_submit(pool, &job, baked, &w, err);
  if (status == KILN_OK) {
    kiln__await_signalled(&w.await);
    *ret_blob = w.blob;
    if (w.blob == NULL) status = kiln__fail(err, KILN_EENGINE, NULL, "the engine bakes nothing");
  }
  kiln_bytes_unref(request.source);
  return status;
}

/* ---- comparing ----------------------------------------------------------------------- */

kiln_status kiln__explain_header(const kiln__engine *engine, const kiln_request *request,
                                 kiln_span own, kiln_explanation *e, kiln_error *err) {
  const char *v8 = engine->info.v8_version;
  kiln_span blob = kiln_bytes_get(request->blob);
  kiln__cache_header theirs, ours;
  if (!kiln__cache_header_read(own, v8, &ours)) {
    return kiln__fail(err, KILN_EENGINE, NULL, "the engine's own blob has no header");
  }
  if (!kiln__cache_header_read(blob, v8, &theirs)) {
    kiln__explain_add(e, KILN_CAUSE_TRUNCATED, "%zu bytes: less than V8's header", blob.length);
    return KILN_OK;
  }
  if (!kiln__cache_header_is_magic(theirs.magic)) {
    kiln__explain_add(e, KILN_CAUSE_NOT_A_BLOB, "does not begin as V8's cached data does (%08x)",
                      theirs.magic);
    return KILN_OK;
  }
  if (theirs.magic != ours.magic) {
    kiln__explain_add(e, KILN_CAUSE_MAGIC, "magic number %08x, this V8's is %08x: another V8",
                      theirs.magic, ours.magic);
  }
  if (theirs.version_hash != ours.version_hash) {
    kiln__explain_add(e, KILN_CAUSE_VERSION_HASH, "version hash %08x, this V8 (%s) has %08x",
                      theirs.version_hash, v8, ours.version_hash);
  }
  uint32_t kinds = kiln__cache_header_kind_mask(v8);
  uint32_t wanted = theirs.source_hash;
  if (request->source != NULL) {
    wanted = kiln__cache_header_source_hash(kiln_bytes_get(request->source), request->kind, v8);
  }
  if ((theirs.source_hash & ~kinds) != (wanted & ~kinds)) {
    kiln__explain_add(e, KILN_CAUSE_SOURCE_HASH,
                      "made for a source of %u UTF-16 units, this one has %u",
                      theirs.source_hash & ~kinds, wanted & ~kinds);
  }
  if ((theirs.source_hash & kinds) != (wanted & kinds)) {
    kiln__explain_add(e, KILN_CAUSE_KIND_BIT, "made for another kind of source");
  }
  if (theirs.flag_hash != ours.flag_hash) {
    kiln__explain_add(e, KILN_CAUSE_FLAG_HASH, "flag hash %08x, this engine's is %08x",
                      theirs.flag_hash, ours.flag_hash);
  }
  if (theirs.has_read_only && theirs.read_only != ours.read_only) {
    kiln__explain_add(e, KILN_CAUSE_READ_ONLY_SNAPSHOT,
                      "read-only snapshot checksum %08x, this engine's is %08x", theirs.read_only,
                      ours.read_only);
  }
  size_t payload = blob.length - theirs.bytes;
  if (payload < theirs.payload_length) {
    kiln__explain_add(e, KILN_CAUSE_TRUNCATED, "%zu bytes of payload, the header says %u", payload,
                      theirs.payload_length);
  } else if (payload - theirs.payload_length >= 8) {
    kiln__explain_add(e, KILN_CAUSE_PAYLOAD_LENGTH, "%zu bytes of payload, the header says %u",
                      payload, theirs.payload_length);
  } else if (engine->info.verifies_checksum) {
    kiln_span bytes = {blob.data + theirs.bytes, theirs.payload_length};
    uint32_t sum = kiln__cache_header_checksum(bytes);
    if (sum != theirs.checksum) {
      kiln__explain_add(e, KILN_CAUSE_CHECKSUM, "checksum %08x, the payload's is %08x",
                        theirs.checksum, sum);
    }
  }
  return KILN_OK;
}

/* An engine like this one, but with flags: is the blob's flag hash theirs? */
static kiln_status try_flags(const kiln *k, const kiln__engine *engine, const char *flags,
                             uint32_t flag_hash, kiln_explanation *e, kiln_error *err) {
  kiln_pool *pool;
  kiln_bytes *blob = NULL;
  kiln__cache_header header;
  if (strlen(flags) > FLAGS_MAX_BYTES) {
    return kiln__fail(err, KILN_ETOOBIG, NULL, "flags are %zu bytes, limit %d", strlen(flags),
                      FLAGS_MAX_BYTES);
  }
  kiln_status status = kiln__engine_again(k, engine, flags, &pool, err);
  if (status != KILN_OK) return status;
  status = bake_tiny(k, pool, &blob, err);
  kiln_pool_free(pool, /* drain_ms= */ 0);
  if (status != KILN_OK) return status;
  bool same = kiln__cache_header_read(kiln_bytes_get(blob), engine->info.v8_version, &header) &&
              header.flag_hash == flag_hash;
  kiln_bytes_unref(blob);
  for (size_t i = 0; i < e->causes_count; i++) {
    if (e->causes[i].code != KILN_CAUSE_FLAG_HASH) continue;
    (void)snprintf(
        e->causes[i].text, sizeof(e->causes[i].text),
        same ? "flags differ: it was made with %.200s" : "flags differ, but not by %.200s", flags);
  }
  return KILN_OK;
}

kiln_status kiln_explain_blob(kiln *k, const kiln_request *request, const char *flags,
                              kiln_explanation *ret_explanation, kiln_error *err) {
  const kiln__engine *engine;
  kiln_explanation e = {.outcome = "accepted"};
  kiln_bytes *own = NULL;
  if (request->blob == NULL) {
    return kiln__fail(err, KILN_EINVAL, "ERR_MISSING_ARGS", "blob: missing");
  }
  if ((unsigned)request->kind > KILN_FUNCTION) {
    return kiln__fail(err, KILN_EINVAL, NULL, "kind %u: unknown", (unsigned)request->kind);
  }
  kiln_status status = kiln__find_engine(k, request->engine, &engine, err);
  if (status == KILN_OK) status = bake_tiny(k, engine->pool, &own, err);
  if (status != KILN_OK) return status;
  memcpy(e.engine, engine->info.name, sizeof(e.engine));
  status = kiln__explain_header(engine, request, kiln_bytes_get(own), &e, err);
  for (size_t i = 0; status == KILN_OK && flags != NULL && i < e.causes_count; i++) {
    kiln__cache_header theirs;
    if (e.causes[i].code != KILN_CAUSE_FLAG_HASH) continue;
    (void)kiln__cache_header_read(kiln_bytes_get(request->blob), engine->info.v8_version, &theirs);
    status = try_flags(k, engine, flags, theirs.flag_hash, &e, err);
  }
  kiln_bytes_unref(own);
  if (status != KILN_OK) return status;
  if (e.causes_count > 0) {
    e.outcome = "rejected";
  } else {
    kiln__explain_add(&e, KILN_CAUSE_HIT, "the header is as this V8 wants it%s",
                      engine->info.verifies_checksum
                          ? ""
                          : "; the payload's checksum is not verified by this V8");
  }
  *ret_explanation = e;
  return KILN_OK;
}
