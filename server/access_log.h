/* SPDX-License-Identifier: MIT
 *
 * access_log.h: one line for each request, as text or JSON, on stderr or in a file. What a client
 * sent never stands in it as it came: the route is ours, so no secret of a URL is kept, and of
 * other texts control characters, quotes and blanks are replaced or escaped. Each line is one
 * write().
 */
#ifndef KILN_SERVER_ACCESS_LOG_H
#define KILN_SERVER_ACCESS_LOG_H

#include "server/server.h"

/* As options->access_log_* say. NULL: `message` says why. */
srv_access_log *srv_access_log_open(const srv_options *options, char *message, size_t message_size);
void srv_access_log_close(srv_access_log *log); /* NULL does nothing */

/* Opens the file again, which somebody has moved away; where that fails the old one is kept. */
void srv_access_log_reopen(srv_access_log *log);

/* From the thread that ends the request. */
void srv_access_log_write(srv_access_log *log, const srv_request *request, uint64_t duration_ns);

/* Takes down what the answer says. */
void srv_note_response(srv_note *note, const kiln_response *response);

#endif
