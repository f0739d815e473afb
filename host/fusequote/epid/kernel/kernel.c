/* The C back end of fusequote.epid: the operations of fusequote.epid.arithmetic.Arithmetic on wire bytes.
 *
 * No dependency but the C library, no Python API: it is loaded with ctypes, which lets go of the interpreter's lock
 * during every call. Sizes of what is passed are checked by the caller; contents are checked here. Functions answer 0
 * if all went well, -1 for bytes that are not an element, -2 without memory. With `secret` set the time of a call
 * depends on the number of terms, and on which points are the identity, only.
 *
 * A base of a term is a table made by a prepare function, or, where the table's pointer is null, the next point of
 * `points`.
 */
#include <stdlib.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "pairing.h"

/* kernel_adx.c is this file once more, with the faster products under names of their own. */
#ifdef FUSEQUOTE_EPID_ADX
#define NAME(x) epid_adx_##x
#else
#define NAME(x) epid_##x
#endif
#define API __attribute__((visibility("default")))

enum { OK = 0, NOT_AN_ELEMENT = -1, NO_MEMORY = -2 };

#ifndef FUSEQUOTE_EPID_ADX
API int epid_kernel_version(void) { return 3; }

/* 1 if this processor has the instructions of kernel_adx.c and this library was built with it */
API int epid_has_adx(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 8 & 1) && (b >> 19 & 1);
#else
    return 0;
#endif
}
#endif

API size_t NAME(g1_table_size)(void) { return sizeof(g1_table); }
API size_t NAME(g2_lines_size)(void) { return sizeof(g2_lines); }
API size_t NAME(gt_table_size)(void) { return sizeof(gt_table); }

API int NAME(g1_is_point)(const u8 in[64])
{
    g1 p;
    return g1_read(&p, in) == POINT;
}

API int NAME(g1_from_x)(u8 out[64], const u8 x[32])
{
    fq a, s, y;
    if (!fq_read(&a, x)) return NOT_AN_ELEMENT;
    fq_sqr(&s, &a);
    fq_mul(&s, &s, &a);
    fq_add(&s, &s, &FQ_THREE);
    fq_pow(&y, &s, Q_PLUS_1_OVER_4);
    fq_sqr(&a, &y);
    if (!fq_equal(&a, &s)) return NOT_AN_ELEMENT;
    memcpy(out, x, 32);
    fq_write(out + 32, &y);
    return OK;
}

API int NAME(g1_prepare)(g1_table *table, const u8 in[64])
{
    g1 p;
    if (g1_read(&p, in) != POINT) return NOT_AN_ELEMENT;
    g1_fill_table(table, &p);
    return OK;
}

/* `rows` sums over the same n bases, each row with n exponents of its own. */
static int sums_of_job(g1 *sums, size_t rows, size_t n, const g1_table *const *tables, const u8 *points,
                       const u8 *scalars, int secret)
{
    int answer = OK;
    g1 p;
    g1_term *terms = malloc(n * sizeof *terms + 1);
    if (!terms) return NO_MEMORY;
    for (size_t i = 0; i < n && answer == OK; i++) {
        if (!tables[i]) {
            if (g1_read(&p, points) == INVALID) answer = NOT_AN_ELEMENT;
            points += 64;
        }
        if (answer == OK) g1_term_tables(&terms[i], tables[i], &p, secret);
    }
    for (size_t row = 0; row < rows && answer == OK; row++) {
        for (size_t i = 0; i < n; i++) {
            u64 k[4];
            scalar_read(k, scalars + 32 * (row * n + i));
            if (secret) g1_term_digits_secret(&terms[i], k);
            else g1_term_digits_public(&terms[i], k);
            wipe(k, sizeof k);
        }
        if (secret) g1_sum_secret(&sums[row], terms, n);
        else g1_sum_public(&sums[row], terms, n);
    }
    if (secret) wipe(terms, n * sizeof *terms);
    free(terms);
    return answer;
}

/* Many jobs one after the other, and one inversion for all their sums: for each job its rows and its bases in `shape`,
 * everything else in a row. */
