/* SPDX-License-Identifier: MIT
 *
 * notify.h: tells systemd how we are (sd_notify(3)), where it has asked to be told.
 */
#ifndef KILN_SERVER_NOTIFY_H
#define KILN_SERVER_NOTIFY_H

/* Takes NOTIFY_SOCKET out of the environment: engines have nothing to say to systemd. */
void srv_notify_init(void);

/* The socket, for the kilnd that takes over; NULL: none. */
const char *srv_notify_socket(void);

/* "READY=1", "STOPPING=1"; several lines may be given. */
void srv_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
