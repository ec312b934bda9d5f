/* SPDX-License-Identifier: MIT
 *
 * tls.h: certificate and key for libmicrohttpd's TLS, exchangeable while connections live.
 */
#ifndef KILN_SERVER_TLS_H
#define KILN_SERVER_TLS_H

#include "server/faults.h"
#include "server/server.h"

#define SRV_TLS_PRIORITY "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define SRV_TLS_BYTES_MAX 262144 /* of a PEM file */
#define SRV_TLS_CHAIN_MAX 16

/* Reads --tls-cert and --tls-key and checks that they belong together. NULL: faults say why. There
 * is one at a time: the callback has no argument that could tell several apart. */
srv_tls *srv_tls_new(const srv_options *options, srv_faults *faults);
void srv_tls_free(srv_tls *tls); /* after the daemon */

/* Reads both files again. Handshakes from now on use them; on a fault the old ones stay. */
bool srv_tls_reload(srv_tls *tls, srv_faults *faults);

/* Days until the certificate's end; below 0: it is over. */
int64_t srv_tls_days_left(srv_tls *tls);

/* The options of MHD_start_daemon(), SRV_TLS_ITEMS of them. */
#define SRV_TLS_ITEMS 2
void srv_tls_fill_options(const srv_tls *tls, struct MHD_OptionItem ret_items[SRV_TLS_ITEMS]);

/* Sends what fits at once into a connection's TLS session; only on the thread that serves it. */
void srv_tls_send_now(struct MHD_Connection *mhd, const char *text, size_t length);

#endif
