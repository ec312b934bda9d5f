/* SPDX-License-Identifier: MIT
 *
 * operate.h: the operations' requests while the kiln works on them.
 */
#ifndef KILN_SERVER_OPERATE_H
#define KILN_SERVER_OPERATE_H

#include "server/server.h"

/* Gives up the request's share of its job; NULL does nothing. */
void srv_job_unref(srv_job *job);

#endif
