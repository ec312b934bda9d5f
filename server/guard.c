/* SPDX-License-Identifier: MIT
 *
 * guard.c: see guard.h.
 *
 * The layout check. MHD 0.9.75 cuts the head up where it lies: it overwrites the line end with two
 * NULs and remembers pointers. In a well-formed head these pieces tile the buffer exactly: version,
 * two NULs, name, NUL, blanks, value, two NULs, name ... up to the empty line. A bare LF, a NUL
 * inside a line and a folded line each leave a gap, which is how they can be seen although MHD
 * took them; a NUL in the target leaves one before the version. A NUL right beside a line end, and
 * a line that begins with a colon, leave none: to MHD they are ends of lines. Later versions of MHD
 * refuse these by themselves and are not held to this layout.
 */
#include "server/guard.h"

#include <string.h>
#include <strings.h>

#define LAYOUT_VERSION "0.9.75" /* Debian 12's */

typedef struct head_check {
  srv_headers *headers;
  const char *expected; /* where the next line begins if the head is in one piece */
  bool check_layout;
  unsigned hosts;
  unsigned lengths;
  unsigned encodings;
  const char *fault;
} head_check;

static bool is_token(const char *text, size_t length) {
  static const char marks[] = "!#$%&'*+-.^_`|~";
  if (length == 0) return false;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    bool alphanumeric = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (!alphanumeric && (c == '\0' || strchr(marks, c) == NULL)) return false;
  }
  return true;
}

/* A carriage return that ends no line is one of them. */
static bool has_control(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c < ' ' && c != '\t') || c == 0x7f) return true;
  }
  return false;
}

/* A line end as MHD leaves it behind. */
static bool is_line_end(const char *at) {
  return at[0] == '\0' && at[1] == '\0';
}

static bool follows(head_check *head, const char *name, size_t name_length, const char *value,
                    size_t value_length) {
  if (!head->check_layout) return true;
  if (name != head->expected) return false;
  const char *at = name + name_length + 1;
  if (value < at || value - at > UINT16_MAX) return false;
  for (; at < value; at++)
    if (*at != ' ' && *at != '\t') return false;
  head->expected = value + value_length + 2;
  return is_line_end(value + value_length);
}

/* Digits only: MHD takes these too, but a sign or a list is for the caller to be told of. */
static bool parse_length(const char *value, uint64_t *ret_length) {
  uint64_t length = 0;
  if (*value == '\0') return false;
  for (; *value != '\0'; value++) {
    if (*value < '0' || *value > '9' || length > UINT64_MAX / 10 - 1) return false;
    length = length * 10 + (uint64_t)(*value - '0');
  }
  *ret_length = length;
  return true;
}

static bool is(const char *name, size_t length, const char *wanted) {
  return strlen(wanted) == length && strncasecmp(name, wanted, length) == 0;
}

static void take(head_check *head, const char *name, size_t length, const char *value) {
  srv_headers *headers = head->headers;
  if (is(name, length, "host")) {
    headers->host = value;
    if (++head->hosts > 1) head->fault = "more than one Host";
  } else if (is(name, length, "content-length")) {
    if (++head->lengths > 1)
      head->fault = "more than one Content-Length";
    else if (!parse_length(value, &headers->content_length))
      head->fault = "Content-Length is no number";
    headers->has_length = true;
  } else if (is(name, length, "transfer-encoding")) {
    if (++head->encodings > 1)
      head->fault = "more than one Transfer-Encoding";
    else if (strcasecmp(value, "chunked") != 0)
      head->fault = "Transfer-Encoding other than chunked";
    headers->chunked = true;
  } else if (is(name, length, "authorization")) {
    if (headers->authorization != NULL) head->fault = "more than one Authorization";
    headers->authorization = value;
  } else if (is(name, length, "x-request-id")) {
    headers->request_id = value;
  } else if (is(name, length, "content-type")) {
    headers->content_type = value;
  } else if (is(name, length, "content-encoding")) {
    headers->content_encoding = value;
  } else if (is(name, length, "expect")) {
    headers->expect = value;
  } else if (is(name, length, "if-none-match")) {
    headers->if_none_match = value;
  } else if (is(name, length, "if-range")) {
    headers->if_range = value;
  } else if (is(name, length, "range")) {
    headers->range = value;
  }
}

static enum MHD_Result see(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_length,
                           const char *value, size_t value_length) {
  head_check *head = cls;
  (void)kind;
  if (!follows(head, name, name_length, value, value_length))
    head->fault = "a header line is folded, has a NUL byte, or does not end with CR LF";
  else if (!is_token(name, name_length))
    head->fault = "a header's name is no token";
  else if (has_control(value, value_length))
    head->fault = "a header's value has a control character";
  else
    take(head, name, name_length, value);
  return head->fault == NULL ? MHD_YES : MHD_NO;
}

