/* SPDX-License-Identifier: MIT
 *
 * tokens.h: who may do what: a file of bearer tokens and their roles.
 *
 *   # ROLE[,ROLE...] sha256:HEX [NAME]
 *   bake,read sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 ci
 *
 * The file holds digests, so that whoever reads it cannot use it. A set is never changed: a new
 * file makes a new one.
 */
#ifndef KILN_SERVER_TOKENS_H
#define KILN_SERVER_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#include "server/faults.h"

#define SRV_TOKENS_MAX 4096
#define SRV_TOKENS_BYTES_MAX 1048576
#define SRV_TOKENS_LINE_MAX 512
#define SRV_TOKEN_NAME_MAX 64
#define SRV_TOKEN_LENGTH_MAX 512 /* of one that a client sends */

typedef enum srv_role {
  SRV_ROLE_BAKE = 1,
  SRV_ROLE_RUN = 2,
  SRV_ROLE_READ = 4,
  SRV_ROLE_ADMIN = 8, /* is allowed everything */
} srv_role;

typedef struct srv_tokens srv_tokens;

/* NULL: something is wrong. Faults begin with "PATH:LINE: ". */
srv_tokens *srv_tokens_parse(const char *path, const char *text, size_t length, srv_faults *faults);
srv_tokens *srv_tokens_load(const char *path, srv_faults *faults);
void srv_tokens_free(srv_tokens *tokens);
size_t srv_tokens_count(const srv_tokens *tokens);

/* The roles of a token and its name; 0: there is none such. Takes as long for any. */
unsigned srv_tokens_find(const srv_tokens *tokens, const char *token, size_t length,
                         char ret_name[SRV_TOKEN_NAME_MAX + 1]);

/* "bake or run" */
void srv_roles_describe(unsigned roles, char *ret_text, size_t size);

#endif
