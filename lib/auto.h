/* SPDX-License-Identifier: MIT */
/*
 * Scoped release: AUTO_FREE char *p = ...; AUTO_CLOSE int fd = -1; AUTO_JSON struct json_object *o.
 * Hand ownership on with TAKE_PTR(p) / TAKE_FD(fd), which leave NULL / -1 behind.
 */
#ifndef LIB_AUTO_H
#define LIB_AUTO_H

#include <stdlib.h>
#include <unistd.h>
#include <json-c/json.h>

static inline void auto_free(void *p)
{
	free(*(void **)p);
}

static inline void auto_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void auto_json(struct json_object **o)
{
	json_object_put(*o);
}

#define AUTO_FREE __attribute__((cleanup(auto_free)))
#define AUTO_CLOSE __attribute__((cleanup(auto_close)))
#define AUTO_JSON __attribute__((cleanup(auto_json)))

#define TAKE_PTR(p)                            \
	({                                     \
		__typeof__(p) take_ptr_ = (p); \
		(p) = NULL;                    \
		take_ptr_;                     \
	})

#define TAKE_FD(fd)                  \
	({                           \
		int take_fd_ = (fd); \
		(fd) = -1;           \
		take_fd_;            \
	})

#endif
