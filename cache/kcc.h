/* SPDX-License-Identifier: MIT
 *
 * kcc.h: a store for V8 code caches (libkiln-cache).
 *
 * What it is for: keeping blobs of cached data under keys that name everything they depend on, in
 * one SQLite database which several processes may use at once, and handing out only bytes that are
 * exactly those that were put. What it does not do: compile, run, or know anything of V8; speak
 * HTTP.
 *
 * CONVENTIONS, which hold for every function here:
 *
 * Errors. Everything that can fail returns a kcc_status; anything but KCC_OK (and KCC_MISS, which
 * is an answer) fills `*err`, which may be NULL, and leaves every `ret_` argument untouched. The
 * library never prints and never exits. Ownership. Spans passed in are read during the call. What a
 * `ret_` struct owns is released with its own *_free(), which accepts an all-zero struct. Threads.
 * A kcc_store may be used by any number of threads at once: each reading thread has a connection of
 * its own, writes go through one. Do not carry an open store across fork(): in the child every call
 * on it is KCC_EINVAL, kcc_store_close() does nothing, and no other store can be opened. Failure
 * policy. A store in trouble never makes an answer wrong: damaged entries are a miss, are counted
 * and moved to quarantine; a database that is busy is waited for and never deleted. Structs.
 * All-zero options mean defaults, apart from struct_size, which the *_INIT macro sets.
 */
#ifndef KILN_CACHE_KCC_H
#define KILN_CACHE_KCC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KCC_API __attribute__((visibility("default")))
#else
#define KCC_API
#endif

#define KCC_VERSION_MAJOR 0
#define KCC_VERSION_MINOR 1
#define KCC_VERSION_PATCH 0

/* X(symbol, number, what it means). Never renumbered. */
#define KCC_STATUS_MAP(X)                                               \
  X(KCC_OK, 0, "success")                                               \
  X(KCC_MISS, 1, "no such entry, or it was damaged and is gone")        \
  X(KCC_EINVAL, 100, "invalid argument")                                \
  X(KCC_ETOOBIG, 203, "the entry is over the limit")                    \
  X(KCC_EBUSY, 300, "the database stayed locked past the time to wait") \
  X(KCC_ENOTSTORE, 400, "the file is no store of code caches")          \
  X(KCC_ENEWER, 401, "the store was made by a newer version")           \
  X(KCC_EREADONLY, 402, "the store cannot be written")                  \
  X(KCC_EFULL, 403, "the disk is full")                                 \
  X(KCC_ECORRUPT, 404, "the database is damaged")                       \
  X(KCC_EIO, 405, "the file system failed")                             \
  X(KCC_EPERM, 406, "the store's directory or file is not safe to use") \
  X(KCC_ENOMEM, 501, "out of memory")                                   \
  X(KCC_EINTERNAL, 502, "SQLite failed in a way not foreseen here")

typedef enum kcc_status {
#define KCC_STATUS_ENUM(symbol, number, text) symbol = number,
  KCC_STATUS_MAP(KCC_STATUS_ENUM)
#undef KCC_STATUS_ENUM
} kcc_status;
KCC_API const char *kcc_status_name(kcc_status status);
KCC_API const char *kcc_status_text(kcc_status status);

/* Caller-owned, nothing to free. The message is one line: "store '/x/kiln.db': schema 7 is newer
 * than 1". */
typedef struct kcc_error {
  kcc_status status;
  int os_code; /* errno, or SQLite's extended result code; 0 where neither is to blame */
  char message[512];
} kcc_error;

typedef struct kcc_span {
  const void *data;
  size_t length;
} kcc_span;

/* ---- digests and keys --------------------------------------------------------------------------
 */

#define KCC_DIGEST_BYTES 32
#define KCC_HEX_BYTES 65 /* a digest in lower-case hex, with its NUL */

typedef struct kcc_digest {
  uint8_t bytes[KCC_DIGEST_BYTES];
} kcc_digest;

/* SHA-256 of `data`. */
KCC_API kcc_status kcc_digest_of(kcc_span data, kcc_digest *ret_digest, kcc_error *err);
KCC_API void kcc_digest_format(const kcc_digest *digest, char ret_hex[KCC_HEX_BYTES]);
/* Parses exactly 64 hex digits, of either case. False leaves *ret_digest untouched. */
KCC_API bool kcc_digest_parse(const char *hex, size_t length, kcc_digest *ret_digest);

/* Who makes and can use a blob. Every field is part of the key; NULL counts as "". */
typedef struct kcc_fingerprint {
  const char *engine; /* the engine's name, "node-18" */
  const char *v8_version;
  uint32_t cached_data_tag;
  const char *flags;
  const char *build_id;
  const char *arch;
} kcc_fingerprint;

