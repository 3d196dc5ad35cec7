/* SPDX-License-Identifier: MIT */
/*
 * Sockets of which each news is told once (EPOLLET): who leaves bytes in one, because they are not enough, is not called before there
 * are more. libuv tells for as long as there are some. On one loop.
 */
#ifndef DISPLAY_EDGE_H
#define DISPLAY_EDGE_H

#include <uv.h>

struct edge;

/* what: as it was added; events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. It may remove anything. */
typedef void (*edge_cb)(void *what, uint32_t events);

int edge_new(uv_loop_t *loop, edge_cb cb, struct edge **ret);
void edge_free(struct edge *e); /* NULL is fine */
/* Of what is so already, news is told at once. Before what goes, its descriptor is closed, or removed. */
int edge_add(struct edge *e, int fd, void *what);
void edge_remove(struct edge *e, int fd);
/* As if it were new; with room, that there is room too. */
void edge_again(struct edge *e, int fd, void *what, int room);

#endif
