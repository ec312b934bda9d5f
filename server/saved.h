/* SPDX-License-Identifier: MIT
 *
 * saved.h: the engine's time that answers from the store did not take. What a bake took is kept in
 * memory under its key, for as long as this process runs and a newer key does not take its place;
 * a hit whose bake is not known any more counts among the unknown, and saves nothing here.
 */
#ifndef KILN_SERVER_SAVED_H
#define KILN_SERVER_SAVED_H

#include "server/server.h"

srv_saved *srv_saved_new(void); /* NULL: out of memory */
void srv_saved_free(srv_saved *saved);

/* Learns from a bake, or adds what a hit or a shared bake saved. */
void srv_saved_count(srv_saved *saved, const kiln_response *response);

typedef struct srv_saved_totals {
  uint64_t ns;
  uint64_t known_hits;
  uint64_t unknown_hits;
} srv_saved_totals;
srv_saved_totals srv_saved_get(srv_saved *saved);

#endif
