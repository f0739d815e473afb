/* x86-64 assembly under Fq: sums for every CPU, products for those with BMI2 and ADX (Broadwell and later).
 *
 * Compilers make poor use of the carry flag; these few blocks are worth a factor of three to four. They do what the C
 * beside them in fq.h does, without a branch, and the tests run both against the same vectors.
 */
#ifndef FUSEQUOTE_EPID_FQ_X86_H
#define FUSEQUOTE_EPID_FQ_X86_H

#define HAVE_FQ_SUMS 1

/* r = (top, t) - q if that is not negative; updates top. */
INLINE void fq_reduce_once(fq *r, const u64 t[4], u64 *top)
{
    u64 a = t[0], b = t[1], c = t[2], d = t[3], e = *top, v = a, w = b, x = c, y = d, z = e;
    __asm__("subq %[q0], %[a]\n\t"
            "sbbq %[q1], %[b]\n\t"
            "sbbq %[q2], %[c]\n\t"
            "sbbq %[q3], %[d]\n\t"
            "sbbq $0, %[e]\n\t"
            "cmovcq %[v], %[a]\n\t"
            "cmovcq %[w], %[b]\n\t"
            "cmovcq %[x], %[c]\n\t"
            "cmovcq %[y], %[d]\n\t"
            "cmovcq %[z], %[e]"
            : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c), [d] "+&r"(d), [e] "+&r"(e)
            : [v] "r"(v), [w] "r"(w), [x] "r"(x), [y] "r"(y), [z] "r"(z), [q0] "m"(Q_LIMBS[0]), [q1] "m"(Q_LIMBS[1]),
              [q2] "m"(Q_LIMBS[2]), [q3] "m"(Q_LIMBS[3])
            : "cc");
    r->l[0] = a;
    r->l[1] = b;
    r->l[2] = c;
    r->l[3] = d;
    *top = e;
}

INLINE void fq_add(fq *r, const fq *p, const fq *q)
{
    u64 a = p->l[0], b = p->l[1], c = p->l[2], d = p->l[3], e = 0, v, w, x, y;
    __asm__("addq %[p0], %[a]\n\t"
            "adcq %[p1], %[b]\n\t"
            "adcq %[p2], %[c]\n\t"
            "adcq %[p3], %[d]\n\t"
            "adcq $0, %[e]\n\t"
            "movq %[a], %[v]\n\t"
            "movq %[b], %[w]\n\t"
            "movq %[c], %[x]\n\t"
            "movq %[d], %[y]\n\t"
            "subq %[q0], %[a]\n\t"
            "sbbq %[q1], %[b]\n\t"
            "sbbq %[q2], %[c]\n\t"
            "sbbq %[q3], %[d]\n\t"
            "sbbq $0, %[e]\n\t"
            "cmovcq %[v], %[a]\n\t"
            "cmovcq %[w], %[b]\n\t"
            "cmovcq %[x], %[c]\n\t"
            "cmovcq %[y], %[d]"
            : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c), [d] "+&r"(d), [e] "+&r"(e), [v] "=&r"(v), [w] "=&r"(w),
              [x] "=&r"(x), [y] "=&r"(y)
            : [p0] "m"(q->l[0]), [p1] "m"(q->l[1]), [p2] "m"(q->l[2]), [p3] "m"(q->l[3]), [q0] "m"(Q_LIMBS[0]),
              [q1] "m"(Q_LIMBS[1]), [q2] "m"(Q_LIMBS[2]), [q3] "m"(Q_LIMBS[3])
            : "cc");
    r->l[0] = a;
    r->l[1] = b;
    r->l[2] = c;
    r->l[3] = d;
}

