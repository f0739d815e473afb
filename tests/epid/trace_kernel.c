/* Records every basic block that the kernel runs and every address that it reads or writes, and prints a hash of the
 * whole trace for each of several exponents: equal hashes mean that neither control flow nor addresses depend on them.
 *
 * The kernel is compiled with -fsanitize=thread and -fsanitize-coverage=trace-pc, whose callbacks are defined here
 * instead of by the sanitizers' run-time libraries.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int epid_g1_sums(uint8_t *out, size_t rows, size_t n, const void *const *tables, const uint8_t *points, const uint8_t *scalars, int);
int epid_g1_prepare(void *table, const uint8_t *in);
int epid_g2_sum(uint8_t *out, size_t n, const uint8_t *points, const uint8_t *scalars);
int epid_gt_prepare(void *table, const uint8_t *in);
int epid_gt_product(uint8_t *out, size_t n, const void *const *tables, const uint8_t *scalars);

static uint64_t trace, events;
static int recording;

static void note(uint64_t what)
{
    if (!recording) return;
    trace = (trace ^ what) * 0x9E3779B97F4A7C15u;
    trace ^= trace >> 29;
    events++;
}

void __sanitizer_cov_trace_pc(void) { note((uint64_t)__builtin_return_address(0)); }
#define ACCESS(name) \
    void name(void *p) { note((uint64_t)p); }
ACCESS(__tsan_read1) ACCESS(__tsan_read2) ACCESS(__tsan_read4) ACCESS(__tsan_read8) ACCESS(__tsan_read16)
ACCESS(__tsan_write1) ACCESS(__tsan_write2) ACCESS(__tsan_write4) ACCESS(__tsan_write8) ACCESS(__tsan_write16)
ACCESS(__tsan_unaligned_read2) ACCESS(__tsan_unaligned_read4) ACCESS(__tsan_unaligned_read8)
ACCESS(__tsan_unaligned_read16) ACCESS(__tsan_unaligned_write2) ACCESS(__tsan_unaligned_write4)
ACCESS(__tsan_unaligned_write8) ACCESS(__tsan_unaligned_write16) ACCESS(__tsan_func_entry)
void __tsan_read_range(void *p, size_t n) { note((uint64_t)p + n); }
void __tsan_write_range(void *p, size_t n) { note((uint64_t)p + n); }
void __tsan_func_exit(void) {}
void __tsan_init(void) {}
void *__tsan_memcpy(void *d, const void *s, size_t n) { note((uint64_t)d ^ (uint64_t)s ^ n); return memcpy(d, s, n); }
void *__tsan_memset(void *d, int c, size_t n) { note((uint64_t)d ^ n); return memset(d, c, n); }

static uint8_t out[384], scalars[64], table[1 << 20], element[1 << 20], g2[128], gt[384], g1[64];

static void hex(uint8_t *to, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) sscanf(text + 2 * i, "%2hhx", &to[i]);
}

/* argv: point of G1, point of G2, element of GT, then exponents, all in hexadecimal */
int main(int argc, char **argv)
{
    const void *bare[2] = {NULL, NULL}, *prepared[2] = {table, table}, *elements[2] = {element, element};
    uint8_t points[128];
    if (argc < 5) return 2;
    hex(g1, argv[1], 64);
    hex(g2, argv[2], 128);
    hex(gt, argv[3], 384);
    memcpy(points, g1, 64);
    memcpy(points + 64, g1, 64);
    if (epid_g1_prepare(table, g1) || epid_gt_prepare(element, gt)) return 3;
    setvbuf(stdout, NULL, _IONBF, 0); /* or its buffer would move the kernel's allocations */
    for (int round = 3; round < argc; round++) {
        int i = round < 4 ? 4 : round; /* the first round is to have the allocator settle */
        hex(scalars, argv[i], 32);
        hex(scalars + 32, argv[argc + 3 - i], 32);
        for (int what = 0; what < 5; what++) {
            trace = events = 0;
            recording = 1;
            int bad = what == 0   ? epid_g1_sums(out, 1, 2, bare, points, scalars, 1)
                      : what == 1 ? epid_g1_sums(out, 1, 2, prepared, points, scalars, 1)
                      : what == 2 ? epid_g2_sum(out, 1, g2, scalars)
                      : what == 3 ? epid_gt_product(out, 2, elements, scalars)
                                  : epid_g1_sums(out, 1, 2, bare, points, scalars, 0);
            recording = 0;
            if (bad) return 4;
            if (round > 3) printf("%d %016llx %llu\n", what, (unsigned long long)trace, (unsigned long long)events);
        }
    }
    return 0;
}
