/* SPDX-License-Identifier: MIT
 *
 * Runs a script with the installed libkiln-v8: what its README example does, as short as can be. */
#include <kiln/kv8.h>
#include <stdio.h>

int main(void) {
  kv8_error err;
  kv8_isolate *isolate;
  kv8_context *context;
  kv8_script *script;
  kv8_value *value;
  kv8_blob text;
  kv8_source source = KV8_SOURCE_INIT;
  source.text = kv8_span_from("'Kiln'.length * 10 + 2");
  if (kv8_engine_start(NULL, &err) != KV8_OK || kv8_isolate_new(NULL, &isolate, &err) != KV8_OK ||
      kv8_context_new(isolate, NULL, &context, &err) != KV8_OK ||
      kv8_script_compile(isolate, &source, &script, NULL, &err) != KV8_OK ||
      kv8_script_run(script, context, NULL, &value, &err) != KV8_OK ||
      kv8_value_to_string(context, value, &text, &err) != KV8_OK) {
    fprintf(stderr, "%s: %s\n", kv8_status_name(err.status), err.message);
    return 1;
  }
  printf("%.*s\n", (int)text.length, (const char *)text.data);
  kv8_blob_free(&text);
  kv8_value_free(value);
  kv8_script_free(script);
  kv8_context_free(context);
  kv8_isolate_free(isolate);
  kv8_engine_stop();
  return 0;
}
