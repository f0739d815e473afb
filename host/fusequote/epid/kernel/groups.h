/* Sums in G1 and on the twist, products in GT: secret exponents in constant time, public ones fast. */
#ifndef FUSEQUOTE_EPID_GROUPS_H
#define FUSEQUOTE_EPID_GROUPS_H

#include "curve.h"

enum { BARE_WIDTH = 5, BARE_ODD = 8, PREPARED_WIDTH = 7, PREPARED_ODD = 32 };

/* What g1_prepare makes: P .. 8P for secret exponents, P, 3P .. 63P for public ones, both also under the endomorphism
 * (which is a product with BETA in x). */
typedef struct {
    g1 multiples[2][8];
    g1 odd[2][PREPARED_ODD];
} g1_table;

/* g .. g^16 of an element and of its three Frobenius images. Inverses are conjugates. */
enum { GT_POWERS = 1 << (GT_WIDTH - 1) };
typedef struct { fq12 powers[4][GT_POWERS]; } gt_table;

static void endomorphism(g1 *out, const g1 *in, int n)
{
    for (int i = 0; i < n; i++) {
        fq_mul(&out[i].x, &in[i].x, &BETA);
        out[i].y = in[i].y;
        out[i].z = in[i].z;
    }
}

static void g1_odd_multiples(g1 *table, const g1 *p, int n)
{
    g1 twice;
    g1_double(&twice, p);
    table[0] = *p;
    for (int i = 1; i < n; i++) g1_add(&table[i], &table[i - 1], &twice);
}

static void g1_fill_table(g1_table *t, const g1 *p)
{
    g1_multiples(t->multiples[0], p);
    endomorphism(t->multiples[1], t->multiples[0], 8);
    g1_odd_multiples(t->odd[0], p, PREPARED_ODD);
    endomorphism(t->odd[1], t->odd[0], PREPARED_ODD);
}

/* One term of a sum: its tables, its digits. */
typedef struct {
    g1 local[2][8];
    const g1 *table[2];
    int8_t digits[2][PART_BITS];
    int length, width;
} g1_term;

/* Tables of a bare point, or those that were prepared; once for all exponents of the point. */
static void g1_term_tables(g1_term *t, const g1_table *prepared, const g1 *point, int secret)
{
    if (!prepared) {
        if (secret) g1_multiples(t->local[0], point);
        else g1_odd_multiples(t->local[0], point, BARE_ODD);
        endomorphism(t->local[1], t->local[0], 8);
    }
    for (int h = 0; h < 2; h++)
        t->table[h] = !prepared ? t->local[h] : secret ? prepared->multiples[h] : prepared->odd[h];
    t->width = prepared ? PREPARED_WIDTH : BARE_WIDTH;
}

static void g1_term_digits_secret(g1_term *t, const u64 k[4])
{
    part parts[2];
    split_g1(parts, k);
    for (int h = 0; h < 2; h++) windows(t->digits[h], &parts[h], G1_WINDOWS, G1_WIDTH);
    wipe(parts, sizeof parts);
}

static void g1_term_digits_public(g1_term *t, const u64 k[4])
{
    part parts[2];
    split_g1(parts, k);
    t->length = 0;
    for (int h = 0; h < 2; h++) {
        int length = sliding(t->digits[h], &parts[h], t->width);
        if (length > t->length) t->length = length;
    }
}

static void g1_sum_secret(g1 *r, const g1_term *terms, size_t n)
{
    g1 s, t;
    g1_set_identity(&s);
    for (int i = G1_WINDOWS - 1; i >= 0; i--) {
        if (i != G1_WINDOWS - 1)
            for (int j = 0; j < 4; j++) g1_double(&s, &s);
        for (size_t m = 0; m < n; m++)
            for (int h = 0; h < 2; h++) {
                g1_select(&t, terms[m].table[h], terms[m].digits[h][i]);
                g1_add(&s, &s, &t);
            }
    }
    *r = s;
    wipe(&s, sizeof s);
    wipe(&t, sizeof t);
}

static void g1_sum_public(g1 *r, const g1_term *terms, size_t n)
{
    g1 s, minus;
    int length = 0;
    g1_set_identity(&s);
    for (size_t m = 0; m < n; m++)
        if (terms[m].length > length) length = terms[m].length;
    for (int i = length - 1; i >= 0; i--) {
        if (i != length - 1) g1_double(&s, &s);
        for (size_t m = 0; m < n; m++)
            for (int h = 0; h < 2; h++) {
                int d = terms[m].digits[h][i];
                if (d > 0) g1_add(&s, &s, &terms[m].table[h][d >> 1]);
                if (d < 0) {
                    minus = terms[m].table[h][-d >> 1];
                    fq_neg(&minus.y, &minus.y);
                    g1_add(&s, &s, &minus);
                }
            }
    }
    *r = s;
}

/* The twist: exponents are not split, for the order of a point may be any; 64 windows and the carry of the recoding. */
static void g2_accumulate(g2 *sum, const g2 *point, const u64 k[4])
{
    g2 table[8], s, t;
    int8_t digits[65];
    u64 carry = 0, v[5];
    for (int i = 0; i < 4; i++) v[i] = adc(k[i], 0x8888888888888888u, &carry);
    v[4] = carry + 8;
    for (int i = 0; i < 65; i++) digits[i] = (int8_t)((int)(v[i / 16] >> (4 * (i % 16)) & 15) - 8);
    g2_multiples(table, point);
    g2_set_identity(&s);
    for (int i = 64; i >= 0; i--) {
        for (int j = 0; j < 4; j++) g2_double(&s, &s);
        g2_select(&t, table, digits[i]);
        g2_add(&s, &s, &t);
    }
    g2_add(sum, sum, &s);
    wipe(digits, sizeof digits);
    wipe(v, sizeof v);
    wipe(&s, sizeof s);
    wipe(&t, sizeof t);
}

