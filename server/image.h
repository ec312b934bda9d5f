/* SPDX-License-Identifier: MIT
 *
 * image.h: a request that makes an image, as it is read.
 */
#ifndef KILN_SERVER_IMAGE_H
#define KILN_SERVER_IMAGE_H

#include "server/operate.h"

/* A parsed request. `kiln` points into the rest, which lives until srv_image_release(). All-zero
 * before it is read. */
typedef struct srv_image {
  srv_parsed parsed; /* first: fields that operations have, too, are taken into its kiln_request */
  kiln_image_request kiln;
  kiln_image_script *scripts;
} srv_image;

/* An srv_parse_fn: `ret_parsed` is the first member of an srv_image. */
bool srv_parse_image(const struct srv_route *route, srv_body_form form, kiln_bytes *body,
                     const srv_query_pair *query, size_t query_count, srv_parsed *ret_parsed);
void srv_image_release(srv_image *image);

#endif
