// Loading: the one place that needs libbpf's loader. A run that finds everything pinned never comes here.
#define _GNU_SOURCE
#include "cbpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// libbpf prints through a callback without a context, so what it said last is kept for the thread that asked.
static __thread char last[2048];

static int keep(enum libbpf_print_level level, const char *format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    char *line = NULL;
    int length = vasprintf(&line, format, arguments);
    if (length < 0)
        return 0;
    // The verifier's log is long and its end says why.
    const char *end = line;
    if (length >= (int)sizeof(last)) {
        end += length - ((int)sizeof(last) - 1);
        length = (int)sizeof(last) - 1;
    }
    size_t used = strlen(last), room = sizeof(last) - 1 - (size_t)length;
    if (used > room) {
        memmove(last, last + used - room, room);
        used = room;
    }
    memcpy(last + used, end, (size_t)length + 1);
    free(line);
    return 0;
}

static int listed(const char *names, const char *name) {
    size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ',') && (at[length] == 0 || at[length] == ','))
            return 1;
    return 0;
}

// Whether the running kernel has the hook of an optional program, in the form the program is written for.
static int fits(const struct btf *kernel, const struct bpf_program *program) {
    const char *section = bpf_program__section_name(program), *name = bpf_program__name(program);
    const char *hook = strchr(section, '/');
    char function[96];
    // Optional programs ("?lsm/…") are the ones libbpf would not load by itself.
    if (!hook || bpf_program__autoload(program))
        return 1;
    snprintf(function, sizeof(function), "bpf_lsm_%s", hook + 1);
    int id = btf__find_by_name_kind(kernel, function, BTF_KIND_FUNC);
    if (id < 0)
        return 0;
    // Names that end in _N are for the hook with N arguments.
    size_t length = strlen(name);
    if (length > 2 && name[length - 2] == '_' && name[length - 1] >= '1' && name[length - 1] <= '9') {
        const struct btf_type *type = btf__type_by_id(kernel, (unsigned)id);
        type = type ? btf__type_by_id(kernel, type->type) : NULL;
        return type && btf_vlen(type) == name[length - 1] - '0';
    }
    return 1;
}

// Programs that are not attached while they are pinned: iterators and calls, and what is attached only when needed.
static int on_demand(const struct bpf_program *program) {
    const char *section = bpf_program__section_name(program);
    return strncmp(section, "iter/", 5) == 0 || strcmp(section, "syscall") == 0 ||
           strncmp(bpf_program__name(program), "revoking_", 9) == 0;
}

// What every later run must find: the secrets and the names of what will be attached. Written before the maps exist, so
// that they hold it from their first moment and no crash leaves pins without it.
static int fill_registry(struct bpf_object *whole) {
    struct bpf_map *map = bpf_object__find_map_by_name(whole, ".data.registry");
    size_t size = 0;
    const struct arbiter_registry *written = map ? bpf_map__initial_value(map, &size) : NULL;
    struct arbiter_registry first, *registry = &first;
    if (!written || size != sizeof(first))
        return -EINVAL;
    first = *written;
    if (cbpf_random(registry->secret, sizeof(registry->secret)) != 0)
        return -errno;
    struct bpf_program *program;
    bpf_object__for_each_program(program, whole) {
        if (!bpf_program__autoload(program) || on_demand(program))
            continue;
        if (registry->links == ARBITER_LINKS)
            return -E2BIG;
        snprintf(registry->link[registry->links++], ARBITER_LINK_BYTES, "%s", bpf_program__name(program));
    }
    return bpf_map__set_initial_value(map, &first, sizeof(first));
}

// Beside each name the number the kernel has given the program: a link is told by it with one call.
static int number_programs(struct bpf_object *whole) {
    struct bpf_map *map = bpf_object__find_map_by_name(whole, ".data.registry");
    struct arbiter_registry *registry = map ? cbpf_registry(bpf_map__fd(map)) : NULL;
    if (!registry)
        return -ENOMEM;
    struct bpf_program *program;
    uint32_t at = 0;
    int error = 0;
    bpf_object__for_each_program(program, whole) {
        if (!bpf_program__autoload(program) || on_demand(program))
            continue;
        struct bpf_prog_info info = {};
        uint32_t length = sizeof(info);
        error = bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length);
        if (error)
            break;
        registry->program[at++] = info.id;
    }
    cbpf_registry_unmap(registry);
    return error;
}

