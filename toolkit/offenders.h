/* SPDX-License-Identifier: MIT
 *
 * offenders.h: sources that crash their engine process. One that has done so often enough within an
 * hour is refused for an hour: a crash costs more than a run, and is what an attack looks like.
 * Private to the toolkit. From any thread.
 */
#ifndef KILN_TOOLKIT_OFFENDERS_H
#define KILN_TOOLKIT_OFFENDERS_H

#include "toolkit/kiln.h"

#define KILN_OFFENDERS_MAX 4096 /* remembered; the longest quiet of a few is forgotten first */
#define KILN_OFFENDER_MS 3600000

typedef struct kiln_offenders kiln_offenders;

/* `crashes_max`: after how many it is refused. NULL: out of memory. */
kiln_offenders *kiln__offenders_new(unsigned crashes_max);
void kiln__offenders_free(kiln_offenders *offenders); /* NULL does nothing */

void kiln__offenders_note(kiln_offenders *offenders, kiln_bytes *source, uint64_t now_ns);

/* For how long the source is refused yet, ms; 0: it is not. NULL: there is none. */
uint64_t kiln__offenders_left_ms(kiln_offenders *offenders, kiln_bytes *source, uint64_t now_ns);

#endif
