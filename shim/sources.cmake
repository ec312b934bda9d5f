# What the shim is made of; for shim/ and for toolkit/hosted/.
set(KV8_SOURCES
  status.cc guard.cc engine.cc fork.cc fatal.cc platform.cc isolate.cc holder.cc context.cc contextify.cc source.cc utf8.cc script.cc function.cc
  watchdog.cc signal.cc
  value.cc object.cc property.cc callback.cc promise.cc buffer.cc attach.cc
  json.cc json_text.cc json_walk.cc module.cc module_link.cc module_evaluate.cc module_synthetic.cc hooks.cc memory.cc
  console.cc format.cc table.cc inspect.cc inspect_object.cc inspect_error.cc inspect_layout.cc
  inspect_text.cc)