INLINE void fq_sub(fq *r, const fq *p, const fq *q)
{
    u64 a = p->l[0], b = p->l[1], c = p->l[2], d = p->l[3];
    u64 v = Q_LIMBS[0], w = Q_LIMBS[1], x = Q_LIMBS[2], y = Q_LIMBS[3], zero = 0;
    __asm__("subq %[p0], %[a]\n\t"
            "sbbq %[p1], %[b]\n\t"
            "sbbq %[p2], %[c]\n\t"
            "sbbq %[p3], %[d]\n\t"
            "cmovncq %[zero], %[v]\n\t"
            "cmovncq %[zero], %[w]\n\t"
            "cmovncq %[zero], %[x]\n\t"
            "cmovncq %[zero], %[y]\n\t"
            "addq %[v], %[a]\n\t"
            "adcq %[w], %[b]\n\t"
            "adcq %[x], %[c]\n\t"
            "adcq %[y], %[d]"
            : [a] "+&r"(a), [b] "+&r"(b), [c] "+&r"(c), [d] "+&r"(d), [v] "+&r"(v), [w] "+&r"(w), [x] "+&r"(x),
              [y] "+&r"(y)
            : [p0] "m"(q->l[0]), [p1] "m"(q->l[1]), [p2] "m"(q->l[2]), [p3] "m"(q->l[3]), [zero] "r"(zero)
            : "cc");
    r->l[0] = a;
    r->l[1] = b;
    r->l[2] = c;
    r->l[3] = d;
}

#ifdef FUSEQUOTE_EPID_ADX
#define HAVE_FQ_SOP 1

/* (t0 .. t5) += x * f, two carry chains side by side */
#define MUL_ADD(t0, t1, t2, t3, t4, t5, x0, x1, x2, x3, f)                                                             \
    do {                                                                                                               \
        u64 lo_, hi_;                                                                                                  \
        __asm__("xorl %k[lo], %k[lo]\n\t"                                                                              \
                "mulxq %[a], %[lo], %[hi]\n\t"                                                                         \
                "adcxq %[lo], %[r0]\n\t"                                                                               \
                "adoxq %[hi], %[r1]\n\t"                                                                               \
                "mulxq %[b], %[lo], %[hi]\n\t"                                                                         \
                "adcxq %[lo], %[r1]\n\t"                                                                               \
                "adoxq %[hi], %[r2]\n\t"                                                                               \
                "mulxq %[c], %[lo], %[hi]\n\t"                                                                         \
                "adcxq %[lo], %[r2]\n\t"                                                                               \
                "adoxq %[hi], %[r3]\n\t"                                                                               \
                "mulxq %[d], %[lo], %[hi]\n\t"                                                                         \
                "adcxq %[lo], %[r3]\n\t"                                                                               \
                "adoxq %[hi], %[r4]\n\t"                                                                               \
                "movl $0, %k[lo]\n\t"                                                                                  \
                "adcxq %[lo], %[r4]\n\t"                                                                               \
                "adoxq %[lo], %[r5]\n\t"                                                                               \
                "adcxq %[lo], %[r5]"                                                                                   \
                : [r0] "+&r"(t0), [r1] "+&r"(t1), [r2] "+&r"(t2), [r3] "+&r"(t3), [r4] "+&r"(t4), [r5] "+&r"(t5),      \
                  [lo] "=&r"(lo_), [hi] "=&r"(hi_)                                                                     \
                : [a] "m"(x0), [b] "m"(x1), [c] "m"(x2), [d] "m"(x3), "d"(f)                                           \
                : "cc");                                                                                               \
    } while (0)

/* all products of limb i, then one step of the reduction, which leaves t0 = 0 to be the next t5 */
#define SOP_STEP(t0, t1, t2, t3, t4, t5, i)                                                                            \
    do {                                                                                                               \
        for (int j = 0; j < n; j++)                                                                                    \
            MUL_ADD(t0, t1, t2, t3, t4, t5, x[j]->l[0], x[j]->l[1], x[j]->l[2], x[j]->l[3], y[j]->l[i]);               \
        u64 m_ = t0 * Q_INVERSE;                                                                                       \
        MUL_ADD(t0, t1, t2, t3, t4, t5, Q_LIMBS[0], Q_LIMBS[1], Q_LIMBS[2], Q_LIMBS[3], m_);                           \
    } while (0)

INLINE void fq_sop(fq *r, const fq *const *x, const fq *const *y, int n)
{
    u64 a = 0, b = 0, c = 0, d = 0, e = 0, f = 0;
    SOP_STEP(a, b, c, d, e, f, 0);
    SOP_STEP(b, c, d, e, f, a, 1);
    SOP_STEP(c, d, e, f, a, b, 2);
    SOP_STEP(d, e, f, a, b, c, 3);
    u64 t[4] = {e, f, a, b}, top = c;
    for (int j = 0; j < n; j++) {
        fq_reduce_once(r, t, &top);
        for (int k = 0; k < 4; k++) t[k] = r->l[k];
    }
}
#endif

#endif
