/* SPDX-License-Identifier: MIT */
/*
 * Field tables: how a validated JSON object becomes a C struct. A row a member; a member that the
 * object lacks keeps what the struct held (its default).
 *
 *	static const struct field blk_fields[] = {
 *		FIELD_FD("path", struct blk_cfg, fd),
 *		FIELD_BOOL("readonly", struct blk_cfg, readonly),
 *		FIELD_STR("serial", struct blk_cfg, serial),
 *		FIELD_END,
 *	};
 */
#ifndef LIB_FIELD_H
#define LIB_FIELD_H

#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/json.h"

enum field_type {
	FIELD_TYPE_END,
	FIELD_TYPE_BOOL, /* bool */
	FIELD_TYPE_U32,	 /* uint32_t */
	FIELD_TYPE_U64,	 /* uint64_t */
	FIELD_TYPE_STR,	 /* char[size]; too long is an error */
	FIELD_TYPE_ENUM, /* int: index in names */
	FIELD_TYPE_FD,	 /* int: {"fd": index} into the fdset; the struct owns it then */
	FIELD_TYPE_FDS, /* int[]: an array of {"fd": index}, owned like one; what is behind the last keeps its -1 */
	FIELD_TYPE_JSON, /* struct json_object *: borrowed from the object */
	FIELD_TYPE_LIST, /* struct field_list: an array of objects, each bound by a table of its own */
};

/* The structs of a list; owned: field_fini. */
struct field_list {
	void *items;
	size_t n;
};

struct field {
	const char *name;
	enum field_type type;
	size_t offset, size;
	const char *const *names; /* FIELD_TYPE_ENUM: NULL-terminated */
	/* FIELD_TYPE_LIST: of one item, how large it is, and how many there may be */
	const struct field *item;
	size_t item_size, most;
};

#define FIELD_ROW(n, t, s, m) \
	.name = (n), .type = (t), .offset = offsetof(s, m), .size = sizeof(((s *)0)->m)
#define FIELD_BOOL(n, s, m)                         \
	{                                           \
		FIELD_ROW(n, FIELD_TYPE_BOOL, s, m) \
	}
#define FIELD_U32(n, s, m)                         \
	{                                          \
		FIELD_ROW(n, FIELD_TYPE_U32, s, m) \
	}
#define FIELD_U64(n, s, m)                         \
	{                                          \
		FIELD_ROW(n, FIELD_TYPE_U64, s, m) \
	}
#define FIELD_STR(n, s, m)                         \
	{                                          \
		FIELD_ROW(n, FIELD_TYPE_STR, s, m) \
	}
#define FIELD_ENUM(n, s, m, e)                                    \
	{                                                         \
		FIELD_ROW(n, FIELD_TYPE_ENUM, s, m), .names = (e) \
	}
#define FIELD_FD(n, s, m)                         \
	{                                         \
		FIELD_ROW(n, FIELD_TYPE_FD, s, m) \
	}
#define FIELD_FDS(n, s, m)                         \
	{                                          \
		FIELD_ROW(n, FIELD_TYPE_FDS, s, m) \
	}
#define FIELD_JSON(n, s, m)                         \
	{                                           \
		FIELD_ROW(n, FIELD_TYPE_JSON, s, m) \
	}
#define FIELD_LIST(n, s, m, i, f, max)                                                    \
	{                                                                                 \
		FIELD_ROW(n, FIELD_TYPE_LIST, s, m), .item = (f), .item_size = sizeof(i), \
						     .most = (max)                        \
	}
#define FIELD_END                      \
	{                              \
		.type = FIELD_TYPE_END \
	}

/* Before a first field_bind, of a struct that is all zero: its descriptors are -1. */
void field_init(const struct field *fields, void *out);
/* Close the descriptors that are not taken (TAKE_FD), free the lists. */
void field_fini(const struct field *fields, void *out);

/*
 * Bind o's members to out by the table. fds may be NULL when the table has no FIELD_FD. Members without
 * a row are refused (-ERR_INVALID, named), except those in `ignore` (NULL-terminated, may be NULL).
 * On failure out may be partly filled; field_fini is still the caller's to call.
 */
int field_bind(const struct field *fields, struct json_object *o, void *out, struct fdset *fds,
	       const char *const *ignore, struct err *e);

#endif