API int NAME(g1_batch)(u8 *out, size_t jobs, const size_t *shape, const g1_table *const *tables, const u8 *points,
                       const u8 *scalars, int secret)
{
    int answer = OK;
    size_t total = 0, done = 0;
    for (size_t job = 0; job < jobs; job++) total += shape[2 * job];
    g1 *sums = malloc(total * sizeof *sums + 1);
    fq *scratch = malloc(total * sizeof *scratch + 1);
    if (!sums || !scratch) answer = NO_MEMORY;
    for (size_t job = 0; job < jobs && answer == OK; job++) {
        size_t rows = shape[2 * job], n = shape[2 * job + 1];
        answer = sums_of_job(sums + done, rows, n, tables, points, scalars, secret);
        for (size_t i = 0; i < n; i++) points += tables[i] ? 0 : 64;
        tables += n;
        scalars += 32 * rows * n;
        done += rows;
    }
    if (answer == OK) g1_write_all(out, sums, total, scratch);
    if (secret && sums) wipe(sums, done * sizeof *sums);
    if (secret && scratch) wipe(scratch, total * sizeof *scratch);
    free(sums);
    free(scratch);
    return answer;
}

/* A batch of one job. */
API int NAME(g1_sums)(u8 *out, size_t rows, size_t n, const g1_table *const *tables, const u8 *points,
                      const u8 *scalars, int secret)
{
    size_t shape[2] = {rows, n};
    return NAME(g1_batch)(out, 1, shape, tables, points, scalars, secret);
}

API int NAME(g2_is_point)(const u8 in[128])
{
    g2 p;
    return g2_read(&p, in) == POINT;
}

API int NAME(g2_in_subgroup)(const u8 in[128])
{
    g2 p;
    return g2_read(&p, in) == POINT && g2_has_order_p(&p);
}

API int NAME(g2_sum)(u8 out[128], size_t n, const u8 *points, const u8 *scalars)
{
    g2 p, sum;
    g2_set_identity(&sum);
    for (size_t i = 0; i < n; i++) {
        u64 k[4];
        if (g2_read(&p, points + 128 * i) == INVALID) return NOT_AN_ELEMENT;
        scalar_read(k, scalars + 32 * i);
        g2_accumulate(&sum, &p, k);
        wipe(k, sizeof k);
    }
    g2_write(out, &sum);
    wipe(&sum, sizeof sum);
    return OK;
}

API int NAME(g2_prepare)(g2_lines *lines, const u8 in[128])
{
    g2 p;
    return g2_read(&p, in) == POINT && lines_of(lines, &p) ? OK : NOT_AN_ELEMENT;
}

API int NAME(gt_is_element)(const u8 in[384])
{
    fq12 x;
    return fq12_read(&x, in) && gt_has_order_p(&x);
}

API int NAME(gt_prepare)(gt_table *table, const u8 in[384])
{
    fq12 x;
    if (!fq12_read(&x, in)) return NOT_AN_ELEMENT;
    gt_fill_table(table, &x);
    return OK;
}

API int NAME(gt_product)(u8 out[384], size_t n, const gt_table *const *tables, const u8 *scalars)
{
    fq12 r;
    gt_term *terms = malloc(n * sizeof *terms + 1);
    if (!terms) return NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        u64 k[4];
        scalar_read(k, scalars + 32 * i);
        gt_term_set(&terms[i], tables[i], k);
        wipe(k, sizeof k);
    }
    gt_product(&r, terms, n);
    fq12_write(out, &r);
    wipe(terms, n * sizeof *terms);
    free(terms);
    wipe(&r, sizeof r);
    return OK;
}

API int NAME(pairing_product)(u8 out[384], size_t n, const u8 *points, const g2_lines *const *lines)
{
    fq12 r;
    size_t used = 0;
    int answer = OK;
    pair *pairs = malloc(n * sizeof *pairs + 1);
    if (!pairs) return NO_MEMORY;
    for (size_t i = 0; i < n && answer == OK; i++) {
        g1 p;
        int kind = g1_read(&p, points + 64 * i);
        if (kind == INVALID) answer = NOT_AN_ELEMENT;
        else if (kind == POINT) pair_set(&pairs[used++], &p, lines[i]);
    }
    if (answer == OK) {
        pairing_product(&r, pairs, used);
        fq12_write(out, &r);
    }
    wipe(pairs, n * sizeof *pairs);
    free(pairs);
    return answer;
}
