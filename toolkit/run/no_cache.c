/* SPDX-License-Identifier: MIT
 *
 * no_cache.c: kiln-run-bake has no caches yet.
 */
#include "toolkit/run/builtins.h"

__asm__(
    ".section .rodata\n"
    ".globl kiln__run_cache_begin\n"
    ".globl kiln__run_cache_end\n"
    ".hidden kiln__run_cache_begin\n"
    ".hidden kiln__run_cache_end\n"
    "kiln__run_cache_begin:\n"
    "kiln__run_cache_end: .byte 0\n"
    ".previous\n");
