/* SPDX-License-Identifier: MIT
 *
 * fuzz.h: what a fuzz target is: libFuzzer's entry point, which replay.c calls as well.
 */
#ifndef KILN_TESTS_FUZZ_FUZZ_H
#define KILN_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
