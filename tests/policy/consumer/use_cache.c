/* SPDX-License-Identifier: MIT
 *
 * Puts an entry into a store with the installed libkiln-cache and gets it back: use_cache DIR ...
 */
#include <kiln/kcc.h>
#include <stdio.h>

int main(int argc, char **argv) {
  kcc_error err = {.status = KCC_OK};
  kcc_store *store = NULL;
  kcc_entry entry;
  kcc_digest key;
  kcc_put put = {.parts = {.source_length = 1, .fingerprint = {.engine = "none"}},
                 .blob = {"baked", 5}};
  if (argc < 2 || kcc_digest_of((kcc_span){"x", 1}, &put.parts.source, &err) != KCC_OK ||
      kcc_store_open(argv[1], NULL, &store, &err) != KCC_OK ||
      kcc_store_put(store, &put, &key, &err) != KCC_OK ||
      kcc_store_get(store, &key, &put.parts.fingerprint, &entry, &err) != KCC_OK) {
    fprintf(stderr, "%s: %s\n", kcc_status_name(err.status), err.message);
    kcc_store_close(store);
    return 1;
  }
  printf("%.*s\n", (int)entry.blob.length, (const char *)entry.blob.data);
  kcc_entry_free(&entry);
  kcc_store_close(store);
  return 0;
}
