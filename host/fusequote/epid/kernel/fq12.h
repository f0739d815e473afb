/* Fq12 = Fq6[w]/(w^2 - v), Fq6 = Fq2[v]/(v^3 - XI), in the order of the wire; the final exponentiation. Straight-line. */
#ifndef FUSEQUOTE_EPID_FQ12_H
#define FUSEQUOTE_EPID_FQ12_H

#include "fq.h"

typedef struct { fq2 c[3]; } fq6;
typedef struct { fq6 lo, hi; } fq12; /* lo + hi w */

static void fq6_add(fq6 *r, const fq6 *x, const fq6 *y)
{
    for (int i = 0; i < 3; i++) fq2_add(&r->c[i], &x->c[i], &y->c[i]);
}

static void fq6_sub(fq6 *r, const fq6 *x, const fq6 *y)
{
    for (int i = 0; i < 3; i++) fq2_sub(&r->c[i], &x->c[i], &y->c[i]);
}

/* times v */
static void fq6_mul_v(fq6 *r, const fq6 *x)
{
    fq2 t;
    fq2_mul_xi(&t, &x->c[2]);
    r->c[2] = x->c[1];
    r->c[1] = x->c[0];
    r->c[0] = t;
}

/* r = x0 y0 + x1 y1 + x2 y2 in Fq2, with one reduction for each of its two coefficients */
static __attribute__((noinline)) void fq2_sop3(fq2 *r, const fq2 *x0, const fq2 *y0, const fq2 *x1, const fq2 *y1,
                                               const fq2 *x2, const fq2 *y2)
{
    fq m0, m1, m2;
    fq2 out;
    fq_neg(&m0, &y0->b);
    fq_neg(&m1, &y1->b);
    fq_neg(&m2, &y2->b);
    const fq *xs[6] = {&x0->a, &x0->b, &x1->a, &x1->b, &x2->a, &x2->b};
    const fq *ya[6] = {&y0->a, &m0, &y1->a, &m1, &y2->a, &m2};
    const fq *yb[6] = {&y0->b, &y0->a, &y1->b, &y1->a, &y2->b, &y2->a};
    fq_sop(&out.a, xs, ya, 6);
    fq_sop(&out.b, xs, yb, 6);
    *r = out;
}

static void fq6_mul(fq6 *r, const fq6 *x, const fq6 *y)
{
    fq2 x1, x2;
    fq6 t;
    fq2_mul_xi(&x1, &x->c[1]);
    fq2_mul_xi(&x2, &x->c[2]);
    fq2_sop3(&t.c[0], &x->c[0], &y->c[0], &x1, &y->c[2], &x2, &y->c[1]);
    fq2_sop3(&t.c[1], &x->c[0], &y->c[1], &x->c[1], &y->c[0], &x2, &y->c[2]);
    fq2_sop3(&t.c[2], &x->c[0], &y->c[2], &x->c[1], &y->c[1], &x->c[2], &y->c[0]);
    *r = t;
}

static void fq12_mul(fq12 *r, const fq12 *x, const fq12 *y)
{
    fq6 l, h, s, t;
    fq6_mul(&l, &x->lo, &y->lo);
    fq6_mul(&h, &x->hi, &y->hi);
    fq6_add(&s, &x->lo, &x->hi);
    fq6_add(&t, &y->lo, &y->hi);
    fq6_mul(&s, &s, &t);
    fq6_sub(&s, &s, &l);
    fq6_sub(&r->hi, &s, &h);
    fq6_mul_v(&h, &h);
    fq6_add(&r->lo, &l, &h);
}

/* (lo + hi)(lo + v hi) = lo^2 + v hi^2 + (1 + v) lo hi */
static void fq12_sqr(fq12 *r, const fq12 *x)
{
    fq6 m, s, t;
    fq6_mul(&m, &x->lo, &x->hi);
    fq6_mul_v(&t, &x->hi);
    fq6_add(&t, &t, &x->lo);
    fq6_add(&s, &x->lo, &x->hi);
    fq6_mul(&s, &s, &t);
    fq6_sub(&s, &s, &m);
    fq6_add(&r->hi, &m, &m);
    fq6_mul_v(&m, &m);
    fq6_sub(&r->lo, &s, &m);
}

/* r = x0 y0 + x1 y1 */
static __attribute__((noinline)) void fq2_sop2(fq2 *r, const fq2 *x0, const fq2 *y0, const fq2 *x1, const fq2 *y1)
{
    fq m0, m1;
    fq2 out;
    fq_neg(&m0, &y0->b);
    fq_neg(&m1, &y1->b);
    const fq *xs[4] = {&x0->a, &x0->b, &x1->a, &x1->b};
    const fq *ya[4] = {&y0->a, &m0, &y1->a, &m1}, *yb[4] = {&y0->b, &y0->a, &y1->b, &y1->a};
    fq_sop(&out.a, xs, ya, 4);
    fq_sop(&out.b, xs, yb, 4);
    *r = out;
}

