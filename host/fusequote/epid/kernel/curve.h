/* G1 and the twist, by the complete formulas of Renes, Costello and Batina (2016) for a = 0.
 *
 * Homogeneous coordinates; (0 : 1 : 0) is the identity. Both curves have odd order, so the formulas hold for every pair
 * of points, and no case needs a branch. The same formulas serve public exponents (signed sliding windows, which skip)
 * and secret ones (fixed windows, every table read whole).
 */
#ifndef FUSEQUOTE_EPID_CURVE_H
#define FUSEQUOTE_EPID_CURVE_H

#include "fq12.h"
#include "scalar.h"

typedef struct { fq x, y, z; } g1;
typedef struct { fq2 x, y, z; } g2;

/* times 3 b = 9 */
INLINE void fq_mul_b3(fq *r, const fq *x)
{
    fq t;
    fq_add(&t, x, x);
    fq_add(&t, &t, &t);
    fq_add(&t, &t, &t);
    fq_add(r, &t, x);
}

INLINE void fq2_mul_b3(fq2 *r, const fq2 *x) { fq2_mul(r, x, &TWIST_B3); }

/* One text for both curves: F is the field, G the group. */
#define CURVE_FORMULAS(F, G)                                                                                           \
    static void G##_add(G *r, const G *p, const G *q)                                                                  \
    {                                                                                                                  \
        F t0, t1, t2, t3, t4, x, y, z;                                                                                 \
        F##_mul(&t0, &p->x, &q->x);                                                                                    \
        F##_mul(&t1, &p->y, &q->y);                                                                                    \
        F##_mul(&t2, &p->z, &q->z);                                                                                    \
        F##_add(&t3, &p->x, &p->y);                                                                                    \
        F##_add(&t4, &q->x, &q->y);                                                                                    \
        F##_mul(&t3, &t3, &t4);                                                                                        \
        F##_sub(&t3, &t3, &t0);                                                                                        \
        F##_sub(&t3, &t3, &t1);                                                                                        \
        F##_add(&t4, &p->y, &p->z);                                                                                    \
        F##_add(&x, &q->y, &q->z);                                                                                     \
        F##_mul(&t4, &t4, &x);                                                                                         \
        F##_sub(&t4, &t4, &t1);                                                                                        \
        F##_sub(&t4, &t4, &t2);                                                                                        \
        F##_add(&x, &p->x, &p->z);                                                                                     \
        F##_add(&y, &q->x, &q->z);                                                                                     \
        F##_mul(&x, &x, &y);                                                                                           \
        F##_sub(&x, &x, &t0);                                                                                          \
        F##_sub(&y, &x, &t2);                                                                                          \
        F##_add(&x, &t0, &t0);                                                                                         \
        F##_add(&t0, &x, &t0);                                                                                         \
        F##_mul_b3(&t2, &t2);                                                                                          \
        F##_add(&z, &t1, &t2);                                                                                         \
        F##_sub(&t1, &t1, &t2);                                                                                        \
        F##_mul_b3(&y, &y);                                                                                            \
        F##_mul(&x, &t4, &y);                                                                                          \
        F##_mul(&t2, &t3, &t1);                                                                                        \
        F##_sub(&r->x, &t2, &x);                                                                                       \
        F##_mul(&y, &y, &t0);                                                                                          \
        F##_mul(&t1, &t1, &z);                                                                                         \
        F##_add(&r->y, &t1, &y);                                                                                       \
        F##_mul(&t0, &t0, &t3);                                                                                        \
        F##_mul(&z, &z, &t4);                                                                                          \
        F##_add(&r->z, &z, &t0);                                                                                       \
    }                                                                                                                  \
    static void G##_double(G *r, const G *p)                                                                           \
    {                                                                                                                  \
        F t0, t1, t2, x, y, z;                                                                                         \
        F##_sqr(&t0, &p->y);                                                                                           \
        F##_add(&z, &t0, &t0);                                                                                         \
        F##_add(&z, &z, &z);                                                                                           \
        F##_add(&z, &z, &z);                                                                                           \
        F##_mul(&t1, &p->y, &p->z);                                                                                    \
        F##_sqr(&t2, &p->z);                                                                                           \
        F##_mul_b3(&t2, &t2);                                                                                          \
        F##_mul(&x, &t2, &z);                                                                                          \
        F##_add(&y, &t0, &t2);                                                                                         \
        F##_mul(&z, &t1, &z);                                                                                          \
        F##_add(&t1, &t2, &t2);                                                                                        \
        F##_add(&t2, &t1, &t2);                                                                                        \
        F##_sub(&t0, &t0, &t2);                                                                                        \
        F##_mul(&y, &t0, &y);                                                                                          \
        F##_mul(&t1, &p->x, &p->y);                                                                                    \
        F##_add(&r->y, &x, &y);                                                                                        \
        F##_mul(&x, &t0, &t1);                                                                                         \
        F##_add(&r->x, &x, &x);                                                                                        \
        r->z = z;                                                                                                      \
    }                                                                                                                  \
    static void G##_set_identity(G *r)                                                                                 \
    {                                                                                                                  \
        memset(r, 0, sizeof *r);                                                                                       \
        F##_set_one(&r->y);                                                                                            \
    }                                                                                                                  \
    /* r = [d]P for d in -8..8 from P, 2P .. 8P, reading all of them */                                                \
    static void G##_select(G *r, const G table[8], int d)                                                              \
    {                                                                                                                  \
        u64 negative = (u64)0 - ((u64)(int64_t)d >> 63), size = ((u64)(int64_t)d ^ negative) - negative;               \
        F minus;                                                                                                       \
        G##_set_identity(r);                                                                                           \
        for (u64 i = 1; i <= 8; i++) {                                                                                 \
            u64 here = ~mask_nonzero(size ^ i);                                                                        \
            F##_cmov(&r->x, &table[i - 1].x, here);                                                                    \
            F##_cmov(&r->y, &table[i - 1].y, here);                                                                    \
            F##_cmov(&r->z, &table[i - 1].z, here);                                                                    \
        }                                                                                                              \
        F##_neg(&minus, &r->y);                                                                                        \
        F##_cmov(&r->y, &minus, negative);                                                                             \
    }                                                                                                                  \
    static void G##_multiples(G table[8], const G *p)                                                                  \
    {                                                                                                                  \
        table[0] = *p;                                                                                                 \
        G##_double(&table[1], p);                                                                                      \
        for (int i = 2; i < 8; i++) G##_add(&table[i], &table[i - 1], p);                                              \
    }

