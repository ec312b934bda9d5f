/* SPDX-License-Identifier: MIT
 *
 * tokens.c: see tokens.h. Digests are compared, all of them and whole: neither a token's bytes nor
 * its place in the file shows in the time.
 */
#include "server/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/file.h"

#define DIGEST 32
#define DIGEST_PREFIX "sha256:"

typedef struct entry {
  unsigned char digest[DIGEST];
  unsigned roles;
  int line;
  char name[SRV_TOKEN_NAME_MAX + 1];
} entry;

struct srv_tokens {
  size_t count;
  entry entries[];
};

static const struct role_word {
  const char *word;
  srv_role role;
} role_words[] = {
    {"bake", SRV_ROLE_BAKE},
    {"run", SRV_ROLE_RUN},
    {"read", SRV_ROLE_READ},
    {"admin", SRV_ROLE_ADMIN},
};
#define ROLES (sizeof(role_words) / sizeof(role_words[0]))

void srv_roles_describe(unsigned roles, char *ret_text, size_t size) {
  size_t used = 0;
  ret_text[0] = '\0';
  for (size_t i = 0; i < ROLES; i++) {
    if ((roles & role_words[i].role) == 0) continue;
    int more =
        snprintf(ret_text + used, size - used, "%s%s", used > 0 ? " or " : "", role_words[i].word);
    if (more < 0 || (size_t)more >= size - used) return;
    used += (size_t)more;
  }
}

/* ---- a line */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool parse_roles(char *text, unsigned *ret_roles) {
  char *save = NULL;
  unsigned roles = 0;
  size_t length = strlen(text);
  if (length == 0 || text[0] == ',' || text[length - 1] == ',' || strstr(text, ",,") != NULL)
    return false;
  for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
    size_t i = 0;
    while (i < ROLES && strcmp(role_words[i].word, word) != 0) i++;
    if (i == ROLES) return false;
    roles |= role_words[i].role;
  }
  *ret_roles = roles;
  return true;
}

static bool parse_digest(const char *text, unsigned char ret_digest[DIGEST]) {
  size_t prefix = strlen(DIGEST_PREFIX);
  if (strncmp(text, DIGEST_PREFIX, prefix) != 0 || strlen(text) != prefix + 2 * DIGEST)
    return false;
  for (size_t i = 0; i < DIGEST; i++) {
    int high = hex_digit(text[prefix + 2 * i]);
    int low = hex_digit(text[prefix + 2 * i + 1]);
    if (high < 0 || low < 0) return false;
    ret_digest[i] = (unsigned char)(high << 4 | low);
  }
  return true;
}

static bool name_ok(const char *name) {
  size_t length = strlen(name);
  return length <= SRV_TOKEN_NAME_MAX &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             length;
}

/* What is wrong with a line, which is cut up; NULL: nothing. An empty one gives no roles. */
static const char *parse_line(char *line, entry *ret_entry) {
  static const char blanks[] = " \t\r";
  char *save = NULL;
  char *roles = strtok_r(line, blanks, &save);
  if (roles == NULL || roles[0] == '#') return NULL;
  char *digest = strtok_r(NULL, blanks, &save);
  char *name = strtok_r(NULL, blanks, &save);
  char *more = name != NULL ? strtok_r(NULL, blanks, &save) : NULL;
  if (!parse_roles(roles, &ret_entry->roles)) return "roles must be of bake, run, read, admin";
  if (digest == NULL || !parse_digest(digest, ret_entry->digest)) {
    ret_entry->roles = 0;
    return "the token must be given as sha256: and 64 hex digits";
  }
  if (name != NULL && !name_ok(name))
    return "a name is of at most 64 letters, digits, dots, dashes and underscores";
  if (more != NULL) return "there is more than roles, token and name";
  if (name != NULL)
    snprintf(ret_entry->name, sizeof(ret_entry->name), "%s", name);
  else
    snprintf(ret_entry->name, sizeof(ret_entry->name), "token-%.8s",
             digest + strlen(DIGEST_PREFIX));
  return NULL;
}

/* ---- the file */

static int by_digest(const void *a, const void *b) {
  return memcmp(((const entry *)a)->digest, ((const entry *)b)->digest, DIGEST);
}

