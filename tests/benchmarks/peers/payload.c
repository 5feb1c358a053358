// The job of the trace, the same in a container and outside: payload RECORDS NUMBER MILLISECONDS.
// Writes RECORDS/NUMBER: the slice it was given, and when it started and ended, in nanoseconds.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int count, char **words) {
    long long start = now();
    if (count != 4) return 2;
    long ms = atol(words[3]);
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);

    char part[4096], whole[4096];
    snprintf(part, sizeof part, "%s/.%s", words[1], words[2]);
    snprintf(whole, sizeof whole, "%s/%s", words[1], words[2]);
    const char *slice = getenv("NVIDIA_VISIBLE_DEVICES");
    FILE *record = fopen(part, "w");
    if (!record) return 1;
    fprintf(record, "%s %lld %lld\n", slice && *slice ? slice : "-", start, now());
    if (fclose(record) || rename(part, whole)) return 1;
    return 0;
}