/* x (b + d v) in Fq6 */
static void fq6_mul_sparse(fq6 *r, const fq6 *x, const fq2 *b, const fq2 *d)
{
    fq2 t;
    fq6 out;
    fq2_mul_xi(&t, &x->c[2]);
    fq2_sop2(&out.c[0], &x->c[0], b, &t, d);
    fq2_sop2(&out.c[1], &x->c[0], d, &x->c[1], b);
    fq2_sop2(&out.c[2], &x->c[1], d, &x->c[2], b);
    *r = out;
}

/* x (1 + b w + d w^3), the shape of every line of the pairing */
static void fq12_mul_line(fq12 *x, const fq2 *b, const fq2 *d)
{
    fq6 g, h;
    fq6_mul_sparse(&g, &x->hi, b, d);
    fq6_mul_sparse(&h, &x->lo, b, d);
    fq6_mul_v(&g, &g);
    fq6_add(&x->lo, &x->lo, &g);
    fq6_add(&x->hi, &x->hi, &h);
}

static void fq12_conj(fq12 *r, const fq12 *x)
{
    r->lo = x->lo;
    for (int i = 0; i < 3; i++) fq2_neg(&r->hi.c[i], &x->hi.c[i]);
}

static u64 fq12_equal(const fq12 *x, const fq12 *y)
{
    u64 same = ~(u64)0;
    for (int i = 0; i < 3; i++)
        same &= fq2_equal(&x->lo.c[i], &y->lo.c[i]) & fq2_equal(&x->hi.c[i], &y->hi.c[i]);
    return same;
}

/* x^(q^k), k = 1, 2, 3: w^i gets the factor XI^(i (q^k - 1) / 6) */
static void fq12_frobenius(fq12 *r, const fq12 *x, int k)
{
    for (int i = 0; i < 6; i++) {
        const fq2 *in = i & 1 ? &x->hi.c[i / 2] : &x->lo.c[i / 2];
        fq2 *out = i & 1 ? &r->hi.c[i / 2] : &r->lo.c[i / 2];
        fq2 t = *in;
        if (k & 1) fq2_conj(&t, &t);
        fq2_mul(out, &t, &FROBENIUS[k][i]);
    }
}

/* 1/x through the norms to Fq6 and Fq2; 0 for 0 */
static void fq12_inv(fq12 *r, const fq12 *x)
{
    fq6 n, t, c;
    fq2 d, e;
    fq6_mul(&n, &x->lo, &x->lo);
    fq6_mul(&t, &x->hi, &x->hi);
    fq6_mul_v(&t, &t);
    fq6_sub(&n, &n, &t);
    /* 1 / (n0 + n1 v + n2 v^2) */
    fq2_sqr(&c.c[0], &n.c[0]);
    fq2_mul(&d, &n.c[1], &n.c[2]);
    fq2_mul_xi(&d, &d);
    fq2_sub(&c.c[0], &c.c[0], &d);
    fq2_sqr(&c.c[1], &n.c[2]);
    fq2_mul_xi(&c.c[1], &c.c[1]);
    fq2_mul(&d, &n.c[0], &n.c[1]);
    fq2_sub(&c.c[1], &c.c[1], &d);
    fq2_sqr(&c.c[2], &n.c[1]);
    fq2_mul(&d, &n.c[0], &n.c[2]);
    fq2_sub(&c.c[2], &c.c[2], &d);
    fq2_mul(&d, &n.c[2], &c.c[1]);
    fq2_mul(&e, &n.c[1], &c.c[2]);
    fq2_add(&d, &d, &e);
    fq2_mul_xi(&d, &d);
    fq2_mul(&e, &n.c[0], &c.c[0]);
    fq2_add(&d, &d, &e);
    fq2_inv(&d, &d);
    for (int i = 0; i < 3; i++) fq2_mul(&c.c[i], &c.c[i], &d);
    fq12 out;
    fq12_conj(&out, x);
    fq6_mul(&r->lo, &out.lo, &c);
    fq6_mul(&r->hi, &out.hi, &c);
}

/* (x + y s)^2 = x^2 + XI y^2 + 2 x y s, in Fq4 = Fq2[s]/(s^2 - XI) */
INLINE void fq4_sqr(fq2 *re, fq2 *im, const fq2 *x, const fq2 *y)
{
    fq2 xx, yy, s;
    fq2_sqr(&xx, x);
    fq2_sqr(&yy, y);
    fq2_add(&s, x, y);
    fq2_sqr(&s, &s);
    fq2_sub(&s, &s, &xx);
    fq2_sub(im, &s, &yy);
    fq2_mul_xi(&yy, &yy);
    fq2_add(re, &xx, &yy);
}

