/* Exponents: splitting over the endomorphisms and recoding into windows. The secret ones without branches.
 *
 * An exponent k minus its nearest vector of a lattice is a short vector that means the same (Babai's rounding). The
 * rounding is by fixed point: n_j = floor(k C_j / 2^S) with C_j = 2^S (cofactor / determinant) from constants.h, off by
 * less than one, which makes the parts longer by a bit at most. Parts are two's complement numbers of 192 bits.
 */
#ifndef FUSEQUOTE_EPID_SCALAR_H
#define FUSEQUOTE_EPID_SCALAR_H

#include "fq.h"

typedef struct part part; /* in constants.h */

static void scalar_read(u64 k[4], const u8 in[32])
{
    for (int i = 0; i < 4; i++) {
        k[i] = 0;
        for (int j = 0; j < 8; j++) k[i] = k[i] << 8 | in[8 * (3 - i) + j];
    }
}

/* n = floor(k c / 2^(64 shift)), its low 192 bits */
static void scaled(part *n, const u64 k[4], const u64 c[5], int shift)
{
    u64 t[9] = {0};
    for (int i = 0; i < 4; i++) {
        u64 carry = 0;
        for (int j = 0; j < 5; j++) {
            u128 s = (u128)k[i] * c[j] + t[i + j] + carry;
            t[i + j] = (u64)s;
            carry = (u64)(s >> 64);
        }
        t[i + 5] = carry;
    }
    for (int i = 0; i < 3; i++) n->l[i] = shift + i < 9 ? t[shift + i] : 0;
    wipe(t, sizeof t);
}

/* r -= x y mod 2^192 */
static void part_sub_mul(part *r, const part *x, const part *y)
{
    u64 t[3] = {0}, borrow = 0;
    for (int i = 0; i < 3; i++) {
        u64 carry = 0;
        for (int j = 0; i + j < 3; j++) {
            u128 s = (u128)x->l[i] * y->l[j] + t[i + j] + carry;
            t[i + j] = (u64)s;
            carry = (u64)(s >> 64);
        }
    }
    for (int i = 0; i < 3; i++) r->l[i] = sbb(r->l[i], t[i], &borrow);
}

/* The `dimension` short parts of k. The sign of C_j is in the rows of the basis. */
INLINE void split(part *out, const u64 k[4], int dimension, const u64 (*c)[5], const part *basis, int shift)
{
    memset(out, 0, (size_t)dimension * sizeof *out);
    memcpy(out[0].l, k, sizeof out[0].l);
    for (int j = 0; j < dimension; j++) {
        part n;
        scaled(&n, k, c[j], shift);
        for (int i = 0; i < dimension; i++) part_sub_mul(&out[i], &n, &basis[j * dimension + i]);
        wipe(&n, sizeof n);
    }
}

static void split_g1(part out[2], const u64 k[4]) { split(out, k, 2, G1_SPLIT, G1_BASIS, SPLIT_SHIFT); }
static void split_gt(part out[4], const u64 k[4]) { split(out, k, 4, GT_SPLIT, GT_BASIS, SPLIT_SHIFT); }

/* Fixed windows: k = sum d[i] 2^(width i) with d in -2^(width-1) .. 2^(width-1) - 1. Adding 2^(width-1) to every digit
 * makes them plain bits. */
INLINE void windows(int8_t *d, const part *k, int count, int width)
{
    part t, halves = {{0, 0, 0}};
    u64 carry = 0;
    for (int i = 0; i < count; i++) {
        int at = width * i + width - 1;
        halves.l[at / 64] |= (u64)1 << at % 64;
    }
    for (int i = 0; i < 3; i++) t.l[i] = adc(k->l[i], halves.l[i], &carry);
    for (int i = 0; i < count; i++) {
        d[i] = (int8_t)((int)(t.l[0] & (((u64)1 << width) - 1)) - (1 << (width - 1)));
        t.l[0] = t.l[0] >> width | t.l[1] << (64 - width);
        t.l[1] = t.l[1] >> width | t.l[2] << (64 - width);
        t.l[2] >>= width;
    }
    wipe(&t, sizeof t);
}

enum { G1_WIDTH = 4, G1_WINDOWS = 33, GT_WIDTH = 5, GT_WINDOWS = 14, PART_BITS = 140 };

/* Sliding windows for public exponents: odd digits below 2^(width - 1), most of them 0. Returns their number. */
static int sliding(int8_t d[PART_BITS], const part *k, int width)
{
    u64 sign = (u64)0 - (k->l[2] >> 63), carry = sign & 1, t[3];
    int n = 0, bits = 0;
    for (int i = 0; i < 3; i++) t[i] = adc(k->l[i] ^ sign, 0, &carry);
    memset(d, 0, PART_BITS);
    for (bits = 0; (t[0] | t[1] | t[2]) && bits < PART_BITS; bits++) {
        if (t[0] & 1) {
            int v = (int)(t[0] & ((1u << width) - 1));
            if (v >> (width - 1)) v -= 1 << width;
            d[bits] = (int8_t)(sign ? -v : v);
            n = bits + 1;
            if (v > 0) t[0] -= (u64)v;
            else {
                u64 c = 0;
                t[0] = adc(t[0], (u64)-v, &c);
                t[1] = adc(t[1], 0, &c);
                t[2] = adc(t[2], 0, &c);
            }
        }
        t[0] = t[0] >> 1 | t[1] << 63;
        t[1] = t[1] >> 1 | t[2] << 63;
        t[2] >>= 1;
    }
    return n;
}

#endif
