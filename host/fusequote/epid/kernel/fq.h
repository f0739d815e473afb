/* Fq, 256 bits, Montgomery form with R = 2^256, and Fq2 = Fq[i]/(i^2 + 1).
 *
 * Everything here is straight-line: no branch and no address depends on a value. The modulus uses all 256 bits, so
 * sums are carried into a fifth limb. Sums of products are accumulated unreduced and reduced once (fq_sop).
 */
#ifndef FUSEQUOTE_EPID_FQ_H
#define FUSEQUOTE_EPID_FQ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef uint8_t u8;
typedef uint64_t u64;
typedef unsigned __int128 u128;

typedef struct { u64 l[4]; } fq;
typedef struct { fq a, b; } fq2; /* a + b i */

#include "constants.h"

/* All ones if x != 0, else 0. */
INLINE u64 mask_nonzero(u64 x) { return (u64)0 - ((x | ((u64)0 - x)) >> 63); }

INLINE u64 adc(u64 a, u64 b, u64 *carry)
{
    u128 t = (u128)a + b + *carry;
    *carry = (u64)(t >> 64);
    return (u64)t;
}

INLINE u64 sbb(u64 a, u64 b, u64 *borrow)
{
    u128 t = (u128)a - b - *borrow;
    *borrow = (u64)(t >> 64) & 1;
    return (u64)t;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include "fq_x86.h"
#endif

#ifndef HAVE_FQ_SUMS
/* r = t (with `top` above its 256 bits) - q if that is not negative. */
INLINE void fq_reduce_once(fq *r, const u64 t[4], u64 *top)
{
    u64 d[4], borrow = 0, high;
    for (int i = 0; i < 4; i++) d[i] = sbb(t[i], Q_LIMBS[i], &borrow);
    high = sbb(*top, 0, &borrow);
    u64 keep = (u64)0 - borrow;
    for (int i = 0; i < 4; i++) r->l[i] = (t[i] & keep) | (d[i] & ~keep);
    *top = (*top & keep) | (high & ~keep);
}

INLINE void fq_add(fq *r, const fq *x, const fq *y)
{
    u64 t[4], carry = 0;
    for (int i = 0; i < 4; i++) t[i] = adc(x->l[i], y->l[i], &carry);
    fq_reduce_once(r, t, &carry);
}

INLINE void fq_sub(fq *r, const fq *x, const fq *y)
{
    u64 t[4], borrow = 0, carry = 0;
    for (int i = 0; i < 4; i++) t[i] = sbb(x->l[i], y->l[i], &borrow);
    u64 mask = (u64)0 - borrow;
    for (int i = 0; i < 4; i++) r->l[i] = adc(t[i], Q_LIMBS[i] & mask, &carry);
}

#endif

INLINE u64 fq_is_zero(const fq *x) { return ~mask_nonzero(x->l[0] | x->l[1] | x->l[2] | x->l[3]); }

INLINE u64 fq_equal(const fq *x, const fq *y)
{
    u64 d = 0;
    for (int i = 0; i < 4; i++) d |= x->l[i] ^ y->l[i];
    return ~mask_nonzero(d);
}

INLINE void fq_neg(fq *r, const fq *x)
{
    static const fq zero = {{0, 0, 0, 0}};
    fq_sub(r, &zero, x);
}

/* r = y where mask is all ones. */
INLINE void fq_cmov(fq *r, const fq *y, u64 mask)
{
    for (int i = 0; i < 4; i++) r->l[i] ^= mask & (r->l[i] ^ y->l[i]);
}

#ifndef HAVE_FQ_SOP
/* r = sum of x[j] * y[j] over n <= 6 products, each factor below q, with one Montgomery reduction. */
INLINE void fq_sop(fq *r, const fq *const *x, const fq *const *y, int n)
{
    u64 t[6] = {0, 0, 0, 0, 0, 0};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < n; j++) {
            u64 carry = 0, f = y[j]->l[i];
            for (int k = 0; k < 4; k++) {
                u128 s = (u128)x[j]->l[k] * f + t[k] + carry;
                t[k] = (u64)s;
                carry = (u64)(s >> 64);
            }
            u128 s = (u128)t[4] + carry;
            t[4] = (u64)s;
            t[5] += (u64)(s >> 64);
        }
        u64 m = t[0] * Q_INVERSE;
        u64 carry = (u64)(((u128)m * Q_LIMBS[0] + t[0]) >> 64);
        for (int k = 1; k < 4; k++) {
            u128 s = (u128)m * Q_LIMBS[k] + t[k] + carry;
            t[k - 1] = (u64)s;
            carry = (u64)(s >> 64);
        }
        u128 s = (u128)t[4] + carry;
        t[3] = (u64)s;
        t[4] = t[5] + (u64)(s >> 64);
        t[5] = 0;
    }
    /* below (n + 1) q: n subtractions at most */
    fq out;
    fq_reduce_once(&out, t, &t[4]);
    for (int j = 1; j < n; j++) fq_reduce_once(&out, out.l, &t[4]);
    *r = out;
}
#endif

INLINE void fq_mul(fq *r, const fq *x, const fq *y)
{
    const fq *xs[1] = {x}, *ys[1] = {y};
    fq_sop(r, xs, ys, 1);
}

