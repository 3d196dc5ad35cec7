/* SPDX-License-Identifier: MIT */
/* Small language helpers that every module may use. */
#ifndef LIB_UTIL_H
#define LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/param.h> /* MIN, MAX */

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define BIT(n) (1u << (n))
#define BIT64(n) (1ull << (n))

#define KIB (1024ull)
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

/* Sums and products of guest or user numbers: true when the result is exact, *ret only then. */
#define checked_add(a, b, ret) (!__builtin_add_overflow(a, b, ret))
#define checked_mul(a, b, ret) (!__builtin_mul_overflow(a, b, ret))

/* align is a power of two */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return align_down(v + align - 1, align);
}

static inline bool is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* true when [off, off + len) lies inside of [0, size), without overflow */
static inline bool range_fits(uint64_t off, uint64_t len, uint64_t size)
{
	return off <= size && len <= size - off;
}

#endif
