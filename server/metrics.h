/* SPDX-License-Identifier: MIT
 *
 * metrics.h: what GET /metrics shows, in Prometheus's text format. Requests are counted without a
 * lock, each label comes from a fixed list: of routes, classes of status codes, causes.
 */
#ifndef KILN_SERVER_METRICS_H
#define KILN_SERVER_METRICS_H

#include "server/server.h"

/* Upper ends of the histograms' buckets, in microseconds; the last bucket has no end. */
#define SRV_BUCKETS 17

/* X(symbol, label). The class of a status; SRV_CLASS_NONE: the connection ended without an answer.
 */
#define SRV_CLASS_MAP(X)    \
  X(SRV_CLASS_NONE, "none") \
  X(SRV_CLASS_2XX, "2xx")   \
  X(SRV_CLASS_3XX, "3xx")   \
  X(SRV_CLASS_4XX, "4xx")   \
  X(SRV_CLASS_5XX, "5xx")
typedef enum srv_class {
#define SRV_CLASS_ENUM(symbol, label) symbol,
  SRV_CLASS_MAP(SRV_CLASS_ENUM)
#undef SRV_CLASS_ENUM
      SRV_CLASSES
} srv_class;

typedef struct srv_route_metrics {
  _Atomic uint64_t classes[SRV_CLASSES];
  _Atomic uint64_t buckets[SRV_BUCKETS + 1];
  _Atomic uint64_t sum_ns;
} srv_route_metrics;

struct srv_metrics {
  srv_route_metrics *routes; /* srv_route_count(), and one for what is no route */
  _Atomic uint64_t body_bytes_in;
  _Atomic uint64_t body_bytes_out;
  _Atomic uint64_t aborted; /* answers that were not sent to the last byte */
  srv_saved *saved;
};

srv_metrics *srv_metrics_new(void); /* NULL: out of memory */
void srv_metrics_free(srv_metrics *metrics);

/* Counts a request that has ended. */
void srv_metrics_count(srv_metrics *metrics, const srv_request *request, uint64_t duration_ns);

/* GET /metrics */
enum MHD_Result srv_handle_metrics(srv_request *request);

/* Writes a label's value: quotes, backslashes and line ends escaped. For tests, too. */
void srv_metrics_label(FILE *out, const char *value);

#endif
