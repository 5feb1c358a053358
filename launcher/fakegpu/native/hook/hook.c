/* A stand-in for nvidia-container-runtime-hook: records every start, and can refuse one.
 *
 * dockerd runs it before a container's command, with the OCI state on standard input. It is in
 * <hook directory>/bin; beside bin are its files:
 *   starts    one line per start, "time_ns container_id NVIDIA_VISIBLE_DEVICES", in one write
 *   refuse    if present: first line the exit code, second a word the value must contain (or *),
 *             the rest is the message for standard error
 *   machine   if present: the path of a fake machine's state; a device it lacks is refused
 *             with NVIDIA's message
 */
#include "../state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_VALUE = 4096 };

static char home[PATH_MAX];

static int find_home(void)
{
    ssize_t length = readlink("/proc/self/exe", home, sizeof(home) - 1);
    if (length <= 0)
        return -1;
    home[length] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(home, '/');
        if (!slash)
            return -1;
        *slash = '\0';
    }
    return 0;
}

static int open_here(const char *name, int flags)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    return open(path, flags | O_CLOEXEC, 0644);
}

/* Read a whole file as text; empty if it cannot be read. */
static char *read_all(int fd)
{
    size_t room = 65536, length = 0;
    char *text = malloc(room);
    ssize_t got = 0;
    while (text && fd >= 0 && (got = read(fd, text + length, room - length - 1)) > 0) {
        length += (size_t)got;
        if (length + 1 == room)
            text = realloc(text, room *= 2);
    }
    if (fd > 0)
        close(fd);
    if (!text)
        exit(125);
    text[length] = '\0';
    return text;
}

/* Copy the JSON string after its opening quote; returns what follows it. */
static const char *take_string(const char *at, char *value, size_t size)
{
    size_t length = 0;
    for (; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        if (length + 1 < size)
            value[length++] = *at;
    }
    value[length] = '\0';
    return *at ? at + 1 : at;
}

/* The member `key` of the state, a flat object that runc writes without spaces. */
static void member(const char *json, const char *key, char *value, size_t size)
{
    char pattern[32];
    snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
    const char *at = strstr(json, pattern);
    value[0] = '\0';
    if (at)
        take_string(at + strlen(pattern), value, size);
}

/* The last NVIDIA_VISIBLE_DEVICES of the process's environment: the last one counts. */
static void visible_devices(const char *bundle, char *value)
{
    static const char name[] = "NVIDIA_VISIBLE_DEVICES=";
    char path[PATH_MAX + 16], entry[MAX_VALUE];
    snprintf(path, sizeof(path), "%s/config.json", bundle);
    char *config = read_all(open(path, O_RDONLY | O_CLOEXEC));
    const char *at = strstr(config, "\"env\":[");
    strcpy(value, "-");
    for (at = at ? at + 7 : ""; *at == '"';) {
        at = take_string(at + 1, entry, sizeof(entry));
        if (strncmp(entry, name, sizeof(name) - 1) == 0)
            strcpy(value, entry[sizeof(name) - 1] ? entry + sizeof(name) - 1 : "-");
        if (*at == ',')
            at++;
    }
    free(config);
}

static void record(const char *id, const char *value)
{
    char line[MAX_VALUE + 256];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(line, sizeof(line), "%lld%09ld %s %s\n", (long long)now.tv_sec,
                          now.tv_nsec, id, value);
    int fd = open_here("starts", O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0 || write(fd, line, (size_t)length) != length) {
        fprintf(stderr, "the stub hook cannot write its record in %s\n", home);
        exit(125);   /* an unrecorded start must not happen */
    }
    close(fd);
}

static void refuse_as_told(const char *value)
{
    int fd = open_here("refuse", O_RDONLY);
    if (fd < 0)
        return;
    char *text = read_all(fd);
    char *word = strchr(text, '\n');
    char *message = word ? strchr(word + 1, '\n') : NULL;
    if (!message)
        return;
    *word++ = '\0';
    *message++ = '\0';
    if (strcmp(word, "*") == 0 || strstr(value, word)) {
        fputs(message, stderr);
        exit(atoi(text));
    }
}

static int has_device(const State *state, const char *uuid)
{
    for (uint32_t i = 0; i < state->gpu_count; i++) {
        const Gpu *gpu = &state->gpus[i];
        if (strcmp(gpu->uuid, uuid) == 0)
            return !gpu->lost;
        for (unsigned g = 0; g < MAX_GIS; g++)
            for (unsigned c = 0; gpu->gis[g].serial && c < MAX_CIS; c++) {
                const ComputeInstance *ci = &gpu->gis[g].cis[c];
                if (ci->serial && strcmp(gpu->mig_uuids[gpu->gis[g].id][ci->id], uuid) == 0)
                    return !gpu->lost;
            }
    }
    return 0;
}

static void refuse_unknown_devices(const char *value)
{
    int fd = open_here("machine", O_RDONLY);
    if (fd < 0)
        return;
    char *path = read_all(fd), *devices = strdup(value), *rest = devices, *device;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    const State *state = mmap(NULL, sizeof(State), PROT_READ, MAP_SHARED, fd, 0);
    if (state == MAP_FAILED || !devices) {
        fprintf(stderr, "the stub hook cannot read the fake machine %s\n", path);
        exit(125);
    }
    while ((device = strsep(&rest, ",")) != NULL) {
        int by_uuid = strncmp(device, "MIG-", 4) == 0 || strncmp(device, "GPU-", 4) == 0;
        if (by_uuid && !has_device(state, device)) {
            fprintf(stderr, "nvidia-container-cli: device error: %s: unknown device\n", device);
            exit(1);
        }
    }
}

int main(void)
{
    char id[256], bundle[PATH_MAX], value[MAX_VALUE];
    if (find_home() != 0)
        return 125;
    char *state = read_all(STDIN_FILENO);
    member(state, "id", id, sizeof(id));
    member(state, "bundle", bundle, sizeof(bundle));
    visible_devices(bundle, value);
    refuse_as_told(value);
    refuse_unknown_devices(value);
    record(id, value);
    return 0;
}