static void twist_frobenius(fq2 *x, fq2 *y, const fq2 *x0, const fq2 *y0)
{
    fq2 t;
    fq2_conj(&t, x0);
    fq2_mul(x, &t, &FROBENIUS[1][2]);
    fq2_conj(&t, y0);
    fq2_mul(y, &t, &FROBENIUS[1][3]);
}

/* The Frobenius f has f^2 - t f + q = 0; f(Q) = [t - 1]Q then means [p]Q = 0. t - 1 = 6 U^2. */
static int g2_has_order_p(const g2 *p)
{
    g2 s = *p;
    fq2 x, y, z;
    for (int i = 126; i >= 0; i--) {
        g2_double(&s, &s);
        if (SIX_U_SQUARED[i / 64] >> (i % 64) & 1) g2_add(&s, &s, p);
    }
    twist_frobenius(&x, &y, &p->x, &p->y); /* p is affine: z = 1 */
    fq2_mul(&x, &x, &s.z);
    fq2_mul(&y, &y, &s.z);
    z = s.z;
    return fq2_equal(&x, &s.x) && fq2_equal(&y, &s.y) && !fq2_is_zero(&z);
}

/* GT */

static void gt_fill_table(gt_table *t, const fq12 *x)
{
    fq12 *p = t->powers[0];
    p[0] = *x;
    fq12_cyclotomic_sqr(&p[1], x);
    for (int i = 2; i < GT_POWERS; i++) fq12_mul(&p[i], &p[i - 1], x);
    for (int k = 1; k < 4; k++)
        for (int i = 0; i < GT_POWERS; i++) fq12_frobenius(&t->powers[k][i], &p[i], k);
}

static void gt_set_one(fq12 *r)
{
    memset(r, 0, sizeof *r);
    r->lo.c[0].a = FQ_ONE;
}

static void fq12_cmov(fq12 *r, const fq12 *x, u64 mask)
{
    for (int i = 0; i < 3; i++) {
        fq2_cmov(&r->lo.c[i], &x->lo.c[i], mask);
        fq2_cmov(&r->hi.c[i], &x->hi.c[i], mask);
    }
}

/* r = x^d for d in -16..15, reading the whole table */
static void gt_select(fq12 *r, const fq12 table[GT_POWERS], int d)
{
    u64 negative = (u64)0 - ((u64)(int64_t)d >> 63), size = ((u64)(int64_t)d ^ negative) - negative;
    fq12 inverse;
    gt_set_one(r);
    for (u64 i = 1; i <= GT_POWERS; i++) fq12_cmov(r, &table[i - 1], ~mask_nonzero(size ^ i));
    fq12_conj(&inverse, r);
    fq12_cmov(r, &inverse, negative);
}

typedef struct {
    const gt_table *table;
    int8_t digits[4][GT_WINDOWS];
} gt_term;

static void gt_term_set(gt_term *t, const gt_table *table, const u64 k[4])
{
    part parts[4];
    t->table = table;
    split_gt(parts, k);
    for (int h = 0; h < 4; h++) windows(t->digits[h], &parts[h], GT_WINDOWS, GT_WIDTH);
    wipe(parts, sizeof parts);
}

static void gt_product(fq12 *r, const gt_term *terms, size_t n)
{
    fq12 s, t;
    gt_set_one(&s);
    for (int i = GT_WINDOWS - 1; i >= 0; i--) {
        if (i != GT_WINDOWS - 1)
            for (int j = 0; j < GT_WIDTH; j++) fq12_cyclotomic_sqr(&s, &s);
        for (size_t m = 0; m < n; m++)
            for (int h = 0; h < 4; h++) {
                gt_select(&t, terms[m].table->powers[h], terms[m].digits[h][i]);
                fq12_mul(&s, &s, &t);
            }
    }
    *r = s;
    wipe(&s, sizeof s);
    wipe(&t, sizeof t);
}

/* Order p: cyclotomic, and x^q = x^(6 U^2) = x^(q - p). */
static int gt_has_order_p(const fq12 *x)
{
    fq12 a, b, c;
    fq12_frobenius(&a, x, 2);
    fq12_frobenius(&b, &a, 2);
    fq12_mul(&b, &b, x);
    gt_set_one(&c);
    fq12_mul(&c, &c, x);
    u64 zero = ~(u64)0;
    for (int i = 0; i < 3; i++) zero &= fq2_is_zero(&c.lo.c[i]) & fq2_is_zero(&c.hi.c[i]);
    if (zero || !fq12_equal(&a, &b)) return 0;
    fq12_cyclotomic_pow_u(&a, x);
    fq12_cyclotomic_pow_u(&a, &a);
    fq12_cyclotomic_sqr(&b, &a);
    fq12_cyclotomic_sqr(&c, &b);
    fq12_mul(&b, &b, &c);
    fq12_frobenius(&a, x, 1);
    return fq12_equal(&a, &b) != 0;
}

#endif