typedef enum kcc_kind { KCC_SCRIPT = 0, KCC_MODULE = 1, KCC_FUNCTION = 2 } kcc_kind;
/* What had been compiled when the blob was made. */
typedef enum kcc_mode { KCC_LAZY = 0, KCC_EAGER = 1, KCC_WARM = 2, KCC_WORKLOAD = 3 } kcc_mode;
KCC_API const char *kcc_kind_name(kcc_kind kind); /* "script", "module", "function" */
KCC_API const char *kcc_mode_name(kcc_mode mode); /* "lazy", "eager", "warm", "workload" */
KCC_API bool kcc_kind_parse(const char *name, kcc_kind *ret_kind);
KCC_API bool kcc_mode_parse(const char *name, kcc_mode *ret_mode);

/* Everything a blob depends on. The key is SHA-256 over an unambiguous (length-prefixed) encoding
 * of all of it and of the key format's version. */
typedef struct kcc_key_parts {
  kcc_fingerprint fingerprint;
  kcc_kind kind;
  kcc_mode mode;
  kcc_digest source; /* of the source text's bytes */
  uint64_t source_length;
  kcc_span filename;
  int32_t line_offset;
  int32_t column_offset;
  const kcc_span *params; /* of a function, in order */
  size_t params_count;
  size_t context_extensions_count;
  kcc_digest workload;     /* of the workload's bytes; all zero unless mode is KCC_WORKLOAD */
  uint32_t origin_options; /* reserved for origin options that change the blob; 0 */
} kcc_key_parts;
KCC_API kcc_status kcc_key_of(const kcc_key_parts *parts, kcc_digest *ret_key, kcc_error *err);

/* Digest of a fingerprint alone: the envelope's fingerprint id. */
KCC_API kcc_status kcc_fingerprint_id(const kcc_fingerprint *fingerprint, kcc_digest *ret_id,
                                      kcc_error *err);

/* ---- the store
 * ------------------------------------------------------------------------------------ */

typedef struct kcc_store kcc_store;

/* Options over these, and busy_ms over an hour, touch_every_ms over a day, source_max_bytes over
 * KCC_ENTRY_MAX_BYTES or sources_max_bytes over 2^48, are KCC_EINVAL. */
#define KCC_ENTRY_MAX_BYTES 999999000 /* SQLite's rows end at 10^9 */
#define KCC_TOUCH_MAX 65536
#define KCC_PARTS_MAX_BYTES (8 << 20) /* of file name and parameters together */
#define KCC_REASON_MAX_BYTES 255      /* of kcc_store_quarantine() */
#define KCC_LIKE_MAX 256              /* entries that kcc_store_each_like() calls for */

typedef struct kcc_store_options {
  size_t struct_size;
  bool read_only;           /* never writes, not even last-used times; the store must exist */
  uint64_t entry_max_bytes; /* a blob over this is KCC_ETOOBIG; 0 means KCC_ENTRY_MAX_BYTES */
  unsigned busy_ms;         /* how long one call waits for a lock; 0 means 10,000 */
  unsigned touch_every_ms;  /* how often last-used times are written together; 0 means 5,000 */
  unsigned touch_max;       /* ... or as soon as this many wait; 0 means 1,024 */
  /* All kept texts together, as stored; 0 means 1 GiB. The least recently used go first, the blobs
   * stay. */
  uint64_t sources_max_bytes;
  uint64_t source_max_bytes; /* a text over this is not kept; 0 means 64 MiB */
} kcc_store_options;
#define KCC_STORE_OPTIONS_INIT \
  { sizeof(kcc_store_options), false, 0, 0, 0, 0, 0, 0 }

/* Opens the store in directory `path`, creating directory (0700) and database (0600) where missing,
 * and bringing a store of an older version up to date; to read only, an older one is KCC_EREADONLY.
 * A directory or database that others may write to, or of another owner, is KCC_EPERM; to read
 * only, root's are as good as one's own. */
KCC_API kcc_status kcc_store_open(const char *path, const kcc_store_options *options,
                                  kcc_store **ret_store, kcc_error *err);

/* Writes what is pending and closes. NULL does nothing. No other call may be under way. */
KCC_API void kcc_store_close(kcc_store *store);

/* What is kept beside a blob. */
typedef struct kcc_entry_info {
  kcc_digest key;
  kcc_digest source;
  uint64_t source_length;
  uint64_t blob_length;
  kcc_kind kind;
  kcc_mode mode;
  char engine[32];
  char v8_version[64];
  char filename[256]; /* cut at a UTF-8 boundary if longer; for people, not part of the key's proof
                       */
  int64_t created_unix_ms;
  int64_t used_unix_ms;
  /* The next four are zero for entries that a store of schema 1 had. */
  char build_id[72];
  kcc_digest fingerprint_id;
  int32_t line_offset;
  int32_t column_offset;
  bool has_source; /* its source text is kept; kcc_store_list() and kcc_store_each_like() tell */
} kcc_entry_info;

