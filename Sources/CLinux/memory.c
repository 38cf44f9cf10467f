/*
 * What a launcher that starts in a few milliseconds does about its memory.
 *
 * A launcher that waits for its agent for hours needs little of what it ran to get there: reading profiles, planning,
 * parsing. Those pages belong to the executable's file and are clean; the kernel reads them again should they be
 * needed.
 */
#define _GNU_SOURCE
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clinux.h"

static int release(struct dl_phdr_info *object, size_t size, void *unused) {
    (void)size;
    (void)unused;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = object->dlpi_phdr + i;
        /* Never a writable segment: its private pages exist nowhere else. */
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
            continue;
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        uintptr_t first = (start + page - 1) & ~(page - 1);
        uintptr_t last = (start + segment->p_memsz) & ~(page - 1);
        if (first < last)
            madvise((void *)first, last - first, MADV_DONTNEED);
    }
    /* The executable comes first; libraries, where there are any, are shared with everybody. */
    return 1;
}

void clinux_release_code(void) {
    dl_iterate_phdr(release, NULL);
}

void clinux_share_heap(void) {
    mallopt(M_ARENA_MAX, 1);
}

void *clinux_extend_heap(size_t size) {
    /* It comes from the heap and not from mmap, and stays there when it is free again. */
    mallopt(M_MMAP_THRESHOLD, (int)(4 * size));
    mallopt(M_TRIM_THRESHOLD, (int)(16 * size));
    void *start = malloc(size);
    free(start);
    return start;
}

/*
 * Where the linker has laid what of the program a start changes: scripts/order-start puts these names around it in
 * Sources/mis/start.order. Where nothing is ordered they lie anywhere.
 */
#define in(name) __attribute__((section(name)))
in(".data.clinux_start_data") volatile char clinux_start_data = 1;
in(".data.clinux_start_data_end") volatile char clinux_start_data_end = 1;
in(".bss.clinux_start_bss") volatile char clinux_start_bss;
in(".bss.clinux_start_bss_end") volatile char clinux_start_bss_end;

enum { largest_range = 1 << 20 };

static struct clinux_range between(volatile char *first, volatile char *end) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)first & ~(page - 1);
    if (end <= first || end - first > largest_range)
        return (struct clinux_range){.start = NULL};
    return (struct clinux_range){.start = (void *)start, .size = ((uintptr_t)end - start + page - 1) & ~(page - 1)};
}

struct clinux_range clinux_start_data_range(void) {
    return between(&clinux_start_data, &clinux_start_data_end);
}

struct clinux_range clinux_start_bss_range(void) {
    return between(&clinux_start_bss, &clinux_start_bss_end);
}
