/* SPDX-License-Identifier: MIT
 *
 * quarantine.h: damaged rows, moved out of the way.
 */
#ifndef KILN_CACHE_QUARANTINE_H
#define KILN_CACHE_QUARANTINE_H

#include "cache/store.h"

/* The most that is kept; what is older goes. */
#define KCC__QUARANTINE_MAX_ROWS 64
#define KCC__QUARANTINE_MAX_BYTES (64 * 1024 * 1024)

/* Counts a damaged entry, text or fingerprint that was found under `id`, and moves it to quarantine
 * unless the store is read-only. Looks again first: another process may have written it anew. The
 * finder's answer does not depend on this: a failure is counted, and the next finder tries again.
 */
void kcc__quarantine_entry(kcc_store *store, int64_t id);
void kcc__quarantine_source(kcc_store *store, int64_t id);
void kcc__quarantine_fingerprint(kcc_store *store, int64_t id);

#endif
