/* SPDX-License-Identifier: MIT
 *
 * bind_v8.c: internalBinding("v8"): V8's statistics and its collector.
 */
#include "toolkit/run/bindings.h"

/* heapStatistics(): an object with Node's names */
static void heap_statistics(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  kv8_heap_statistics heap;
  kv8_value *object = NULL;
  kv8_status status = kv8_isolate_get_heap_statistics(run->isolate, &heap, &error);
  if (status == KV8_OK) status = kv8_object(run->context, /* prototype= */ NULL, &object, &error);
  const struct {
    const char *name;
    size_t value;
  } fields[] = {{"total_heap_size", heap.total_heap_size},
                {"total_heap_size_executable", heap.total_heap_size_executable},
                {"total_physical_size", heap.total_physical_size},
                {"total_available_size", heap.total_available_size},
                {"used_heap_size", heap.used_heap_size},
                {"heap_size_limit", heap.heap_size_limit},
                {"malloced_memory", heap.malloced_memory},
                {"peak_malloced_memory", heap.peak_malloced_memory},
                {"does_zap_garbage", 0},
                {"number_of_native_contexts", heap.number_of_native_contexts},
                {"number_of_detached_contexts", heap.number_of_detached_contexts},
                {"total_global_handles_size", heap.total_global_handles_size},
                {"used_global_handles_size", heap.used_global_handles_size},
                {"external_memory", heap.external_memory}};
  for (size_t i = 0; status == KV8_OK && i < sizeof(fields) / sizeof(fields[0]); i++) {
    status = kiln__run_set_number(run, object, fields[i].name, (double)fields[i].value, &error);
  }
  if (!kiln__run_throws(call, status, &error)) kv8_call_return(call, object);
  kv8_value_free(object);
}

typedef struct spaces {
  kiln__run *run;
  kv8_value *array;
  uint32_t count;
  kv8_status status;
  kv8_error *error;
} spaces;

static void add_space(void *user, const kv8_heap_space_statistics *space) {
  spaces *all = user;
  kv8_value *object = NULL;
  if (all->status != KV8_OK) return;
  all->status = kv8_object(all->run->context, /* prototype= */ NULL, &object, all->error);
  if (all->status == KV8_OK) {
    all->status = kiln__run_set_text(all->run, object, "space_name", space->name, all->error);
  }
  const struct {
    const char *name;
    size_t value;
  } fields[] = {{"space_size", space->size},
                {"space_used_size", space->used_size},
                {"space_available_size", space->available_size},
                {"physical_space_size", space->physical_size}};
  for (size_t i = 0; all->status == KV8_OK && i < sizeof(fields) / sizeof(fields[0]); i++) {
    all->status =
        kiln__run_set_number(all->run, object, fields[i].name, (double)fields[i].value, all->error);
  }
  if (all->status == KV8_OK) {
    all->status =
        kv8_object_set_index(all->run->context, all->array, all->count++, object, all->error);
  }
  kv8_value_free(object);
}

/* heapSpaceStatistics(): an array of them */
static void heap_space_statistics(void *user, kv8_call *call) {
  kiln__run *run = user;
  kv8_error error;
  spaces all = {.run = run, .error = &error};
  all.status = kv8_array(run->context, /* elements= */ NULL, 0, &all.array, &error);
  if (all.status == KV8_OK) {
    kv8_status status = kv8_isolate_each_heap_space(run->isolate, add_space, &all, &error);
    if (status != KV8_OK) all.status = status;
  }
  if (!kiln__run_throws(call, all.status, &error)) kv8_call_return(call, all.array);
  kv8_value_free(all.array);
}

/* cachedDataVersionTag() */
static void version_tag(void *user, kv8_call *call) {
  kv8_engine_info engine;
  (void)user;
  if (kv8_engine_get_info(&engine, /* err= */ NULL) == KV8_OK) {
    kiln__run_return_number(call, engine.cached_data_tag);
  }
}

/* collectGarbage() */
static void collect_garbage(void *user, kv8_call *call) {
  kiln__run *run = user;
  (void)call;
  kv8_isolate_collect_garbage(run->isolate);
}

kv8_status kiln__run_bind_v8(kiln__run *run, kv8_value *object, kv8_error *err) {
  static const kiln__run_entry entries[] = {{"heapStatistics", 0, heap_statistics},
                                            {"heapSpaceStatistics", 0, heap_space_statistics},
                                            {"cachedDataVersionTag", 0, version_tag},
                                            {"collectGarbage", 0, collect_garbage},
                                            {NULL, 0, NULL}};
  return kiln__run_functions(run, object, entries, err);
}
