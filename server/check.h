/* SPDX-License-Identifier: MIT
 *
 * check.h: kilnd --check-config: whether kilnd could start, without starting anything.
 */
#ifndef KILN_SERVER_CHECK_H
#define KILN_SERVER_CHECK_H

#include "server/options.h"

/* Looks at what the options name: address, store, engines, tokens, certificate and key. */
void srv_check(const srv_options *options, srv_faults *faults);

/* Where the registry of engines is: the option's place, or the default one. To be freed. */
char *srv_check_copy_engines_dir(const srv_options *options);

#endif
