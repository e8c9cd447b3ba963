/* What a load counts, and the line of JSON that tells it. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES (16 << 20) /* latencies that are kept */

static double seconds;                 /* that count, after those that warm up */
static uint64_t from, until;           /* the same, ns */
static uint32_t *latencies;            /* ns */
static uint64_t samples, counted, all; /* latencies, amount in the time that counts, amount */
static double cpuBefore;

static void fail(const char *what) {
    fprintf(stderr, "load: %s (%s)\n", what, errno ? strerror(errno) : "no error of the system");
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void begin(void) {
    latencies = calloc(SAMPLES, sizeof *latencies); /* memory only when it is used */
    double warm = seconds / 4 < .5 ? seconds / 4 : .5;
    from = now() + warm * 1e9;
    until = from + seconds * 1e9;
    cpuBefore = -1;
}

/* Count an amount that came at a time; begun: when it was asked for, 0 for no latency. */
static void count(uint64_t amount, uint64_t begun, uint64_t at) {
    all += amount;
    if (at < from || at >= until)
        return;
    if (cpuBefore < 0)
        cpuBefore = cpu();
    counted += amount;
    if (begun && samples < SAMPLES)
        latencies[samples++] = at - begun > UINT32_MAX ? UINT32_MAX : at - begun;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(void) {
    double cpuUsed = cpu() - cpuBefore; /* before anything is sorted */
    qsort(latencies, samples, sizeof *latencies, ascending);
    if (!counted)
        fail("nothing came back in time");
    printf("{\"rate\": %.3f, \"all\": %lu", counted / seconds, all);
    printf(", \"generator\": %.3f", cpuUsed / seconds);
    if (samples)
        printf(", \"p50\": %.2f, \"p99\": %.2f", latencies[samples / 2] / 1e3,
               latencies[samples * 99 / 100] / 1e3);
    puts("}");
}