INLINE void fq_set_one(fq *r) { *r = FQ_ONE; }
INLINE void fq2_set_one(fq2 *r)
{
    r->a = FQ_ONE;
    memset(&r->b, 0, sizeof r->b);
}

CURVE_FORMULAS(fq, g1)
CURVE_FORMULAS(fq2, g2)

/* encodings: affine coordinates, all zeros for the identity */

enum { INVALID = -1, IDENTITY = 0, POINT = 1 };

static int all_zero(const u8 *p, size_t n)
{
    u8 sum = 0;
    for (size_t i = 0; i < n; i++) sum |= p[i];
    return sum == 0;
}

static int g1_read(g1 *r, const u8 in[64])
{
    fq l, s;
    if (!(fq_read(&r->x, in) & fq_read(&r->y, in + 32))) return INVALID;
    if (all_zero(in, 64)) {
        g1_set_identity(r);
        return IDENTITY;
    }
    r->z = FQ_ONE;
    fq_sqr(&l, &r->y);
    fq_sqr(&s, &r->x);
    fq_mul(&s, &s, &r->x);
    fq_add(&s, &s, &FQ_THREE);
    return fq_equal(&l, &s) ? POINT : INVALID;
}

static int g2_read(g2 *r, const u8 in[128])
{
    fq2 l, s;
    if (!(fq2_read(&r->x, in) & fq2_read(&r->y, in + 64))) return INVALID;
    if (all_zero(in, 128)) {
        g2_set_identity(r);
        return IDENTITY;
    }
    fq2_set_one(&r->z);
    fq2_sqr(&l, &r->y);
    fq2_sqr(&s, &r->x);
    fq2_mul(&s, &s, &r->x);
    fq2_add(&s, &s, &TWIST_B);
    return fq2_equal(&l, &s) ? POINT : INVALID;
}

/* Affine coordinates of all points with one inversion between them, which `scratch` has room for; zeros for the
 * identity, without a branch. */
static void g1_write_all(u8 *out, const g1 *p, size_t n, fq *scratch)
{
    fq running = FQ_ONE, inverse, z, t;
    static const fq zero = {{0, 0, 0, 0}};
    for (size_t i = 0; i < n; i++) {
        scratch[i] = running;
        z = p[i].z;
        fq_cmov(&z, &FQ_ONE, fq_is_zero(&z));
        fq_mul(&running, &running, &z);
    }
    fq_inv(&inverse, &running);
    for (size_t i = n; i-- > 0;) {
        u64 absent = fq_is_zero(&p[i].z);
        z = p[i].z;
        fq_cmov(&z, &FQ_ONE, absent);
        fq_mul(&t, &inverse, &scratch[i]);
        fq_mul(&inverse, &inverse, &z);
        fq_cmov(&t, &zero, absent);
        fq_mul(&z, &p[i].x, &t);
        fq_write(out + 64 * i, &z);
        fq_mul(&z, &p[i].y, &t);
        fq_write(out + 64 * i + 32, &z);
    }
    wipe(&inverse, sizeof inverse);
    wipe(&running, sizeof running);
}

/* The identity has z = 0; its inverse comes out as 0, and so do both coordinates. */
static void g2_write(u8 out[128], const g2 *p)
{
    fq2 i, t;
    fq2_inv(&i, &p->z);
    fq2_mul(&t, &p->x, &i);
    fq2_write(out, &t);
    fq2_mul(&t, &p->y, &i);
    fq2_write(out + 64, &t);
}

#endif
