/* SPDX-License-Identifier: MIT
 *
 * fork.hh: what fork.cc does for engine.cc and json_walk.cc.
 */
#ifndef KILN_SHIM_FORK_HH
#define KILN_SHIM_FORK_HH

#include "shim/internal.hh"

namespace kv8 {

/* Seeds what kv8_context_own_random() gave Math. False: there are no random bytes. */
bool SeedOwnRandom() noexcept;

/* The keys of `keys` that kv8_context_hide_globals() has not hidden. False: an exception or a
 * termination is under way. */
bool WithoutHidden(v8::Local<v8::Context> context, v8::Local<v8::Array> keys,
                   v8::Local<v8::Array> *ret_keys);

}  // namespace kv8

#endif
