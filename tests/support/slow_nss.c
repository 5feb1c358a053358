/* A name service that is slow: each lookup first sleeps as many seconds as the file that the
   variable SLOW_NSS names says; none where it is not there. Loaded with LD_PRELOAD. */
#include <dlfcn.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static void rest(void)
{
    const char *path = getenv("SLOW_NSS");
    FILE *file = path ? fopen(path, "re") : NULL;
    double seconds = 0;
    if (file) {
        if (fscanf(file, "%lf", &seconds) != 1)
            seconds = 0;
        fclose(file);
    }
    if (seconds > 0)
        usleep((useconds_t)(seconds * 1e6));
}

#define PASS_ON(kind, name, params, args) \
    kind name params { \
        kind (*next) params = (kind (*) params)dlsym(RTLD_NEXT, #name); \
        rest(); \
        return next args; \
    }

PASS_ON(int, getpwuid_r,
        (uid_t uid, struct passwd *entry, char *room, size_t size, struct passwd **found),
        (uid, entry, room, size, found))
PASS_ON(int, getpwnam_r,
        (const char *name, struct passwd *entry, char *room, size_t size, struct passwd **found),
        (name, entry, room, size, found))
PASS_ON(int, getgrgid_r,
        (gid_t gid, struct group *entry, char *room, size_t size, struct group **found),
        (gid, entry, room, size, found))
PASS_ON(int, getgrnam_r,
        (const char *name, struct group *entry, char *room, size_t size, struct group **found),
        (name, entry, room, size, found))
PASS_ON(int, getgrouplist,
        (const char *name, gid_t gid, gid_t *groups, int *count),
        (name, gid, groups, count))
