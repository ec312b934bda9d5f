/* SPDX-License-Identifier: MIT
 *
 * official_node.h: what official Node says of its V8. Its tag depends on the processor, too.
 */
#ifndef KILN_TESTS_OFFICIAL_NODE_H
#define KILN_TESTS_OFFICIAL_NODE_H

#include <check.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

/* v8.cachedDataVersionTag() */
static inline uint32_t official_node_tag(const char *node) {
  char command[1200];
  uint32_t tag = 0;
  int length = snprintf(command, sizeof(command), "'%s' -p 'v8.cachedDataVersionTag()'", node);
  ck_assert(length > 0 && (size_t)length < sizeof(command));
  FILE *said = popen(command, "re");
  ck_assert_ptr_nonnull(said);
  int fields = fscanf(said, "%" SCNu32, &tag);
  ck_assert_msg(pclose(said) == 0 && fields == 1, "%s does not say it", command);
  return tag;
}

#endif
