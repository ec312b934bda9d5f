/* SPDX-License-Identifier: MIT
 *
 * tls.c: see tls.h. GnuTLS asks for certificate and key at each handshake and gets copies, which it
 * frees itself: a reload has nobody to wait for. MHD's own options would keep one pair for the
 * daemon's life.
 */
#include "server/tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/file.h"

#define SECONDS_PER_DAY 86400

typedef struct pair {
  gnutls_x509_crt_t chain[SRV_TLS_CHAIN_MAX];
  unsigned count;
  gnutls_x509_privkey_t key; /* NULL: none */
} pair;

struct srv_tls {
  const char *cert_path, *key_path, *priority;
  pthread_rwlock_t lock;
  pair now;
};

static srv_tls *the_tls; /* set before the daemon starts, cleared after it has ended */

static void release_pair(pair *one) {
  for (unsigned i = 0; i < one->count; i++) gnutls_x509_crt_deinit(one->chain[i]);
  if (one->key != NULL) gnutls_x509_privkey_deinit(one->key);
  *one = (pair){0};
}

/* ---- reading */

static bool read_chain(const char *path, pair *one, srv_faults *faults) {
  char message[300];
  char *text = NULL;
  size_t length = 0;
  if (!srv_file_read(path, SRV_TLS_BYTES_MAX, SRV_FILE_PLAIN, &text, &length, message,
                     sizeof(message))) {
    srv_faults_add(faults, "--tls-cert: %s", message);
    return false;
  }
  gnutls_datum_t pem = {.data = (unsigned char *)text, .size = (unsigned)length};
  unsigned count = SRV_TLS_CHAIN_MAX;
  int result = gnutls_x509_crt_list_import(
      one->chain, &count, &pem, GNUTLS_X509_FMT_PEM,
      GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED | GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
  srv_file_free(text, length);
  if (result > 0) {
    one->count = (unsigned)result;
    return true;
  }
  if (result == GNUTLS_E_SHORT_MEMORY_BUFFER)
    srv_faults_add(faults, "--tls-cert: %.160s: more than %d certificates", path,
                   SRV_TLS_CHAIN_MAX);
  else
    srv_faults_add(faults,
                   "--tls-cert: %.160s: no certificate chain in PEM, the server's first: %s", path,
                   result < 0 ? gnutls_strerror(result) : "it is empty");
  return false;
}

static bool read_key(const char *path, pair *one, srv_faults *faults) {
  char message[300];
  char *text = NULL;
  size_t length = 0;
  if (!srv_file_read(path, SRV_TLS_BYTES_MAX, SRV_FILE_SECRET, &text, &length, message,
                     sizeof(message))) {
    srv_faults_add(faults, "--tls-key: %s", message);
    return false;
  }
  gnutls_datum_t pem = {.data = (unsigned char *)text, .size = (unsigned)length};
  int result = gnutls_x509_privkey_init(&one->key);
  if (result < 0) one->key = NULL;
  if (result >= 0)
    result = gnutls_x509_privkey_import2(one->key, &pem, GNUTLS_X509_FMT_PEM, /* password= */ NULL,
                                         /* flags= */ 0);
  srv_file_free(text, length);
  if (result >= 0) return true;
  srv_faults_add(faults, "--tls-key: %.160s: no private key in PEM without a password: %s", path,
                 gnutls_strerror(result));
  return false;
}

static bool belong_together(const pair *one) {
  unsigned char of_cert[64];
  unsigned char of_key[64];
  size_t cert_size = sizeof(of_cert);
  size_t key_size = sizeof(of_key);
  return gnutls_x509_crt_get_key_id(one->chain[0], GNUTLS_KEYID_USE_SHA256, of_cert, &cert_size) ==
             0 &&
         gnutls_x509_privkey_get_key_id(one->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size) ==
             0 &&
         cert_size == key_size && memcmp(of_cert, of_key, cert_size) == 0;
}

static bool read_pair(const srv_tls *tls, pair *ret_pair, srv_faults *faults) {
  pair one = {0};
  bool chain = read_chain(tls->cert_path, &one, faults);
  bool key = read_key(tls->key_path, &one, faults);
  if (chain && key && belong_together(&one)) {
    *ret_pair = one;
    return true;
  }
  if (chain && key)
    srv_faults_add(faults, "--tls-key: %.160s: is not the key of --tls-cert %.160s", tls->key_path,
                   tls->cert_path);
  release_pair(&one);
  return false;
}

static bool check_priority(const srv_tls *tls, srv_faults *faults) {
  gnutls_priority_t parsed;
  const char *at = NULL;
  int result = gnutls_priority_init(&parsed, tls->priority, &at);
  if (result == GNUTLS_E_SUCCESS) {
    gnutls_priority_deinit(parsed);
    return true;
  }
  srv_faults_add(faults, "--tls-priority '%.80s': not understood from '%.80s' on", tls->priority,
                 at != NULL ? at : tls->priority);
  return false;
}

srv_tls *srv_tls_new(const srv_options *options, srv_faults *faults) {
  srv_tls *tls = calloc(1, sizeof(*tls));
  if (tls == NULL) {
    srv_faults_add(faults, "out of memory");
    return NULL;
  }
  tls->cert_path = options->tls_cert;
  tls->key_path = options->tls_key;
  tls->priority = options->tls_priority != NULL ? options->tls_priority : SRV_TLS_PRIORITY;
  pthread_rwlock_init(&tls->lock, NULL);
  bool known = check_priority(tls, faults);
  if (read_pair(tls, &tls->now, faults) && known) {
    the_tls = tls;
    return tls;
  }
  srv_tls_free(tls);
  return NULL;
}

void srv_tls_free(srv_tls *tls) {
  if (tls == NULL) return;
  if (the_tls == tls) the_tls = NULL;
  release_pair(&tls->now);
  pthread_rwlock_destroy(&tls->lock);
  free(tls);
}

bool srv_tls_reload(srv_tls *tls, srv_faults *faults) {
  pair fresh;
  if (!read_pair(tls, &fresh, faults)) return false;
  pthread_rwlock_wrlock(&tls->lock);
  pair old = tls->now;
  tls->now = fresh;
  pthread_rwlock_unlock(&tls->lock);
  release_pair(&old);
  return true;
}

int64_t srv_tls_days_left(srv_tls *tls) {
  pthread_rwlock_rdlock(&tls->lock);
  time_t until = gnutls_x509_crt_get_expiration_time(tls->now.chain[0]);
  pthread_rwlock_unlock(&tls->lock);
  int64_t left_s = (int64_t)until - (int64_t)time(NULL);
  return left_s < 0 ? -1 : left_s / SECONDS_PER_DAY;
}

/* ---- the handshake */

/* Copies for GnuTLS to free; the lock is held. */
static int copy_pair(const pair *one, gnutls_pcert_st **ret_certs, unsigned *ret_count,
                     gnutls_privkey_t *ret_key) {
  gnutls_privkey_t key = NULL;
  unsigned done = 0;
  gnutls_pcert_st *certs = gnutls_calloc(one->count, sizeof(*certs));
  int result = certs != NULL ? gnutls_privkey_init(&key) : GNUTLS_E_MEMORY_ERROR;
  if (result >= 0) result = gnutls_privkey_import_x509(key, one->key, GNUTLS_PRIVKEY_IMPORT_COPY);
  while (result >= 0 && done < one->count) {
    result = gnutls_pcert_import_x509(&certs[done], one->chain[done], /* flags= */ 0);
    if (result >= 0) done++;
  }
  if (result >= 0) {
    *ret_certs = certs;
    *ret_count = one->count;
    *ret_key = key;
    return 0;
  }
  for (unsigned i = 0; i < done; i++) gnutls_pcert_deinit(&certs[i]);
  if (key != NULL) gnutls_privkey_deinit(key);
  gnutls_free(certs);
  return result;
}

/* gnutls_certificate_retrieve_function3 */
static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **ret_certs, unsigned *ret_count,
                    gnutls_ocsp_data_st **ret_ocsp, unsigned *ret_ocsp_count,
                    gnutls_privkey_t *ret_key, unsigned *ret_flags) {
  srv_tls *tls = the_tls;
  (void)session;
  (void)info;
  *ret_ocsp = NULL;
  *ret_ocsp_count = 0;
  *ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
  pthread_rwlock_rdlock(&tls->lock);
  int result = copy_pair(&tls->now, ret_certs, ret_count, ret_key);
  pthread_rwlock_unlock(&tls->lock);
  return result;
}

void srv_tls_fill_options(const srv_tls *tls, struct MHD_OptionItem ret_items[SRV_TLS_ITEMS]) {
  union {
    const char *in;
    void *out;
  } priority = {.in = tls->priority};
  ret_items[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priority.out};
  ret_items[1] =
      (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)retrieve};
}

void srv_tls_send_now(struct MHD_Connection *mhd, const char *text, size_t length) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  if (info != NULL && info->tls_session != NULL)
    (void)!gnutls_record_send(info->tls_session, text, length);
}
