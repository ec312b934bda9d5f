/* SPDX-License-Identifier: MIT
 *
 * cached.c: GET and HEAD of /v1/cachedData/{key}: validators, conditions, one range. The path of a
 * plain hit is the hottest of the server: parse the key, find the finished response, queue it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/hot.h"
#include "server/route.h"

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

static bool parse_key(const char *text, srv_hot_key *ret_key) {
  for (size_t i = 0; i < sizeof(ret_key->bytes); i++) {
    int high = hex_digit(text[2 * i]);
    int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
    if (low < 0) return false;
    ret_key->bytes[i] = (unsigned char)(high << 4 | low);
  }
  return text[KILN_KEY_HEX] == '\0';
}

/* Whether `list` ("*", or entity tags with commas between) names `etag`, weakly compared (RFC 9110,
 * 8.8.3.2). Anything malformed ends the list. */
static bool names_etag(const char *list, const char *etag) {
  size_t length = strlen(etag);
  while (true) {
    list += strspn(list, " \t,");
    if (*list == '*') return true;
    if (strncmp(list, "W/", 2) == 0) list += 2;
    if (*list != '"') return false;
    const char *end = strchr(list + 1, '"');
    if (end == NULL) return false;
    if ((size_t)(end + 1 - list) == length && memcmp(list, etag, length) == 0) return true;
    list = end + 1;
  }
}

typedef enum range_kind { RANGE_NONE, RANGE_ONE, RANGE_OUTSIDE } range_kind;

static bool parse_position(const char **text, uint64_t *ret_position) {
  uint64_t position = 0;
  const char *at = *text;
  for (; *at >= '0' && *at <= '9'; at++)
    position =
        position > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 : position * 10 + (uint64_t)(*at - '0');
  if (at == *text) return false;
  *text = at;
  *ret_position = position;
  return true;
}

/* One range of bytes. Several ranges and whatever is malformed are as if not asked for, which RFC
 * 9110 allows. */
static range_kind parse_range(const char *text, uint64_t size, uint64_t *ret_offset,
                              uint64_t *ret_length) {
  uint64_t first = 0;
  uint64_t last = 0;
  if (strncasecmp(text, "bytes=", 6) != 0) return RANGE_NONE; /* RFC 9110, 14.1 */
  text += 6;
  if (*text == '-') {
    text++;
    if (!parse_position(&text, &last) || *text != '\0') return RANGE_NONE;
    if (last == 0 || size == 0) return RANGE_OUTSIDE;
    *ret_length = last < size ? last : size;
    *ret_offset = size - *ret_length;
    return RANGE_ONE;
  }
  if (!parse_position(&text, &first) || *text++ != '-') return RANGE_NONE;
  if (*text == '\0')
    last = UINT64_MAX;
  else if (!parse_position(&text, &last) || *text != '\0' || last < first)
    return RANGE_NONE;
  if (first >= size) return RANGE_OUTSIDE;
  if (last >= size) last = size - 1;
  *ret_offset = first;
  *ret_length = last - first + 1;
  return RANGE_ONE;
}

static srv_reply reply_not_modified(const char *etag) {
  srv_reply reply = {.status = MHD_HTTP_NOT_MODIFIED};
  reply.response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  srv_reply_header(&reply, MHD_HTTP_HEADER_ETAG, etag);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CACHE_CONTROL, SRV_CACHE_CONTROL);
  return reply;
}

static srv_reply reply_part(srv_blob *blob, const char *etag, uint64_t offset, uint64_t length) {
  char content_range[96];
  snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu", (unsigned long long)offset,
           (unsigned long long)(offset + length - 1),
           (unsigned long long)srv_blob_get(blob).length);
  srv_reply reply = srv_reply_blob(MHD_HTTP_PARTIAL_CONTENT, blob, (size_t)offset, (size_t)length);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CONTENT_RANGE, content_range);
  srv_reply_header(&reply, MHD_HTTP_HEADER_ETAG, etag);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CACHE_CONTROL, SRV_CACHE_CONTROL);
  return reply;
}

