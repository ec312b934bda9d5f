/* SPDX-License-Identifier: MIT
 *
 * kv8_value.h: JavaScript values for C: make, read, convert and compare them; objects, arrays,
 * functions written in C, symbols, buffers, promises; exceptions thrown from C; and objects that
 * own C data. Included by kv8.h, whose CONVENTIONS hold here too.
 *
 * A kv8_value is a handle: it keeps one value alive until kv8_value_free(). Values belong to an
 * isolate, not to a context: any value may be passed to any context of its isolate. The `context`
 * that most calls take is where new objects are made (whose Object.prototype they get), whose
 * errors are thrown and whose microtask queue is drained when the call is the outermost one.
 *
 * Calls that may run code of the script's own (getters, Proxy traps, toString, valueOf) say
 * "may run code": they can throw (KV8_EEXCEPTION), and have no deadline of their own unless they
 * take run options; within kv8_function_call() and the like the outer deadline ends them.
 * Outside any run, interrupt them with kv8_isolate_terminate().
 */
#include "kv8.h" /* which includes this: so before the guard */

#ifndef KILN_SHIM_KV8_VALUE_H
#define KILN_SHIM_KV8_VALUE_H

#ifdef __cplusplus
extern "C" {
#endif

/* ---- handles -------------------------------------------------------------------------------- */

KV8_API void kv8_value_free(kv8_value *value);

/* Makes a second handle to the same value. */
KV8_API kv8_status kv8_value_copy(const kv8_value *value, kv8_value **ret_value, kv8_error *err);

/* ---- what a value is ------------------------------------------------------------------------ */

/* The language's types; functions and null apart from objects as `typeof` has them. */
typedef enum kv8_type {
  KV8_TYPE_UNDEFINED = 0,
  KV8_TYPE_NULL = 1,
  KV8_TYPE_BOOLEAN = 2,
  KV8_TYPE_NUMBER = 3,
  KV8_TYPE_BIGINT = 4,
  KV8_TYPE_STRING = 5,
  KV8_TYPE_SYMBOL = 6,
  KV8_TYPE_FUNCTION = 7,
  KV8_TYPE_OBJECT = 8,
} kv8_type;

/* KV8_TYPE_UNDEFINED for NULL and for a handle whose isolate is gone. */
KV8_API kv8_type kv8_value_get_type(const kv8_value *value);

/* The kinds of objects that V8 tells apart, whatever their prototypes say (util.types of Node). */
#define KV8_CLASS_MAP(X)                                                \
  X(ARRAY, 0)                                                           \
  X(ARRAY_BUFFER, 1)                                                    \
  X(SHARED_ARRAY_BUFFER, 2)                                             \
  X(ARRAY_BUFFER_VIEW, 3) /* a typed array or a DataView */             \
  X(TYPED_ARRAY, 4)                                                     \
  X(UINT8_ARRAY, 5)                                                     \
  X(DATA_VIEW, 6)                                                       \
  X(DATE, 7)                                                            \
  X(REGEXP, 8)                                                          \
  X(MAP, 9)                                                             \
  X(SET, 10)                                                            \
  X(WEAK_MAP, 11)                                                       \
  X(WEAK_SET, 12)                                                       \
  X(MAP_ITERATOR, 13)                                                   \
  X(SET_ITERATOR, 14)                                                   \
  X(PROMISE, 15)                                                        \
  X(PROXY, 16)                                                          \
  X(ERROR, 17) /* made by an Error constructor, of whichever context */ \
  X(ARGUMENTS, 18)                                                      \
  X(ASYNC_FUNCTION, 19)                                                 \
  X(GENERATOR_FUNCTION, 20)                                             \
  X(GENERATOR, 21)                                                      \
  X(MODULE_NAMESPACE, 22)                                               \
  X(BOOLEAN_OBJECT, 23)                                                 \
  X(NUMBER_OBJECT, 24)                                                  \
  X(STRING_OBJECT, 25)                                                  \
  X(SYMBOL_OBJECT, 26)                                                  \
  X(BIGINT_OBJECT, 27)                                                  \
  X(EXTERNAL, 28)

typedef enum kv8_class {
#define KV8_CLASS_ENUM(name, number) KV8_CLASS_##name = number,
  KV8_CLASS_MAP(KV8_CLASS_ENUM)
#undef KV8_CLASS_ENUM
} kv8_class;

/* False for an unknown class, too. Runs no code. */
KV8_API bool kv8_value_is(const kv8_value *value, kv8_class class_);

typedef enum kv8_equality {
  KV8_EQUAL_STRICT = 0, /* === */
  KV8_EQUAL_SAME = 1,   /* Object.is */
  KV8_EQUAL_LOOSE = 2,  /* ==; may run code */
} kv8_equality;
KV8_API kv8_status kv8_value_equals(kv8_context *context, const kv8_value *a, const kv8_value *b,
                                    kv8_equality equality, bool *ret_equal, kv8_error *err);

/* value instanceof constructor; may run code. */
KV8_API kv8_status kv8_value_instance_of(kv8_context *context, const kv8_value *value,
                                         const kv8_value *constructor, bool *ret_is,
                                         kv8_error *err);

/* ---- making primitives ---------------------------------------------------------------------- */

KV8_API kv8_status kv8_undefined(kv8_isolate *isolate, kv8_value **ret_value, kv8_error *err);
KV8_API kv8_status kv8_null(kv8_isolate *isolate, kv8_value **ret_value, kv8_error *err);
KV8_API kv8_status kv8_boolean(kv8_isolate *isolate, bool value, kv8_value **ret_value,
                               kv8_error *err);
KV8_API kv8_status kv8_number(kv8_isolate *isolate, double value, kv8_value **ret_value,
                              kv8_error *err);
/* BigInts of 64 bits; others through kv8_value_from_json() or a script. */
KV8_API kv8_status kv8_bigint(kv8_isolate *isolate, int64_t value, kv8_value **ret_value,
                              kv8_error *err);
KV8_API kv8_status kv8_bigint_unsigned(kv8_isolate *isolate, uint64_t value, kv8_value **ret_value,
                                       kv8_error *err);
/* KV8_ETOOBIG over V8's longest string (512 MiB on 64 bit). */
KV8_API kv8_status kv8_string(kv8_isolate *isolate, kv8_span text, kv8_value **ret_value,
                              kv8_error *err);

/* A new symbol (Symbol(description); description.data NULL: Symbol()), or with `shared`
 * Symbol.for(description). */
KV8_API kv8_status kv8_symbol(kv8_isolate *isolate, kv8_span description, bool shared,
                              kv8_value **ret_value, kv8_error *err);

typedef enum kv8_well_known {
  KV8_SYMBOL_ITERATOR = 0,
  KV8_SYMBOL_ASYNC_ITERATOR = 1,
  KV8_SYMBOL_HAS_INSTANCE = 2,
  KV8_SYMBOL_TO_PRIMITIVE = 3,
  KV8_SYMBOL_TO_STRING_TAG = 4,
} kv8_well_known;
KV8_API kv8_status kv8_symbol_well_known(kv8_isolate *isolate, kv8_well_known which,
                                         kv8_value **ret_value, kv8_error *err);

/* ---- reading -------------------------------------------------------------------------------- */

/* ToBoolean(value): runs no code, cannot fail; false for NULL. */
KV8_API bool kv8_value_is_true(const kv8_value *value);

/* ToNumber(value); may run code. A BigInt or a Symbol is a TypeError. */
KV8_API kv8_status kv8_value_to_number(kv8_context *context, const kv8_value *value,
                                       double *ret_number, kv8_error *err);

/* The number, if the value is one: KV8_EINVAL, ERR_INVALID_ARG_TYPE, else. Runs no code. */
KV8_API kv8_status kv8_value_get_number(const kv8_value *value, double *ret_number, kv8_error *err);

/* The low 64 bits of a BigInt; *ret_exact, which may be NULL, tells whether that is all of it. */
KV8_API kv8_status kv8_value_get_bigint(const kv8_value *value, int64_t *ret_number,
                                        bool *ret_exact, kv8_error *err);
KV8_API kv8_status kv8_value_get_bigint_unsigned(const kv8_value *value, uint64_t *ret_number,
                                                 bool *ret_exact, kv8_error *err);

/* The text, if the value is a string: KV8_EINVAL, ERR_INVALID_ARG_TYPE, else. Runs no code. */
KV8_API kv8_status kv8_value_copy_text(const kv8_value *value, kv8_blob *ret_text, kv8_error *err);

/* ToString(value) as UTF-8; may run code. */
KV8_API kv8_status kv8_value_to_string(kv8_context *context, const kv8_value *value,
                                       kv8_blob *ret_text, kv8_error *err);

/* ---- JSON ----------------------------------------------------------------------------------- */

/* How values are written as JSON. */
typedef struct kv8_json_options {
  size_t struct_size;
  bool strict;         /* false: what JSON cannot hold is described, never dropped:
                          {"type":"undefined"}, {"type":"function","name":...},
                          {"type":"bigint","value":...}, {"type":"number","value":"NaN"},
                          {"type":"symbol",...}, {"type":"circular"}, {"type":"error",...}, ...
                          true: JSON.stringify's own answer, KV8_EJSON where it has none */
  size_t max_bytes;    /* 0 means 64 MiB; more is KV8_ETOOBIG */
  unsigned max_depth;  /* 0 means 1000; deeper is KV8_ETOOBIG */
  unsigned timeout_ms; /* getters and toJSON run code; 0: no deadline */
} kv8_json_options;
#define KV8_JSON_OPTIONS_INIT \
  { sizeof(kv8_json_options), false, 0, 0, 0 }

KV8_API kv8_status kv8_value_from_json(kv8_context *context, kv8_span json, kv8_value **ret_value,
                                       kv8_error *err);

/* Writes the value as JSON (kv8_json_options says how). */
KV8_API kv8_status kv8_value_to_json(kv8_context *context, const kv8_value *value,
                                     const kv8_json_options *options, kv8_blob *ret_json,
                                     kv8_error *err);

/* Formats values as one line of Node's console would be: format specifiers if the first is a
 * string, else each inspected. May run code. */
KV8_API kv8_status kv8_value_inspect(kv8_context *context, const kv8_value *const *values,
                                     size_t values_count, kv8_blob *ret_text, kv8_error *err);

/* ---- objects -------------------------------------------------------------------------------- */

/* Where a function below takes an object, anything else is KV8_EINVAL, ERR_INVALID_ARG_TYPE. A
 * property's key is a string or a symbol (an index is the string of its number); `_named` takes
 * the key as text. */

/* {}; with `prototype` (an object or null) Object.create(prototype). */
KV8_API kv8_status kv8_object(kv8_context *context, const kv8_value *prototype,
                              kv8_value **ret_object, kv8_error *err);

/* object[key], object[key] = value (as strict code: a refused assignment is a TypeError), key in
 * object, delete object[key]. All may run code. */
KV8_API kv8_status kv8_object_get(kv8_context *context, const kv8_value *object,
                                  const kv8_value *key, kv8_value **ret_value, kv8_error *err);
KV8_API kv8_status kv8_object_get_named(kv8_context *context, const kv8_value *object,
                                        kv8_span name, kv8_value **ret_value, kv8_error *err);
KV8_API kv8_status kv8_object_get_index(kv8_context *context, const kv8_value *object,
                                        uint32_t index, kv8_value **ret_value, kv8_error *err);
KV8_API kv8_status kv8_object_set(kv8_context *context, const kv8_value *object,
                                  const kv8_value *key, const kv8_value *value, kv8_error *err);
KV8_API kv8_status kv8_object_set_named(kv8_context *context, const kv8_value *object,
                                        kv8_span name, const kv8_value *value, kv8_error *err);
KV8_API kv8_status kv8_object_set_index(kv8_context *context, const kv8_value *object,
                                        uint32_t index, const kv8_value *value, kv8_error *err);
KV8_API kv8_status kv8_object_has(kv8_context *context, const kv8_value *object,
                                  const kv8_value *key, bool *ret_has, kv8_error *err);
KV8_API kv8_status kv8_object_has_own(kv8_context *context, const kv8_value *object,
                                      const kv8_value *key, bool *ret_has, kv8_error *err);
KV8_API kv8_status kv8_object_delete(kv8_context *context, const kv8_value *object,
                                     const kv8_value *key, bool *ret_deleted, kv8_error *err);

/* A property descriptor. What is not present is left as it is, or takes its default (false,
 * undefined) in a new property. `get` and `set` exclude `value` and `writable`: KV8_EINVAL. */
typedef enum kv8_tri { KV8_ABSENT = 0, KV8_FALSE = 1, KV8_TRUE = 2 } kv8_tri;
typedef struct kv8_property {
  size_t struct_size;
  kv8_value *value; /* NULL: absent. Read by define; yours to free when filled by get */
  kv8_value *get;
  kv8_value *set;
  kv8_tri writable;
  kv8_tri enumerable;
  kv8_tri configurable;
} kv8_property;
#define KV8_PROPERTY_INIT \
  { sizeof(kv8_property), NULL, NULL, NULL, KV8_ABSENT, KV8_ABSENT, KV8_ABSENT }

/* Object.defineProperty(); *ret_defined false where it is refused (Reflect.defineProperty), and if
 * ret_defined is NULL, a TypeError is. May run code. */
KV8_API kv8_status kv8_object_define(kv8_context *context, const kv8_value *object,
                                     const kv8_value *key, const kv8_property *property,
                                     bool *ret_defined, kv8_error *err);

/* Object.getOwnPropertyDescriptor(); *ret_found false, and nothing filled, where there is none.
 * kv8_property_release() frees what it filled. May run code. */
KV8_API kv8_status kv8_object_get_property(kv8_context *context, const kv8_value *object,
                                           const kv8_value *key, kv8_property *ret_property,
                                           bool *ret_found, kv8_error *err);
KV8_API void kv8_property_release(kv8_property *property);

typedef enum kv8_keys {
  KV8_KEYS_ENUMERABLE = 0, /* Object.keys() */
  KV8_KEYS_STRINGS = 1,    /* Object.getOwnPropertyNames() */
  KV8_KEYS_SYMBOLS = 2,    /* Object.getOwnPropertySymbols() */
  KV8_KEYS_ALL = 3,        /* Reflect.ownKeys() */
} kv8_keys;
/* An array of keys. May run code (Proxies). */
KV8_API kv8_status kv8_object_get_own_keys(kv8_context *context, const kv8_value *object,
                                           kv8_keys which, kv8_value **ret_keys, kv8_error *err);

KV8_API kv8_status kv8_object_get_prototype(kv8_context *context, const kv8_value *object,
                                            kv8_value **ret_prototype, kv8_error *err);
/* `prototype`: an object or null. A refusal (frozen, a cycle) is a TypeError. */
KV8_API kv8_status kv8_object_set_prototype(kv8_context *context, const kv8_value *object,
                                            const kv8_value *prototype, kv8_error *err);

/* Object.freeze(), or Object.seal(). */
KV8_API kv8_status kv8_object_freeze(kv8_context *context, const kv8_value *object, kv8_error *err);
KV8_API kv8_status kv8_object_seal(kv8_context *context, const kv8_value *object, kv8_error *err);

/* The name of the constructor that made it, as V8 knows it without running code. */
KV8_API kv8_status kv8_object_copy_constructor_name(const kv8_value *object, kv8_blob *ret_name,
                                                    kv8_error *err);

/* The target and the handler of a Proxy; null both once revoked. KV8_EINVAL for anything else. */
KV8_API kv8_status kv8_proxy_get(const kv8_value *proxy, kv8_value **ret_target,
                                 kv8_value **ret_handler, kv8_error *err);

/* The entries of a Map, a Set or one of their iterators as an array, as Node's inspect sees them;
 * *ret_pairs, which may be NULL, tells whether keys and values alternate. Runs no code. */
KV8_API kv8_status kv8_object_preview_entries(kv8_context *context, const kv8_value *object,
                                              kv8_value **ret_array, bool *ret_pairs,
                                              kv8_error *err);

/* ---- arrays --------------------------------------------------------------------------------- */

/* [...elements]; NULL elements become undefined. */
KV8_API kv8_status kv8_array(kv8_context *context, const kv8_value *const *elements,
                             size_t elements_count, kv8_value **ret_array, kv8_error *err);
KV8_API kv8_status kv8_array_get_length(const kv8_value *array, uint32_t *ret_length,
                                        kv8_error *err);

/* ---- functions ------------------------------------------------------------------------------ */

/* function(...args); `receiver` NULL means undefined. The arguments are handles of yours. Deadline
 * and SIGINT as in kv8_script_run(). */
KV8_API kv8_status kv8_value_call(kv8_context *context, const kv8_value *function,
                                  const kv8_value *receiver, const kv8_value *const *args,
                                  size_t args_count, const kv8_run_options *options,
                                  kv8_value **ret_value, kv8_error *err);

/* new constructor(...args). */
KV8_API kv8_status kv8_value_construct(kv8_context *context, const kv8_value *constructor,
                                       const kv8_value *const *args, size_t args_count,
                                       const kv8_run_options *options, kv8_value **ret_value,
                                       kv8_error *err);

/* One call from JavaScript of a function written in C. It and what it lends end with the call. */
typedef struct kv8_call kv8_call;
typedef void (*kv8_call_fn)(void *user, kv8_call *call);

/* Makes a function of `context` that calls `fn` on the isolate's thread. `user` stays yours until
 * `release(user)`, which may be NULL, is called: once, when the function has been collected or the
 * isolate is freed, or if this call fails; it must call nothing of this library but *_free().
 * With `constructor` it can be called with `new` (the receiver is then the new object). */
typedef struct kv8_callback {
  size_t struct_size;
  kv8_call_fn fn;
  void *user;
  void (*release)(void *user);
  kv8_span name;  /* the function's `name` */
  unsigned arity; /* its `length` */
  bool constructor;
} kv8_callback;
#define KV8_CALLBACK_INIT \
  { sizeof(kv8_callback), NULL, NULL, NULL, {NULL, 0}, 0, false }
KV8_API kv8_status kv8_function_from_callback(kv8_context *context, const kv8_callback *callback,
                                              kv8_value **ret_function, kv8_error *err);

/* Lent for the call; an argument beyond the count is undefined. Only out of memory gives NULL, and
 * the functions here accept that NULL as undefined. */
KV8_API size_t kv8_call_get_count(const kv8_call *call);
KV8_API const kv8_value *kv8_call_get_argument(kv8_call *call, size_t index);
KV8_API const kv8_value *kv8_call_get_receiver(kv8_call *call);
KV8_API bool kv8_call_is_construct(const kv8_call *call);
KV8_API const kv8_value *kv8_call_get_new_target(kv8_call *call);
/* The isolate, and the context the function was made in; NULL once that context's handle is
 * freed. */
KV8_API kv8_isolate *kv8_call_get_isolate(const kv8_call *call);
KV8_API kv8_context *kv8_call_get_context(const kv8_call *call);

/* What the call answers; undefined if nothing is set. The value stays yours. */
KV8_API void kv8_call_return(kv8_call *call, const kv8_value *value);
/* Throws instead, when the callback returns; the last of return and throw counts. */
KV8_API void kv8_call_throw(kv8_call *call, const kv8_value *exception);
/* Throws what a failing call of this library described: the very exception, if the isolate keeps
 * exceptions (kv8_isolate_keep_exception()) and `err` is about the one kept; else a new Error with
 * its message, and its code as property `code`. If the isolate is being terminated by an outer
 * run, that goes on regardless. */
KV8_API void kv8_call_throw_failure(kv8_call *call, const kv8_error *err);

typedef enum kv8_error_class {
  KV8_ERROR = 0,
  KV8_TYPE_ERROR = 1,
  KV8_RANGE_ERROR = 2,
  KV8_SYNTAX_ERROR = 3,
  KV8_REFERENCE_ERROR = 4,
} kv8_error_class;
/* Makes an error object of `context`; a `code` that is not empty becomes its property `code`, and
 * its stack starts "TypeError [CODE]: message", as Node's do. */
KV8_API kv8_status kv8_error_object(kv8_context *context, kv8_error_class class_, kv8_span code,
                                    kv8_span message, kv8_value **ret_error, kv8_error *err);

/* ---- exceptions ----------------------------------------------------------------------------- */

/* From now on, a call on this isolate that answers KV8_EEXCEPTION or KV8_ESYNTAX also puts the
 * thrown value into *slot, after freeing what is there; the last one is yours to free. A failure
 * without a thrown value (a deadline) puts NULL. `slot` NULL ends it. Without it no exception's
 * value is kept, because it may hold its whole context alive (P40). */
KV8_API void kv8_isolate_keep_exception(kv8_isolate *isolate, kv8_value **slot);

/* ---- buffers -------------------------------------------------------------------------------- */

/* An ArrayBuffer with a copy of `data` (zeros if data.data is NULL), counted against the isolate's
 * array_buffer_max_bytes: over it KV8_ETOOBIG (up to 64 bytes are never refused). */
KV8_API kv8_status kv8_array_buffer(kv8_context *context, kv8_span data, kv8_value **ret_buffer,
                                    kv8_error *err);

/* A Uint8Array over bytes [offset, offset + length) of an ArrayBuffer; out of its bounds is
 * KV8_EINVAL. Other views: kv8_value_construct() with the constructor from the global. */
KV8_API kv8_status kv8_uint8_array(kv8_context *context, const kv8_value *buffer, size_t offset,
                                   size_t length, kv8_value **ret_array, kv8_error *err);

/* The bytes of an ArrayBuffer, SharedArrayBuffer or view; KV8_EINVAL, ERR_INVALID_ARG_TYPE for
 * anything else. Lent: until the buffer is detached, resized or collected; run no code in
 * between. A detached one has length 0. */
KV8_API kv8_status kv8_buffer_get_bytes(const kv8_value *buffer, uint8_t **ret_data,
                                        size_t *ret_length, kv8_error *err);

/* A view's ArrayBuffer, and the view's place in it (which may be NULL). */
KV8_API kv8_status kv8_view_get_buffer(const kv8_value *view, kv8_value **ret_buffer,
                                       size_t *ret_offset, size_t *ret_length, kv8_error *err);

/* ---- promises ------------------------------------------------------------------------------- */

typedef enum kv8_promise_state {
  KV8_PROMISE_PENDING = 0,
  KV8_PROMISE_FULFILLED = 1,
  KV8_PROMISE_REJECTED = 2,
} kv8_promise_state;

/* A pending promise of `context`; settle it with one of the next two, once: later ones do nothing.
 * Resolving with a thenable follows it, as in the language. */
KV8_API kv8_status kv8_promise(kv8_context *context, kv8_value **ret_promise, kv8_error *err);
KV8_API kv8_status kv8_promise_resolve(kv8_context *context, const kv8_value *promise,
                                       const kv8_value *value, kv8_error *err);
KV8_API kv8_status kv8_promise_reject(kv8_context *context, const kv8_value *promise,
                                      const kv8_value *reason, kv8_error *err);

/* The state, and with ret_result (may be NULL) the value or reason; *ret_result is NULL while
 * pending. KV8_EINVAL for what is no promise. */
KV8_API kv8_status kv8_promise_get(const kv8_value *promise, kv8_promise_state *ret_state,
                                   kv8_value **ret_result, kv8_error *err);

/* promise.then(on_fulfilled, on_rejected), untouched by patched prototypes; either may be NULL.
 * ret_promise may be NULL. */
KV8_API kv8_status kv8_promise_then(kv8_context *context, const kv8_value *promise,
                                    const kv8_value *on_fulfilled, const kv8_value *on_rejected,
                                    kv8_value **ret_promise, kv8_error *err);

/* A rejection of it is no "unhandled" one. */
KV8_API kv8_status kv8_promise_mark_handled(const kv8_value *promise, kv8_error *err);

/* Queues fn() as a microtask of `context` (TM06). */
KV8_API kv8_status kv8_enqueue_microtask(kv8_context *context, const kv8_value *function,
                                         kv8_error *err);

/* ---- objects that own C data ---------------------------------------------------------------- */

/* Attaches `data` to `object` under `tag`, the address of a variable of yours. It lives as long as
 * the object: `release(data)` is called once, after the object has been collected or when the
 * isolate is freed; it must call nothing of this library but *_free(). KV8_ESTATE if the object
 * has data with this tag. On failure `release` is not called. */
KV8_API kv8_status kv8_object_attach(kv8_context *context, const kv8_value *object, const void *tag,
                                     void *data, void (*release)(void *data), kv8_error *err);
/* The data attached to exactly this object under `tag`; NULL where there is none. Runs no code. */
KV8_API void *kv8_object_get_attached(const kv8_value *object, const void *tag);

#ifdef __cplusplus
}
#endif
#endif
