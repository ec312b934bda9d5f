/* SPDX-License-Identifier: MIT
 *
 * blob.c: see blob.h.
 */
#include "server/blob.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/area.h"

struct srv_blob {
  atomic_size_t references;
  kiln_span span;
  kiln_bytes *bytes; /* NULL: in the area */
};

srv_blob *srv_blob_new(kiln_bytes *bytes) {
  srv_blob *blob = calloc(1, sizeof(*blob));
  if (blob == NULL) return NULL;
  atomic_init(&blob->references, 1);
  blob->span = kiln_bytes_get(bytes);
  char *copy = blob->span.length >= SRV_AREA_MIN ? srv_area_take(blob->span.length) : NULL;
  if (copy == NULL) {
    blob->bytes = kiln_bytes_ref(bytes);
    return blob;
  }
  memcpy(copy, blob->span.data, blob->span.length);
  blob->span.data = copy;
  return blob;
}

srv_blob *srv_blob_ref(srv_blob *blob) {
  atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
  return blob;
}

void srv_blob_unref(srv_blob *blob) {
  if (blob == NULL) return;
  if (atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel) != 1) return;
  if (blob->bytes != NULL)
    kiln_bytes_unref(blob->bytes);
  else
    srv_area_release(blob->span.data);
  free(blob);
}

kiln_span srv_blob_get(const srv_blob *blob) {
  return blob->span;
}
