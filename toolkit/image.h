/* SPDX-License-Identifier: MIT
 *
 * image.h: the table of images, and what the service does with one. Private to the toolkit.
 */
#ifndef KILN_TOOLKIT_IMAGE_H
#define KILN_TOOLKIT_IMAGE_H

#include "toolkit/service.h"

void kiln__images_init(kiln__images *images);
/* When the pools are gone, and the images with them. */
void kiln__images_destroy(kiln__images *images);
size_t kiln__images_count(kiln *k);

/* Checks what does not need the store. */
kiln_status kiln__check_image(const kiln *k, const kiln_image_request *request, kiln_error *err);

/* The engine an image is of. KILN_NOT_FOUND. */
kiln_status kiln__image_get_engine(kiln *k, kiln_span id, const kiln__engine **ret_engine,
                                   kiln_error *err);
/* Submits a run in the image. KILN_NOT_FOUND, or what kiln_pool_submit() says. */
kiln_status kiln__image_run(kiln *k, kiln_span id, kiln_job *job, kiln_job_done_fn done, void *user,
                            kiln_error *err);

#endif
