/* SPDX-License-Identifier: MIT
 *
 * buffer_test.c: ArrayBuffers, views and their bytes, and the isolate's limit on them.
 */
#include "tests/shim/value_test.h"

static void expect_bytes(const kv8_value *buffer, const char *expected, size_t length) {
  uint8_t *data = NULL;
  size_t got = (size_t)-1;
  core_ok(kv8_buffer_get_bytes(buffer, &data, &got, &core_error));
  ck_assert_uint_eq(got, length);
  if (length != 0) ck_assert_mem_eq(data, expected, length);
}

START_TEST(array_buffer) {
  kv8_value *buffer = NULL;
  core_ok(kv8_array_buffer(core_context, (kv8_span){"abc", 3}, &buffer, &core_error));
  ck_assert(kv8_value_is(buffer, KV8_CLASS_ARRAY_BUFFER));
  expect_bytes(buffer, "abc", 3);
  kv8_value *copy = NULL;
  core_ok(kv8_value_copy(buffer, &copy, &core_error));
  value_global("b", copy);
  core_expect(core_context, "const u = new Uint8Array(b); u[1] = 0x58; u.length", "3");
  expect_bytes(buffer, "aXc", 3);
  uint8_t *data = NULL;
  size_t length = 0;
  core_ok(kv8_buffer_get_bytes(buffer, &data, &length, &core_error));
  data[0] = 'Z';
  core_expect(core_context, "String.fromCharCode(...u)", "ZXc");
  kv8_value_free(buffer);
  /* Zeros, and nothing. */
  core_ok(kv8_array_buffer(core_context, (kv8_span){NULL, 4}, &buffer, &core_error));
  expect_bytes(buffer, "\0\0\0\0", 4);
  kv8_value_free(buffer);
  core_ok(kv8_array_buffer(core_context, (kv8_span){NULL, 0}, &buffer, &core_error));
  expect_bytes(buffer, "", 0);
  kv8_value_free(buffer);
}
END_TEST

START_TEST(views) {
  kv8_value *buffer = NULL;
  kv8_value *array = NULL;
  core_ok(kv8_array_buffer(core_context, (kv8_span){"0123456789", 10}, &buffer, &core_error));
  core_ok(kv8_uint8_array(core_context, buffer, 2, 5, &array, &core_error));
  ck_assert(kv8_value_is(array, KV8_CLASS_UINT8_ARRAY));
  expect_bytes(array, "23456", 5);
  kv8_value *back = NULL;
  size_t offset = 0;
  size_t length = 0;
  core_ok(kv8_view_get_buffer(array, &back, &offset, &length, &core_error));
  ck_assert_uint_eq(offset, 2);
  ck_assert_uint_eq(length, 5);
  bool same = false;
  core_ok(kv8_value_equals(core_context, back, buffer, KV8_EQUAL_SAME, &same, &core_error));
  ck_assert(same);
  kv8_value_free(back);
  core_ok(kv8_view_get_buffer(array, &back, NULL, NULL, &core_error));
  kv8_value_free(back);
  kv8_value_free(array);
  core_ok(kv8_uint8_array(core_context, buffer, 10, 0, &array, &core_error));
  expect_bytes(array, "", 0);
  kv8_value_free(array);
  static const size_t outside[][2] = {{0, 11}, {11, 0}, {5, 6}, {SIZE_MAX, 1}, {1, SIZE_MAX}};
  for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
    core_is(
        kv8_uint8_array(core_context, buffer, outside[i][0], outside[i][1], &array, &core_error),
        KV8_EINVAL);
  }
  kv8_value_free(buffer);
  /* Small typed arrays have no buffer until somebody asks for it. */
  static const struct {
    const char *source;
    const char *bytes;
    size_t length;
  } cases[] = {{"new Uint8Array([65, 66])", "AB", 2},
               {"new Uint16Array([0x4241])", "AB", 2},
               {"new DataView(new Uint8Array([1, 65, 66, 2]).buffer, 1, 2)", "AB", 2},
               {"new Uint8Array([65, 66, 67]).subarray(1)", "BC", 2},
               {"const s = new SharedArrayBuffer(2); new Uint8Array(s).set([65, 66]); s", "AB", 2},
               {"new Uint8Array(new SharedArrayBuffer(3), 1)", "\0\0", 2},
               {"new Float64Array(0)", "", 0}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    kv8_value *value = core_value(core_context, cases[i].source);
    expect_bytes(value, cases[i].bytes, cases[i].length);
    kv8_value_free(value);
  }
  uint8_t *data = NULL;
  kv8_value *plain = core_value(core_context, "({})");
  value_wrong_type(kv8_buffer_get_bytes(plain, &data, &length, &core_error));
  value_wrong_type(kv8_uint8_array(core_context, plain, 0, 0, &array, &core_error));
  value_wrong_type(kv8_view_get_buffer(plain, &array, NULL, NULL, &core_error));
  kv8_value_free(plain);
}
END_TEST

