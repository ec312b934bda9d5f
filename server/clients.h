/* SPDX-License-Identifier: MIT
 *
 * clients.h: how often each client may ask: a bucket of requests per client, in a table of bounded
 * size. Who has not asked for longest leaves it first, which only forgets that he waited.
 */
#ifndef KILN_SERVER_CLIENTS_H
#define KILN_SERVER_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#define SRV_CLIENTS_MAX 8192

typedef struct srv_clients srv_clients;

/* `rate` requests a second, `burst` (0: as many as `rate`) at once. NULL: no memory. */
srv_clients *srv_clients_new(uint64_t rate, uint64_t burst);
void srv_clients_free(srv_clients *clients);

/* Takes one request out of a client's bucket. False: it is empty, and *ret_wait_s seconds, at least
 * one, must pass. Any thread. */
bool srv_clients_take(srv_clients *clients, uint64_t client, int64_t now_ms, unsigned *ret_wait_s);

#endif
