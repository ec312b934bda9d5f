/* SPDX-License-Identifier: MIT
 *
 * request.c: the options of a request, from a JSON body or from the query. The first byte says
 * which operation; then come lines "name=value" of the query, an empty line, the body.
 */
#include <stdlib.h>
#include <string.h>

#include "server/request.h"
#include "tests/fuzz/fuzz.h"

#define PAIRS_MAX 16

static size_t take_query(const char **at, size_t *left, srv_query_pair *pairs) {
  size_t count = 0;
  while (count < PAIRS_MAX) {
    const char *end = memchr(*at, '\n', *left);
    if (end == NULL || end == *at) break;
    size_t length = (size_t)(end - *at);
    const char *equals = memchr(*at, '=', length);
    srv_query_pair *pair = &pairs[count++];
    *pair = (srv_query_pair){.name = {*at, length}, .has_value = equals != NULL};
    if (equals != NULL) {
      pair->name.length = (size_t)(equals - *at);
      pair->value = (kiln_span){equals + 1, length - pair->name.length - 1};
    }
    *left -= length + 1;
    *at = end + 1;
  }
  if (*left > 0 && **at == '\n') {
    ++*at;
    --*left;
  }
  return count;
}

static void check(const srv_parsed *parsed) {
  const kiln_request *wanted = &parsed->kiln;
  if (wanted->params_count > KILN_PARAMS_MAX || wanted->modules_count > KILN_MODULES_MAX ||
      wanted->contexts_count > KILN_CONTEXTS_MAX)
    abort();
  if (wanted->key.length != 0 && wanted->key.length != KILN_KEY_HEX) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const kiln_op ops[] = {KILN_COMPILE, KILN_CREATE_CACHED_DATA, KILN_RUN,
                                KILN_MEASURE_MEMORY};
  srv_query_pair pairs[PAIRS_MAX];
  srv_parsed parsed;
  if (size < 1) return 0;
  /* The values of MHD end in NULs; nobody may need them. */
  const char *at = (const char *)data + 1;
  size_t left = size - 1;
  srv_body_form form = data[0] & 4 ? SRV_FORM_JSON : SRV_FORM_SOURCE;
  size_t count = take_query(&at, &left, pairs);
  kiln_bytes *body = kiln_bytes_new(at, left);
  if (body == NULL) abort();
  bool good = srv_parse(ops[data[0] & 3], form, body, pairs, count, &parsed);
  if (good) {
    check(&parsed);
  } else {
    if (parsed.refusal.status < 400 || parsed.refusal.status >= 500) abort();
    srv_reply_release(&parsed.refusal);
  }
  srv_parsed_release(&parsed);
  kiln_bytes_unref(body);
  return 0;
}
