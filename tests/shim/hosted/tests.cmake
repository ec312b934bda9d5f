# The tests of tests/shim that also run in node binaries.
set(KV8_HOSTED_TESTS
  core_test core_test_run core_test_limits core_test_cache core_test_fork
  race_test value_test value_test_read value_test_shell object_test callback_test callback_test_nest
  promise_test buffer_test context_test context_test_life signal_test module_test module_test_run
  module_test_hooks module_test_link module_test_more module_test_states memory_test rows_test vm_needs_test)
