/* SPDX-License-Identifier: MIT
 *
 * file.h: reads the small files an operator names: configuration, tokens, certificate, key.
 */
#ifndef KILN_SERVER_FILE_H
#define KILN_SERVER_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* A SECRET must be readable by nobody but its owner, who is this user or root; by its group as well
 * if it is root's, which is how packages and systemd hand secrets to a service. */
typedef enum srv_file_kind { SRV_FILE_PLAIN, SRV_FILE_SECRET } srv_file_kind;

/* Reads a regular file of at most `max` bytes. *ret_text gets a NUL behind its end and is to be
 * freed with srv_file_free(). False: message says why, beginning with the path. */
bool srv_file_read(const char *path, size_t max, srv_file_kind kind, char **ret_text,
                   size_t *ret_length, char *message, size_t message_size);

/* Overwrites and frees; NULL does nothing. */
void srv_file_free(char *text, size_t length);

#endif
