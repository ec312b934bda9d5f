/* SPDX-License-Identifier: MIT
 *
 * blob.h: a blob to be served more than once: immutable bytes with a counted reference. Larger ones
 * are copied into the area (area.h) where there is room, and then leave without a copy, each time.
 */
#ifndef KILN_SERVER_BLOB_H
#define KILN_SERVER_BLOB_H

#include "toolkit/kiln.h"

typedef struct srv_blob srv_blob;

/* Copies `bytes` or takes a reference of its own. NULL: out of memory. */
srv_blob *srv_blob_new(kiln_bytes *bytes);
srv_blob *srv_blob_ref(srv_blob *blob);
void srv_blob_unref(srv_blob *blob); /* NULL does nothing */
kiln_span srv_blob_get(const srv_blob *blob);

#endif