/* A source text, compressed before it is put with its entry: as soon as it is known that it will
 * be, perhaps while the blob is still being made. */
typedef struct kcc_text kcc_text;
/* KCC_MISS: nothing to do, as the store has the text or keeps none so long. KCC_EINVAL if it is not
 * of the digest. From any thread. */
KCC_API kcc_status kcc_store_pack(kcc_store *store, kcc_span text, const kcc_digest *digest,
                                  kcc_text **ret_text, kcc_error *err);
KCC_API void kcc_text_free(kcc_text *text); /* NULL does nothing */

/* The texts are kept once per digest, compressed, so that a run can name a key instead of a source;
 * no data: not kept. KCC_EINVAL if one is not of the digest in `parts`. */
typedef struct kcc_put {
  kcc_key_parts parts;
  kcc_span blob;
  kcc_span source_text;
  const kcc_text *source_packed; /* of source_text; NULL: it is packed now, where needed */
  kcc_span workload_text;
} kcc_put;

/* Stores an entry under the key of its parts, which *ret_key gets unless NULL, replacing one of the
 * same key; KCC_EFULL where less than 16 MiB and twice the entry are free on the disk, so that the
 * store stays one that can be tidied. Engine name, V8 version and build id must fit
 * kcc_entry_info. When it returns KCC_OK the entry survives kill -9 of every process (and, as
 * SQLite's WAL with synchronous=NORMAL, perhaps not a power cut). */
KCC_API kcc_status kcc_store_put(kcc_store *store, const kcc_put *put, kcc_digest *ret_key,
                                 kcc_error *err);

/* An entry's bytes: blob.data is 8-byte aligned and belongs to the struct. */
typedef struct kcc_entry {
  kcc_entry_info info;
  kcc_span blob;
  void *owned; /* private */
} kcc_entry;
KCC_API void kcc_entry_free(kcc_entry *entry);

/* Reads an entry and verifies all of it: envelope, lengths, key, fingerprint id, XXH3-128 over
 * header and payload. `fingerprint` NULL skips only the comparison with the caller's engine.
 * Damage: the entry goes to quarantine, is counted, and the answer is KCC_MISS. Notes the time of
 * use. */
KCC_API kcc_status kcc_store_get(kcc_store *store, const kcc_digest *key,
                                 const kcc_fingerprint *fingerprint, kcc_entry *ret_entry,
                                 kcc_error *err);

/* Everything an entry's key was made of; `parts` lends from the struct. */
typedef struct kcc_entry_parts {
  kcc_key_parts parts;
  kcc_digest fingerprint_id;
  void *owned; /* private */
} kcc_entry_parts;
KCC_API void kcc_entry_parts_free(kcc_entry_parts *parts);

/* Gives the parts of the entry under `key`, verified: their key is `key`, their fingerprint's id
 * the entry's. KCC_MISS also for entries that a store of schema 1 had, which did not keep them.
 * Damage is quarantined, counted, and KCC_MISS; a damaged fingerprint is written anew by the next
 * put of that engine. Notes no time of use. */
KCC_API kcc_status kcc_store_get_parts(kcc_store *store, const kcc_digest *key,
                                       kcc_entry_parts *ret_parts, kcc_error *err);

/* The source or workload text kept under `source`, verified against that digest. Release with
 * kcc_entry_free(); only `blob` and info.source/source_length are set. It is kept as long as an
 * entry names it, unless kcc_store_options' limits say no. Damage is a miss here too. Notes the
 * time of use. */
KCC_API kcc_status kcc_store_get_source(kcc_store *store, const kcc_digest *source,
                                        kcc_entry *ret_entry, kcc_error *err);

/* Removes an entry; KCC_MISS where there is none. */
KCC_API kcc_status kcc_store_remove(kcc_store *store, const kcc_digest *key, kcc_error *err);

/* Calls `each` for every entry, most recently used first, until it returns false. `each` may call
 * the store. */
typedef bool (*kcc_each_fn)(void *user, const kcc_entry_info *info);
KCC_API kcc_status kcc_store_list(kcc_store *store, kcc_each_fn each, void *user, kcc_error *err);

/* The same for entries of the source digest or the whole file name in `like` (an empty one is no
 * name), at most KCC_LIKE_MAX; the other parts do not matter. The order is that of the times of use
 * written so far. Of a digest or name with more than 4,096 entries only so many are looked at.
 * Entries that a store of schema 1 had are found by source only. */