/* r = 3 t - 2 x (sign < 0) or 3 t + 2 x */
INLINE void three_two(fq2 *r, const fq2 *t, const fq2 *x, int sign)
{
    fq2 d;
    if (sign < 0) fq2_sub(&d, t, x);
    else fq2_add(&d, t, x);
    fq2_add(&d, &d, &d);
    fq2_add(r, &d, t);
}

/* Granger and Scott's square of a cyclotomic element */
static void fq12_cyclotomic_sqr(fq12 *r, const fq12 *x)
{
    fq2 t0, t1, t2, t3, t4, t5;
    fq4_sqr(&t0, &t1, &x->lo.c[0], &x->hi.c[1]);
    fq4_sqr(&t2, &t3, &x->hi.c[0], &x->lo.c[2]);
    fq4_sqr(&t4, &t5, &x->lo.c[1], &x->hi.c[2]);
    fq2_mul_xi(&t5, &t5);
    three_two(&r->lo.c[0], &t0, &x->lo.c[0], -1);
    three_two(&r->lo.c[1], &t2, &x->lo.c[1], -1);
    three_two(&r->lo.c[2], &t4, &x->lo.c[2], -1);
    three_two(&r->hi.c[0], &t5, &x->hi.c[0], 1);
    three_two(&r->hi.c[1], &t1, &x->hi.c[1], 1);
    three_two(&r->hi.c[2], &t3, &x->hi.c[2], 1);
}

/* x^U of a cyclotomic element; U is negative and public */
static void fq12_cyclotomic_pow_u(fq12 *r, const fq12 *x)
{
    fq12 inverse, t;
    fq12_conj(&inverse, x);
    t = inverse;
    for (int i = T_NAF_LENGTH - 2; i >= 0; i--) {
        fq12_cyclotomic_sqr(&t, &t);
        if (T_NAF[i]) fq12_mul(&t, &t, T_NAF[i] > 0 ? &inverse : x);
    }
    *r = t;
}

/* x^((q^12 - 1) / p), exactly that exponent (chain of Scott and others, 2009) */
static void fq12_final_exponentiation(fq12 *r, const fq12 *x)
{
    fq12 f, fu, fu2, fu3, y0, y1, y2, y3, y4, y5, y6, t;
    fq12_inv(&t, x);
    fq12_conj(&f, x);
    fq12_mul(&f, &f, &t);
    fq12_frobenius(&t, &f, 2);
    fq12_mul(&f, &t, &f);
    fq12_cyclotomic_pow_u(&fu, &f);
    fq12_cyclotomic_pow_u(&fu2, &fu);
    fq12_cyclotomic_pow_u(&fu3, &fu2);
    fq12_frobenius(&y0, &f, 1);
    fq12_frobenius(&t, &f, 2);
    fq12_mul(&y0, &y0, &t);
    fq12_frobenius(&t, &f, 3);
    fq12_mul(&y0, &y0, &t);
    fq12_conj(&y1, &f);
    fq12_frobenius(&y2, &fu2, 2);
    fq12_frobenius(&t, &fu, 1);
    fq12_conj(&y3, &t);
    fq12_frobenius(&t, &fu2, 1);
    fq12_mul(&t, &t, &fu);
    fq12_conj(&y4, &t);
    fq12_conj(&y5, &fu2);
    fq12_frobenius(&t, &fu3, 1);
    fq12_mul(&t, &t, &fu3);
    fq12_conj(&y6, &t);
    /* y0 y1^2 y2^6 y3^12 y4^18 y5^30 y6^36 */
    fq12 a, b;
    fq12_cyclotomic_sqr(&a, &y6);
    fq12_mul(&a, &a, &y4);
    fq12_mul(&a, &a, &y5);
    fq12_mul(&b, &y3, &y5);
    fq12_mul(&b, &b, &a);
    fq12_mul(&a, &a, &y2);
    fq12_cyclotomic_sqr(&b, &b);
    fq12_mul(&b, &b, &a);
    fq12_cyclotomic_sqr(&b, &b);
    fq12_mul(&a, &b, &y1);
    fq12_mul(&b, &b, &y0);
    fq12_cyclotomic_sqr(&a, &a);
    fq12_mul(r, &a, &b);
}

static int fq12_read(fq12 *r, const u8 in[384])
{
    int ok = 1;
    for (int i = 0; i < 3; i++) {
        ok &= fq2_read(&r->lo.c[i], in + 64 * i);
        ok &= fq2_read(&r->hi.c[i], in + 192 + 64 * i);
    }
    return ok;
}

static void fq12_write(u8 out[384], const fq12 *x)
{
    for (int i = 0; i < 3; i++) {
        fq2_write(out + 64 * i, &x->lo.c[i]);
        fq2_write(out + 192 + 64 * i, &x->hi.c[i]);
    }
}

#endif
