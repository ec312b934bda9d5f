/* SPDX-License-Identifier: MIT
 *
 * limit.h: --timeout. V8 ends a run in time wherever it asks whether it is to stop, which its own
 * loops in native code (an indexOf over 2^53 elements) do not, nor does the event loop: a little
 * later the process ends itself then.
 */
#ifndef KILN_TOOLKIT_RUN_LIMIT_H
#define KILN_TOOLKIT_RUN_LIMIT_H

#include "toolkit/run/run.h"

/* Does nothing where there is no limit. False after a complaint. */
bool kiln__run_limit_begin(kiln__run *run);
void kiln__run_limit_end(kiln__run *run);

#endif