KCC_API kcc_status kcc_store_each_like(kcc_store *store, const kcc_key_parts *like,
                                       kcc_each_fn each, void *user, kcc_error *err);

/* Moves a whole entry to quarantine because of what its user saw: `reason`, UTF-8, at most
 * KCC_REASON_MAX_BYTES. KCC_MISS where there is none of that key. */
KCC_API kcc_status kcc_store_quarantine(kcc_store *store, const kcc_digest *key, const char *reason,
                                        kcc_error *err);

/* What is in quarantine; the texts are lent for the call. Nothing there is ever used again, and the
 * oldest go where there are more than 64, or more than 64 MiB. */
typedef struct kcc_quarantined {
  int64_t id;
  int64_t moved_unix_ms;
  const char *what; /* "entry", "source" or "fingerprint" */
  const char *reason;
  const char *name; /* an entry's file name, as far as it can be read; of any bytes */
  kcc_digest key;   /* the entry's, or the digest of what is none; zero if unknown */
  uint64_t bytes;   /* as stored */
} kcc_quarantined;
/* Calls `each` for everything in quarantine, the newest first, until it returns false. `each` may
 * call the store. */
typedef bool (*kcc_quarantined_fn)(void *user, const kcc_quarantined *item);
KCC_API kcc_status kcc_store_list_quarantine(kcc_store *store, kcc_quarantined_fn each, void *user,
                                             kcc_error *err);

/* Counters are this process's since open, but for the first five, which are the database's; sources
 * are all kept texts, source_bytes what they take as stored. */
#define KCC_STATS_MAP(X) \
  X(entries)             \
  X(blob_bytes)          \
  X(quarantined)         \
  X(sources)             \
  X(source_bytes)        \
  X(hits)                \
  X(misses)              \
  X(puts)                \
  X(removes)             \
  X(corrupt)             \
  X(busy_waits)          \
  X(errors)
typedef struct kcc_stats {
#define KCC_STATS_FIELD(name) uint64_t name;
  KCC_STATS_MAP(KCC_STATS_FIELD)
#undef KCC_STATS_FIELD
} kcc_stats;
KCC_API kcc_status kcc_store_stats(kcc_store *store, kcc_stats *ret_stats, kcc_error *err);

/* Reads and checks every entry and every source text, and the database itself (PRAGMA quick_check).
 * What is damaged is quarantined unless the store is read-only; `damaged`, which may be NULL, is
 * called for each with what is readable of it, and ends the call by returning false; where SQLite
 * itself cannot read, a row is counted without that call, and database_ok is false. Texts count
 * like entries; of them only info.source and info.source_length are set. So do fingerprints, if
 * they are damaged; of them only info.fingerprint_id is set. */
typedef struct kcc_verify_result {
  uint64_t checked;
  uint64_t damaged;
  bool database_ok;
} kcc_verify_result;
KCC_API kcc_status kcc_store_verify(kcc_store *store, kcc_each_fn damaged, void *user,
                                    kcc_verify_result *ret_result, kcc_error *err);

/* Moves what is in SQLite's log into the database, as far as nobody reads it from there, and syncs
 * both; waits for nobody. To be called when there is nothing to put: then less is left to do when
 * the store is closed, and power may fail. Without it SQLite does so whenever the log has grown by
 * 16 MiB, and when the last connection closes. KCC_EREADONLY. */
KCC_API kcc_status kcc_store_checkpoint(kcc_store *store, kcc_error *err);

/* Whether an entry could be put now, as far as can be told without writing or waiting: the database
 * is the file that was opened, on a disk that may be written and has room. */
KCC_API kcc_status kcc_store_check_writable(kcc_store *store, kcc_error *err);

/* Writes pending last-used times now. */
KCC_API kcc_status kcc_store_flush(kcc_store *store, kcc_error *err);

/* ---- the envelope, for tests and for other stores
 * ------------------------------------------------------ */

/* What is stored for a blob: a fixed header, then the payload. Fixed little-endian layout,
 * documented in cache/envelope.c. */
KCC_API size_t kcc_envelope_bytes(size_t payload_length);
/* Writes header and payload into `ret_bytes`, which has room for kcc_envelope_bytes(). */
KCC_API void kcc_envelope_encode(const kcc_digest *key, const kcc_digest *fingerprint_id,
                                 kcc_span payload, uint8_t *ret_bytes);
/* Checks every byte of `bytes`; on true *ret_payload points into it. `fingerprint_id` may be NULL.
 * On false *ret_reason, if not NULL, gets a static text. */
KCC_API bool kcc_envelope_verify(kcc_span bytes, const kcc_digest *key,
                                 const kcc_digest *fingerprint_id, kcc_span *ret_payload,
                                 const char **ret_reason);

#ifdef __cplusplus
}
#endif
#endif