static struct bpf_object *opened(const uint8_t *object, size_t size) {
    last[0] = 0;
    libbpf_set_print(keep);
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "arbiter");
    struct bpf_object *whole = bpf_object__open_mem(object, size, &options);
    if (!whole)
        return NULL;
    struct btf *kernel = btf__load_vmlinux_btf();
    if (!kernel) {
        bpf_object__close(whole);
        errno = ENOENT;
        return NULL;
    }
    struct bpf_program *program;
    bpf_object__for_each_program(program, whole) bpf_program__set_autoload(program, fits(kernel, program));
    btf__free(kernel);
    return whole;
}

// A pin's name may hold no dot.
static void pin_path(char *path, size_t size, const char *folder, const char *kind, const char *name) {
    int at = snprintf(path, size, "%s/%s/", folder, kind);
    for (size_t i = (size_t)at; *name && i + 1 < size; name++, i++) {
        path[i] = *name == '.' ? '_' : *name;
        path[i + 1] = 0;
    }
}

static int load_all(struct bpf_object *whole, const char *folder, const char *without, const char **doing) {
    char path[512];
    struct bpf_program *program;
    *doing = "loading the programs";
    bpf_object__for_each_program(program, whole) {
        if (listed(without, bpf_program__name(program)))
            bpf_program__set_autoload(program, 0);
    }
    int error = fill_registry(whole);
    if (!error)
        error = bpf_object__load(whole);
    if (!error)
        error = number_programs(whole);
    if (error)
        return error;
    static const char *const kinds[] = {"maps", "links", "programs"};
    for (size_t i = 0; i < 3; i++) {
        *doing = "making the folders of pins";
        snprintf(path, sizeof(path), "%s/%s", folder, kinds[i]);
        if (mkdir(path, 0700) != 0)
            return -errno;
    }
    struct bpf_map *map;
    bpf_object__for_each_map(map, whole) {
        *doing = bpf_map__name(map);
        pin_path(path, sizeof(path), folder, "maps", bpf_map__name(map));
        if (bpf_obj_pin(bpf_map__fd(map), path) != 0)
            return -errno;
    }
    // Ends are watched before beginnings: a rename seen to begin is then always seen to end.
    for (int turn = 0; turn < 2; turn++) {
        bpf_object__for_each_program(program, whole) {
            const char *section = bpf_program__section_name(program), *name = bpf_program__name(program);
            if (!bpf_program__autoload(program) || (strncmp(section, "fentry/", 7) == 0) != turn)
                continue;
            *doing = name;
            if (on_demand(program)) {
                pin_path(path, sizeof(path), folder, "programs", name);
                if (bpf_obj_pin(bpf_program__fd(program), path) != 0)
                    return -errno;
                continue;
            }
            struct bpf_link *link = bpf_program__attach(program);
            if (!link)
                return -errno;
            pin_path(path, sizeof(path), folder, "links", name);
            error = bpf_link__pin(link, path);
            // The pin keeps the program attached; closing the object's own reference does not detach it.
            bpf_link__disconnect(link);
            bpf_link__destroy(link);
            if (error)
                return error;
        }
    }
    return 0;
}

int cbpf_load(const uint8_t *object, size_t size, const char *folder, const char *without, char *message,
              size_t message_size) {
    const char *doing = "reading the object";
    char deed[96];
    struct bpf_object *whole = opened(object, size);
    int error = whole ? load_all(whole, folder, without, &doing) : -errno;
    // `doing` may point into the object.
    snprintf(deed, sizeof(deed), "%s", doing);
    if (whole)
        bpf_object__close(whole);
    libbpf_set_print(NULL);
    snprintf(message, message_size, "%s%s%s", deed, last[0] ? ": " : "", last);
    if (error) {
        errno = -error;
        return -1;
    }
    return 0;
}

int cbpf_measure(const uint8_t *object, size_t size, struct cbpf_program *programs, int room) {
    struct bpf_object *whole = opened(object, size);
    if (!whole)
        return -1;
    int error = bpf_object__load(whole), count = 0;
    struct bpf_program *program;
    if (!error) {
        bpf_object__for_each_program(program, whole) {
            struct bpf_prog_info info = {};
            uint32_t length = sizeof(info);
            if (!bpf_program__autoload(program) || count >= room ||
                bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
                continue;
            struct cbpf_program *line = &programs[count++];
            snprintf(line->name, sizeof(line->name), "%s", bpf_program__name(program));
            snprintf(line->section, sizeof(line->section), "%s", bpf_program__section_name(program));
            line->verified = info.verified_insns;
            line->bytes = info.jited_prog_len;
        }
    }
    bpf_object__close(whole);
    libbpf_set_print(NULL);
    if (error) {
        errno = -error;
        return -1;
    }
    return count;
}
