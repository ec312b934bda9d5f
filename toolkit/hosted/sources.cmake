# What kiln-engine is made of beside the shim; for toolkit/ and for toolkit/hosted/.
set(KILN_ENGINE_SOURCES
  bytes.c wire.c job.c job_result.c json_check.c
  engine_main.c large_pages.c sandbox.c sandbox_confine.c zygote.c
  worker.c worker_bake.c worker_canary.c worker_measure.c worker_run.c worker_text.c)
# ... and their headers, for installation.
set(KILN_ENGINE_HEADERS bytes.h engine.h filter.h job.h json_check.h kiln.h large_pages.h sandbox.h wire.h)