INLINE void fq_sqr(fq *r, const fq *x) { fq_mul(r, x, x); }

/* r = x^e for a public exponent of 256 bits. */
static void fq_pow(fq *r, const fq *x, const u64 e[4])
{
    fq table[16];
    table[0] = FQ_ONE;
    for (int i = 1; i < 16; i++) fq_mul(&table[i], &table[i - 1], x);
    fq t = FQ_ONE;
    for (int i = 63; i >= 0; i--) {
        for (int j = 0; j < 4; j++) fq_sqr(&t, &t);
        fq_mul(&t, &t, &table[(e[i / 16] >> (4 * (i % 16))) & 15]);
    }
    *r = t;
}

/* 1/x by Fermat; 0 for 0. */
static void fq_inv(fq *r, const fq *x) { fq_pow(r, x, Q_MINUS_2); }

/* Big-endian bytes; returns 0 unless they are below q. */
static int fq_read(fq *r, const u8 in[32])
{
    fq t;
    u64 borrow = 0;
    for (int i = 0; i < 4; i++) {
        u64 v = 0;
        for (int j = 0; j < 8; j++) v = v << 8 | in[8 * (3 - i) + j];
        t.l[i] = v;
    }
    for (int i = 0; i < 4; i++) (void)sbb(t.l[i], Q_LIMBS[i], &borrow);
    fq_mul(r, &t, &FQ_R2);
    return (int)borrow;
}

static void fq_write(u8 out[32], const fq *x)
{
    static const fq plain_one = {{1, 0, 0, 0}};
    fq t;
    fq_mul(&t, x, &plain_one);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 8; j++) out[8 * (3 - i) + j] = (u8)(t.l[i] >> (8 * (7 - j)));
}

/* Fq2 */

INLINE void fq2_add(fq2 *r, const fq2 *x, const fq2 *y)
{
    fq_add(&r->a, &x->a, &y->a);
    fq_add(&r->b, &x->b, &y->b);
}

INLINE void fq2_sub(fq2 *r, const fq2 *x, const fq2 *y)
{
    fq_sub(&r->a, &x->a, &y->a);
    fq_sub(&r->b, &x->b, &y->b);
}

INLINE void fq2_neg(fq2 *r, const fq2 *x)
{
    fq_neg(&r->a, &x->a);
    fq_neg(&r->b, &x->b);
}

INLINE void fq2_conj(fq2 *r, const fq2 *x)
{
    r->a = x->a;
    fq_neg(&r->b, &x->b);
}

INLINE u64 fq2_is_zero(const fq2 *x) { return fq_is_zero(&x->a) & fq_is_zero(&x->b); }
INLINE u64 fq2_equal(const fq2 *x, const fq2 *y) { return fq_equal(&x->a, &y->a) & fq_equal(&x->b, &y->b); }

INLINE void fq2_cmov(fq2 *r, const fq2 *y, u64 mask)
{
    fq_cmov(&r->a, &y->a, mask);
    fq_cmov(&r->b, &y->b, mask);
}

static __attribute__((noinline)) void fq2_mul(fq2 *r, const fq2 *x, const fq2 *y)
{
    fq minus;
    fq2 out;
    fq_neg(&minus, &y->b);
    const fq *xs[2] = {&x->a, &x->b}, *ya[2] = {&y->a, &minus}, *yb[2] = {&y->b, &y->a};
    fq_sop(&out.a, xs, ya, 2);
    fq_sop(&out.b, xs, yb, 2);
    *r = out;
}

/* (a + b)(a - b) + 2ab i */
INLINE void fq2_sqr(fq2 *r, const fq2 *x)
{
    fq s, d, t;
    fq_add(&s, &x->a, &x->b);
    fq_sub(&d, &x->a, &x->b);
    fq_mul(&t, &x->a, &x->b);
    fq_mul(&r->a, &s, &d);
    fq_add(&r->b, &t, &t);
}

INLINE void fq2_scale(fq2 *r, const fq2 *x, const fq *k)
{
    fq_mul(&r->a, &x->a, k);
    fq_mul(&r->b, &x->b, k);
}

/* times XI = 2 + i */
INLINE void fq2_mul_xi(fq2 *r, const fq2 *x)
{
    fq2 t;
    fq_add(&t.a, &x->a, &x->a);
    fq_add(&t.b, &x->b, &x->b);
    fq_sub(&t.a, &t.a, &x->b);
    fq_add(&t.b, &t.b, &x->a);
    *r = t;
}

static void fq2_inv(fq2 *r, const fq2 *x)
{
    fq n, t;
    fq_sqr(&n, &x->a);
    fq_sqr(&t, &x->b);
    fq_add(&n, &n, &t);
    fq_inv(&n, &n);
    fq_mul(&r->a, &x->a, &n);
    fq_neg(&n, &n);
    fq_mul(&r->b, &x->b, &n);
}

static int fq2_read(fq2 *r, const u8 in[64]) { return fq_read(&r->a, in) & fq_read(&r->b, in + 32); }

static void fq2_write(u8 out[64], const fq2 *x)
{
    fq_write(out, &x->a);
    fq_write(out + 32, &x->b);
}

/* Overwrites secrets in a way that the compiler may not leave out. */
static void wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

#endif
