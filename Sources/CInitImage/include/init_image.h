#ifndef MIS_INIT_IMAGE_H
#define MIS_INIT_IMAGE_H

#include <stddef.h>

/// The ELF image of the sandbox's pid 1 (see init/init.c).
const void *_Nonnull mis_init_image(void);

/// Its length, bytes.
size_t mis_init_image_size(void);

#endif
