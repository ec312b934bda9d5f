/* SPDX-License-Identifier: MIT
 *
 * cache.c: the code caches of the built-ins, as kiln-run-bake made them: KILN_RUN_CACHE is its
 * file.
 */
#include "toolkit/run/builtins.h"

__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    ".globl kiln__run_cache_begin\n"
    ".globl kiln__run_cache_end\n"
    ".hidden kiln__run_cache_begin\n"
    ".hidden kiln__run_cache_end\n"
    "kiln__run_cache_begin: .incbin \"" KILN_RUN_CACHE
    "\"\n"
    "kiln__run_cache_end: .byte 0\n"
    ".previous\n");