START_TEST(a_detached_buffer_has_no_bytes) {
  /* A WebAssembly memory that grows detaches its buffer. */
  kv8_value *list = core_value(
      core_context,
      "const m = new WebAssembly.Memory({initial: 1}); const b = m.buffer;"
      "const u = new Uint8Array(b, 8, 16), d = new DataView(b, 8, 16); m.grow(1); [b, u, d]");
  for (uint32_t i = 0; i < 3; i++) {
    kv8_value *value = NULL;
    core_ok(kv8_object_get_index(core_context, list, i, &value, &core_error));
    expect_bytes(value, "", 0);
    kv8_value *array = NULL;
    if (i == 0) {
      core_is(kv8_uint8_array(core_context, value, 0, 1, &array, &core_error), KV8_EINVAL);
    } else {
      core_ok(kv8_view_get_buffer(value, &array, NULL, NULL, &core_error));
      kv8_value_free(array);
    }
    kv8_value_free(value);
  }
  kv8_value_free(list);
}
END_TEST

START_TEST(the_limit_holds) {
  kv8_isolate_set_array_buffer_max(core_isolate, 1u << 20);
  kv8_value *buffer = NULL;
  core_is(kv8_array_buffer(core_context, (kv8_span){NULL, (1u << 20) + 1}, &buffer, &core_error),
          KV8_ETOOBIG);
  core_is(kv8_array_buffer(core_context, (kv8_span){NULL, SIZE_MAX}, &buffer, &core_error),
          KV8_ETOOBIG);
  ck_assert_ptr_null(buffer);
  core_ok(kv8_array_buffer(core_context, (kv8_span){NULL, 1u << 20}, &buffer, &core_error));
  kv8_value *second = NULL;
  core_is(kv8_array_buffer(core_context, (kv8_span){NULL, 100}, &second, &core_error), KV8_ETOOBIG);
  /* Scripts get a RangeError, and what V8 needs for itself does not end the process. */
  core_is(core_try(core_context, "new ArrayBuffer(1000)", 0), KV8_EEXCEPTION);
  ck_assert_str_eq(core_error.name, "RangeError");
  core_ok(core_try(core_context, "new Uint8Array(8).buffer", 0));
  kv8_value *small = core_value(core_context, "new Uint8Array([65])");
  expect_bytes(small, "A", 1);
  kv8_value_free(small);
  /* What nobody uses any more does not count. */
  kv8_value_free(buffer);
  core_ok(kv8_array_buffer(core_context, (kv8_span){NULL, 1u << 20}, &buffer, &core_error));
  kv8_value_free(buffer);
}
END_TEST

START_TEST(many_buffers_made_and_dropped) {
  kv8_isolate_set_array_buffer_max(core_isolate, 8u << 20);
  for (int i = 0; i < 20000; i++) {
    kv8_value *buffer = NULL;
    core_ok(kv8_array_buffer(core_context, (kv8_span){NULL, 64u << 10}, &buffer, &core_error));
    kv8_value_free(buffer);
  }
}
END_TEST

int main(void) {
  TCase *buffers = tcase_create("buffers");
  tcase_add_checked_fixture(buffers, core_setup, core_teardown);
  tcase_set_timeout(buffers, 60);
  tcase_add_test(buffers, array_buffer);
  tcase_add_test(buffers, views);
  tcase_add_test(buffers, a_detached_buffer_has_no_bytes);
  tcase_add_test(buffers, the_limit_holds);
  tcase_add_test(buffers, many_buffers_made_and_dropped);
  return core_main(&buffers, 1, "buffers");
}
