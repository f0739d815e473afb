/* The kernel again, for x86-64 processors with BMI2 and ADX; empty elsewhere. The loader chooses at run time. */
#if defined(__x86_64__) && defined(__GNUC__)
#define FUSEQUOTE_EPID_ADX 1
#include "kernel.c"
#else
typedef int epid_no_adx;
#endif