static void find_doubles(const char *path, srv_tokens *tokens, srv_faults *faults) {
  qsort(tokens->entries, tokens->count, sizeof(entry), by_digest);
  for (size_t i = 1; i < tokens->count; i++)
    if (by_digest(&tokens->entries[i - 1], &tokens->entries[i]) == 0)
      srv_faults_add(faults, "%.160s: lines %d and %d have the same token", path,
                     tokens->entries[i - 1].line, tokens->entries[i].line);
}

static void take_line(const char *path, int number, const char *text, size_t length,
                      srv_tokens *tokens, srv_faults *faults) {
  char line[SRV_TOKENS_LINE_MAX + 1];
  entry found = {.line = number};
  if (length > SRV_TOKENS_LINE_MAX) {
    srv_faults_add(faults, "%.160s:%d: the line is %zu bytes, limit %d", path, number, length,
                   SRV_TOKENS_LINE_MAX);
    return;
  }
  if (memchr(text, '\0', length) != NULL) {
    srv_faults_add(faults, "%.160s:%d: the line has a NUL byte", path, number);
    return;
  }
  memcpy(line, text, length);
  line[length] = '\0';
  const char *fault = parse_line(line, &found);
  if (fault != NULL)
    srv_faults_add(faults, "%.160s:%d: %s", path, number, fault);
  else if (found.roles != 0 && tokens->count < SRV_TOKENS_MAX)
    tokens->entries[tokens->count++] = found;
  else if (found.roles != 0)
    srv_faults_add(faults, "%.160s:%d: more than %d tokens", path, number, SRV_TOKENS_MAX);
}

srv_tokens *srv_tokens_parse(const char *path, const char *text, size_t length,
                             srv_faults *faults) {
  unsigned before = faults->count;
  const char *end = text + length;
  srv_tokens *tokens = calloc(1, sizeof(*tokens) + SRV_TOKENS_MAX * sizeof(entry));
  if (tokens == NULL) {
    srv_faults_add(faults, "%.160s: out of memory", path);
    return NULL;
  }
  for (int number = 1; text < end && faults->count < SRV_FAULTS_MAX; number++) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    if (stop == NULL) stop = end;
    take_line(path, number, text, (size_t)(stop - text), tokens, faults);
    text = stop + 1;
  }
  find_doubles(path, tokens, faults);
  if (faults->count == before && tokens->count == 0)
    srv_faults_add(faults, "%.160s: has no token; nobody could ask anything", path);
  if (faults->count == before) {
    srv_tokens *fitted =
        realloc(tokens, sizeof(*tokens) + tokens->count * sizeof(tokens->entries[0]));
    return fitted != NULL ? fitted : tokens;
  }
  srv_tokens_free(tokens);
  return NULL;
}

srv_tokens *srv_tokens_load(const char *path, srv_faults *faults) {
  char message[300];
  char *text = NULL;
  size_t length = 0;
  if (!srv_file_read(path, SRV_TOKENS_BYTES_MAX, SRV_FILE_SECRET, &text, &length, message,
                     sizeof(message))) {
    srv_faults_add(faults, "--tokens: %s", message);
    return NULL;
  }
  srv_tokens *tokens = srv_tokens_parse(path, text, length, faults);
  srv_file_free(text, length);
  return tokens;
}

void srv_tokens_free(srv_tokens *tokens) {
  free(tokens);
}

size_t srv_tokens_count(const srv_tokens *tokens) {
  return tokens->count;
}

/* ---- looking one up */

unsigned srv_tokens_find(const srv_tokens *tokens, const char *token, size_t length,
                         char ret_name[SRV_TOKEN_NAME_MAX + 1]) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  size_t found = tokens->count;
  if (EVP_Digest(token, length, digest, /* size= */ NULL, EVP_sha256(), /* engine= */ NULL) != 1)
    return 0;
  for (size_t i = 0; i < tokens->count; i++)
    if (CRYPTO_memcmp(tokens->entries[i].digest, digest, DIGEST) == 0) found = i;
  if (found == tokens->count) return 0;
  memcpy(ret_name, tokens->entries[found].name, SRV_TOKEN_NAME_MAX + 1);
  return tokens->entries[found].roles;
}