static bool ends_where_it_should(srv_request *request, const head_check *head) {
  if (!head->check_layout) return true;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info != NULL && head->expected + 2 == request->method + info->header_size &&
         is_line_end(head->expected);
}

/* ---- the target */

#define SCHEME "http://"

/* Where the authority of an absolute form begins; NULL: another form. */
static const char *find_authority(const char *target) {
  size_t length = strlen(SCHEME);
  return strncasecmp(target, SCHEME, length) == 0 ? target + length : NULL;
}

const char *srv_guard_target(const char *uri) {
  const char *authority = find_authority(uri);
  const char *query = strchr(uri, '?');
  const char *nul = strstr(uri, "%00");
  if (has_control(uri, strlen(uri)) || strchr(uri, ' ') != NULL || strchr(uri, '\t') != NULL)
    return "its target has a blank or a control character";
  /* Unescaped, the path would end there for everybody who looks at it. */
  if (nul != NULL && (query == NULL || nul < query)) return "its path has a NUL byte";
  /* Unescaped, "%2F" would end the authority early. */
  if (authority != NULL && authority[strcspn(authority, "/?%")] == '%')
    return "its target's host is escaped";
  return NULL;
}

const char *srv_guard_absolute(const char *url, char ret_authority[SRV_AUTHORITY_SIZE]) {
  const char *authority = find_authority(url);
  if (authority == NULL) return NULL;
  size_t length = strcspn(authority, "/");
  snprintf(ret_authority, SRV_AUTHORITY_SIZE, "%.*s", (int)length, authority);
  return authority[length] != '\0' ? authority + length : "/";
}

bool srv_guard_head(srv_request *request, const char *version, srv_reply *ret_refusal) {
  head_check head = {
      .headers = &request->headers,
      .expected = version + strlen(version) + 2,
      .check_layout = strcmp(MHD_get_version(), LAYOUT_VERSION) == 0,
  };
  bool http_1_0 = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
  head.fault = request->target_fault;
  if (head.check_layout && request->method + strlen(request->method) + 1 != request->target_begin)
    head.fault = "its method has a NUL byte, or more than a blank behind it";
  if (!is_token(request->method, strlen(request->method))) head.fault = "its method is no token";
  if (head.check_layout && request->target_end + 1 != version)
    head.fault = "its target has a NUL byte";
  if (head.fault == NULL) MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, see, &head);
  if (head.fault == NULL && !ends_where_it_should(request, &head))
    head.fault = "a header line is folded, has a NUL byte, or does not end with CR LF";
  if (head.fault == NULL && head.hosts == 0 && !http_1_0) head.fault = "no Host";
  if (head.fault == NULL && head.encodings > 0 && head.lengths > 0)
    head.fault = "Content-Length and Transfer-Encoding together";
  if (head.fault == NULL && head.encodings > 0 && http_1_0)
    head.fault = "Transfer-Encoding in HTTP/1.0";
  if (head.fault == NULL) return true;
  srv_count(&request->server->refused_malformed);
  *ret_refusal =
      srv_reply_error(MHD_HTTP_BAD_REQUEST, "ERR_MALFORMED_REQUEST", "request: %s", head.fault);
  return false;
}

/* ---- Host */

/* A Host without its port. */
static size_t host_length(const char *host) {
  if (host[0] == '[') {
    const char *end = strchr(host, ']');
    return end != NULL ? (size_t)(end - host) + 1 : strlen(host);
  }
  return strcspn(host, ":");
}

static bool port_follows(const char *rest) {
  if (*rest == '\0') return true;
  if (*rest++ != ':') return false;
  return strspn(rest, "0123456789") == strlen(rest);
}

bool srv_guard_host(const srv_server *server, const char *host) {
  static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
  const srv_options *options = server->options;
  if (!server->loopback && options->allow_hosts.count == 0) return true;
  if (host == NULL) return true; /* HTTP/1.0: no browser speaks it */
  size_t length = host_length(host);
  if (!port_follows(host + length)) return false;
  for (size_t i = 0; server->loopback && i < sizeof(loopback) / sizeof(loopback[0]); i++)
    if (is(host, length, loopback[i])) return true;
  for (unsigned i = 0; i < options->allow_hosts.count; i++)
    if (is(host, length, options->allow_hosts.items[i])) return true;
  size_t own = host_length(options->listen);
  return length == own && strncasecmp(host, options->listen, own) == 0;
}