static srv_reply reply_outside(uint64_t size) {
  char content_range[64];
  srv_reply reply = srv_reply_error(MHD_HTTP_RANGE_NOT_SATISFIABLE, "ERR_OUT_OF_RANGE",
                                    "range: outside of %llu bytes", (unsigned long long)size);
  snprintf(content_range, sizeof(content_range), "bytes */%llu", (unsigned long long)size);
  srv_reply_header(&reply, MHD_HTTP_HEADER_CONTENT_RANGE, content_range);
  return reply;
}

static srv_reply reply_entry(const srv_request *request, srv_blob *blob, const char *etag) {
  const srv_headers *headers = &request->headers;
  uint64_t size = srv_blob_get(blob).length;
  if (headers->if_none_match != NULL && names_etag(headers->if_none_match, etag))
    return reply_not_modified(etag);
  /* If-Range is compared strongly: a weak tag never matches. */
  bool range_holds = headers->if_range == NULL || strcmp(headers->if_range, etag) == 0;
  if (headers->range != NULL && range_holds && strcmp(request->method, MHD_HTTP_METHOD_GET) == 0) {
    uint64_t offset = 0;
    uint64_t length = 0;
    switch (parse_range(headers->range, size, &offset, &length)) {
      case RANGE_ONE:
        return reply_part(blob, etag, offset, length);
      case RANGE_OUTSIDE:
        return reply_outside(size);
      case RANGE_NONE:
        break;
    }
  }
  return srv_hot_reply(blob, etag);
}

/* The blob from the store; NULL with *ret_refusal. */
static srv_blob *read_entry(srv_request *request, const char *hex, const srv_hot_key *key,
                            char ret_etag[SRV_ETAG_SIZE], srv_reply *ret_refusal) {
  kiln_bytes *bytes = NULL;
  kiln_error error = {.status = KILN_ECLOSING};
  kiln *k = srv_enter_kiln(request->server);
  if (k != NULL) {
    error.status = kiln_get_cached_data(k, kiln_span_from(hex), &bytes, &error);
    srv_leave_kiln(request->server);
  }
  if (bytes == NULL) {
    srv_hot_remove(request->server->hot, key);
    *ret_refusal = srv_reply_kiln_error(&error);
    return NULL;
  }
  srv_etag(hex, kiln_bytes_get(bytes), ret_etag);
  srv_blob *blob = srv_hot_put(request->server->hot, key, bytes, ret_etag);
  kiln_bytes_unref(bytes);
  return blob; /* for want of memory there is no answer, either */
}

enum MHD_Result srv_handle_cached_data(srv_request *request) {
  const srv_headers *headers = &request->headers;
  srv_hot *hot = request->server->hot;
  const char *hex = request->url + strlen(request->route->path);
  srv_hot_key key;
  enum MHD_Result result = MHD_NO;
  if (!parse_key(hex, &key))
    return srv_send(request, srv_reply_error(MHD_HTTP_BAD_REQUEST, "ERR_INVALID_ARG_VALUE",
                                             "key '%.80s': must be %d lower-case hex digits", hex,
                                             KILN_KEY_HEX));

  bool plain = headers->range == NULL && headers->if_none_match == NULL;
  request->note.cache = "hot";
  memcpy(request->note.key, hex, sizeof(request->note.key) - 1);
  /* The kept response has no request id. Where nobody could look one up, that saves a tenth of the
   * time of a hit. */
  bool nameless = request->headers.request_id == NULL && request->server->access_log == NULL;
  if (plain && nameless && !srv_is_last(request->server) &&
      srv_hot_send(hot, &key, request, &result)) {
    srv_count(&request->server->hot_hits);
    return result;
  }
  char etag[SRV_ETAG_SIZE];
  srv_reply reply = {0};
  srv_blob *blob = srv_hot_copy(hot, &key, etag);
  if (blob != NULL) srv_count(&request->server->hot_hits);
  if (blob == NULL) {
    blob = read_entry(request, hex, &key, etag, &reply);
    request->note.cache = kiln_cache_word(blob != NULL ? KILN_CACHE_HIT : KILN_CACHE_MISS);
  }
  if (blob != NULL) reply = reply_entry(request, blob, etag);
  srv_blob_unref(blob);
  return srv_send(request, reply);
}
