/* The optimal ate pairing from precomputed lines. Straight-line in the point of G1. */
#ifndef FUSEQUOTE_EPID_PAIRING_H
#define FUSEQUOTE_EPID_PAIRING_H

#include "groups.h"

/* A line through points of the twist with slope s: s and s x - y. */
typedef struct { fq2 s, n; } line;
typedef struct { line l[LINES]; } g2_lines;

/* r = a + b for affine points of the twist, with the line through them; 0 if it is vertical. May be the tangent. */
static int line_step(line *l, fq2 *rx, fq2 *ry, const fq2 *ax, const fq2 *ay, const fq2 *bx, const fq2 *by)
{
    fq2 num, den, t;
    if (fq2_equal(ax, bx)) {
        if (!fq2_equal(ay, by) || fq2_is_zero(ay)) return 0;
        fq2_sqr(&t, ax);
        fq2_add(&num, &t, &t);
        fq2_add(&num, &num, &t);
        fq2_add(&den, ay, ay);
    } else {
        fq2_sub(&num, by, ay);
        fq2_sub(&den, bx, ax);
    }
    fq2_inv(&den, &den);
    fq2_mul(&l->s, &num, &den);
    fq2_mul(&t, &l->s, ax);
    fq2_sub(&l->n, &t, ay);
    fq2_sqr(&t, &l->s);
    fq2_sub(&t, &t, ax);
    fq2_sub(&t, &t, bx);
    fq2_mul(&num, &l->s, &t);
    *rx = t;
    fq2_sub(ry, &l->n, &num);
    return 1;
}

/* The lines of an affine point (public); 0 if the point's order is too small for the loop. */
static int lines_of(g2_lines *out, const g2 *q)
{
    fq2 x = q->x, y = q->y, minus, fx, fy;
    line *l = out->l;
    fq2_neg(&minus, &q->y);
    for (int i = LOOP_LENGTH - 2; i >= 0; i--) {
        if (!line_step(l++, &x, &y, &x, &y, &x, &y)) return 0;
        if (LOOP[i] && !line_step(l++, &x, &y, &x, &y, &q->x, LOOP[i] > 0 ? &q->y : &minus)) return 0;
    }
    fq2_neg(&y, &y); /* 6 U + 2 is negative */
    twist_frobenius(&fx, &fy, &q->x, &q->y);
    if (!line_step(l++, &x, &y, &x, &y, &fx, &fy)) return 0;
    twist_frobenius(&fx, &fy, &fx, &fy);
    fq2_neg(&fy, &fy);
    return line_step(l, &x, &y, &x, &y, &fx, &fy);
}

typedef struct {
    fq xy, iy; /* -X/Y, 1/Y */
    const line *next;
} pair;

INLINE void absorb(fq12 *f, pair *pairs, size_t n)
{
    fq2 b, d;
    for (size_t m = 0; m < n; m++) {
        fq2_scale(&b, &pairs[m].next->s, &pairs[m].xy);
        fq2_scale(&d, &pairs[m].next->n, &pairs[m].iy);
        pairs[m].next++;
        fq12_mul_line(f, &b, &d);
    }
}

/* Product of e(P, Q) over affine points P, none the identity, and lines of Q. */
static void pairing_product(fq12 *r, pair *pairs, size_t n)
{
    fq12 f;
    gt_set_one(&f);
    for (int i = LOOP_LENGTH - 2; i >= 0; i--) {
        fq12_sqr(&f, &f);
        absorb(&f, pairs, n);
        if (LOOP[i]) absorb(&f, pairs, n);
    }
    fq12_conj(&f, &f);
    absorb(&f, pairs, n);
    absorb(&f, pairs, n);
    fq12_final_exponentiation(r, &f);
    wipe(&f, sizeof f);
}

static void pair_set(pair *out, const g1 *p, const g2_lines *lines)
{
    fq_inv(&out->iy, &p->y);
    fq_mul(&out->xy, &p->x, &out->iy);
    fq_neg(&out->xy, &out->xy);
    out->next = lines->l;
}

#endif
