/* SPDX-License-Identifier: MIT */
/* Threads that hear no signals: those are the main thread's. */
#ifndef VMM_THREAD_H
#define VMM_THREAD_H

#include <pthread.h>

/* Bytes. libuv's loop needs about 20 KiB for its event buffer; the devices' requests live in their structs. */
#define THREAD_STACK (128 * 1024)

/* run(arg) in a thread of its own, which somebody has to join. pthread_create's error, negative. */
int thread_spawn(pthread_t *ret_thread, void *(*run)(void *arg), void *arg);
/*
 * The same on any CPU but the caller's, for what is to run beside it: some kernels begin a thread on its maker's CPU though
 * others idle. -EAGAIN when there is no other.
 */
int thread_spawn_beside(pthread_t *ret_thread, void *(*run)(void *arg), void *arg);

#endif
