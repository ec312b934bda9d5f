# What kiln-engine is made of beside the shim; for toolkit/ and for toolkit/hosted/.
set(KILN_ENGINE_SOURCES
  bytes.c wire.c job.c job_result.c json_check.c
  engine_main.c large_pages.c malloc_ahead.c sandbox.c sandbox_confine.c sandbox_filter.c sandbox_image.c zygote.c
  worker.c worker_bake.c worker_canary.c worker_image.c worker_measure.c worker_run.c worker_text.c
  session_frame.c worker_session.c worker_session_import.c worker_session_link.c worker_session_module.c worker_session_script.c)
# ... and their headers, for installation.
set(KILN_ENGINE_HEADERS bytes.h engine.h filter.h job.h json_check.h kiln.h kiln_image.h kiln_session.h large_pages.h
  malloc_ahead.h sandbox.h session_frame.h wire.h worker_session.h)
