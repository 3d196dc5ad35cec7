// SPDX-License-Identifier: MIT
#include "vmm/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

static int thread_spawn_on(pthread_t *ret_thread, const cpu_set_t *cpus, void *(*run)(void *arg),
			   void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	if (cpus)
		pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret_thread, &attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int thread_spawn(pthread_t *ret_thread, void *(*run)(void *arg), void *arg)
{
	return thread_spawn_on(ret_thread, NULL, run, arg);
}

int thread_spawn_beside(pthread_t *ret_thread, void *(*run)(void *arg), void *arg)
{
	cpu_set_t cpus;

	/* a host of more CPUs than the set has is left to the kernel */
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return thread_spawn(ret_thread, run, arg);
	CPU_CLR(sched_getcpu(), &cpus);
	return CPU_COUNT(&cpus) ? thread_spawn_on(ret_thread, &cpus, run, arg) : -EAGAIN;
}
