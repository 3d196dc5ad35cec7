// SPDX-License-Identifier: MIT
/*
 * Frames between a tiny guest and a tap, a second and by CPU time of the monitor's threads: 64 and 1500 bytes, both ways.
 * Both monitors' cards have the same interface, one after the other; its other end is this program's network namespace,
 * which throws away what the guest sends, and keeps the tap full of frames for it.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"
#include "tests/bench/bench.h"

/* also in net_qemu */
#define NET_TAP "tap0"
#define NET_MAC "52:54:00:00:00:01"
#define NET_FRAMES 200000u
#define NET_SMOKE_FRAMES 512u
#define NET_QUEUE 256 /* frames that the tap holds: so few that they stay in a processor's cache */
#define NET_BATCHES 2 /* between two looks at whether the tap is full */
#define NET_PAUSE_NS 50000 /* no monitor takes what the tap holds in this time */
#define NET_DEADLINE_MS 60000

struct net_load {
	unsigned int size;
	bool rx; /* to the guest */
};

struct net_figure {
	struct bench_series rate, cpu; /* thousand frames a second; microseconds a frame */
};

enum { NET_VMM, NET_QEMU, NET_MONITORS };

/* --- the interface ------------------------------------------------------------------------------------------------- */

static void net_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	/* without IPv6 there is nothing to turn off */
	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		warn("%s", path);
	if (fd >= 0)
		close(fd);
}

/* False: no right to make it. */
static bool net_make_tap(void)
{
	struct ifreq ifr = { .ifr_name = NET_TAP, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int tun, sock;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	net_write("/proc/sys/net/ipv6/conf/default/disable_ipv6",
		  "1"); /* it would say things of its own */
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &ifr) < 0 || ioctl(tun, TUNSETPERSIST, 1) < 0)
		return false;
	close(tun);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ifr.ifr_qlen = NET_QUEUE;
	if (sock < 0 || ioctl(sock, SIOCSIFTXQLEN, &ifr) < 0)
		err(1, "%s", NET_TAP);
	ifr.ifr_flags = IFF_UP | IFF_NOARP;
	if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
		err(1, "%s", NET_TAP);
	close(sock);
	return true;
}

/* What the kernel segments into frames of this size: the sender must cost less than what is measured. */
struct net_batch {
	struct virtio_net_hdr vnet;
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t data[60000];
} __attribute__((packed));

#define NET_HEADERS (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))

static size_t net_make_batch(struct net_batch *b, unsigned int size)
{
	unsigned int segment = size - NET_HEADERS, n = MIN(64u, sizeof(b->data) / segment);

	*b = (struct net_batch){
		.vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			  .hdr_len = NET_HEADERS,
			  .gso_size = (uint16_t)segment,
			  .csum_start = sizeof(struct ethhdr) + sizeof(struct iphdr),
			  .csum_offset = offsetof(struct tcphdr, check) },
		.eth = { .h_dest = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
			 .h_source = { 2 },
			 .h_proto = htons(ETH_P_IP) },
		.ip = { .version = 4,
			.ihl = sizeof(struct iphdr) / 4,
			.tot_len = htons(
				(uint16_t)(NET_HEADERS - sizeof(struct ethhdr) + n * segment)),
			.ttl = 1,
			.protocol = IPPROTO_TCP,
			.saddr = htonl(0x0a000001),
			.daddr = htonl(0x0a0000ff) },
		.tcp = { .doff = sizeof(struct tcphdr) / 4, .ack = 1 },
	};
	return sizeof(b->vnet) + NET_HEADERS + n * segment;
}

/* Frames that the full tap did not take, from proc_pid_net(5). */
static unsigned long net_dropped(int proc)
{
	char text[4096], *line;
	unsigned long dropped = 0;
	ssize_t n = pread(proc, text, sizeof(text) - 1, 0);

	if (n < 0)
		err(1, "/proc/self/net/dev");
	text[n] = 0;
	line = strstr(text, NET_TAP ":");
	if (!line || sscanf(line + sizeof(NET_TAP),
			    "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %lu", &dropped) != 1)
		errx(1, "/proc/self/net/dev: no " NET_TAP);
	return dropped;
}

static _Noreturn void net_send(int sock, const struct net_batch *batch, size_t len)
{
	int proc = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
	const struct timespec pause = { .tv_nsec = NET_PAUSE_NS };
	unsigned long before = 0, dropped;

	if (proc < 0)
		err(1, "/proc/self/net/dev");
	prctl(PR_SET_TIMERSLACK, 1);
	for (;; before = dropped) {
		for (unsigned int i = 0; i < NET_BATCHES; i++)
			if (send(sock, batch, len, 0) < 0 && errno != ENOBUFS)
				err(1, "frames for the tap");
		dropped = net_dropped(proc);
		/* the monitor needs a processor as well */
		if (dropped != before)
			nanosleep(&pause, NULL);
	}
}

/* A process that sends frames of this size until it is ended, and keeps the tap full. */
static pid_t net_flood(unsigned int size)
{
	static struct net_batch batch;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(NET_TAP) };
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
	size_t len = net_make_batch(&batch, size);
	pid_t pid;

	if (sock < 0 || bind(sock, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0)
		err(1, "a socket for frames");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		net_send(sock, &batch, len);
	close(sock);
	return pid;
}

/* --- a monitor --------------------------------------------------------------------------------------------------- */

static void net_vmm(struct bench_command *c, const char *cmdline)
{
	c->name = "vmm";
	c->argv[0] = bench_path("bin/vmm");
	c->argv[1] = "--config";
	c->argv[2] =
		bench_file("vm.json",
			   "{\"name\": \"bench\", \"profile\": \"micro\", \"memory\": \"128MiB\", "
			   "\"boot\": {\"kernel\": \"%s\", \"cmdline\": \"%s\"}, \"devices\": "
			   "[{\"type\": \"debug-port\"}, {\"type\": \"virtio-net\", \"network\": "
			   "{\"tap\": \"" NET_TAP "\"}, \"mac\": \"" NET_MAC "\"}]}\n",
			   bench_path("tests/guest/netload"), cmdline);
	c->argv[3] = "--console";
	c->argv[4] = "debug0";
}

/* q35, whose firmware gives the card its addresses */
static void net_qemu(struct bench_command *c, const char *cmdline)
{
	const char *const argv[] = {
		"qemu-system-x86_64",
		"-M",
		"q35",
		"-accel",
		"kvm",
		"-name",
		"bench,debug-threads=on",
		"-m",
		"128",
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-debugcon",
		"stdio",
		"-kernel",
		bench_path("tests/guest/netload"),
		"-append",
		cmdline,
		"-netdev",
		"tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off",
		"-device",
		"virtio-net-pci,netdev=n0,disable-legacy=on,romfile=,mac=52:54:00:00:00:01",
	};

	c->name = "QEMU";
	memcpy(c->argv, argv, sizeof(argv));
}

/* The guest says R, B and E; other monitors have more to say. */
static void net_hear(int fd, char what)
{
	char byte = 0;

	while (byte != what) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, NET_DEADLINE_MS) != 1 || read(fd, &byte, 1) != 1)
			errx(1, "the guest did not say %c", what);
	}
}

/* What a thread has run, in microseconds; 0 of a vCPU: most of its time is the guest's, which KVM may have to emulate. */
static double net_thread_us(pid_t pid, int tid)
{
	char path[64], name[32] = "";
	unsigned long long ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, tid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = 0;
	if (f)
		fclose(f);
	/* ours, and QEMU's with debug-threads=on */
	if (!strncmp(name, "vcpu ", 5) || strstr(name, "/KVM"))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, tid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return (double)ns / 1e3;
}

static double net_cpu_us(pid_t pid)
{
	const struct dirent *d;
	double sum = 0;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		err(1, "%s", path);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			sum += net_thread_us(pid, atoi(d->d_name));
	closedir(dir);
	return sum;
}

static void net_round(const struct bench_command *c, const struct net_load *load,
		      unsigned int frames, struct net_figure *f)
{
	double begin_ms, begin_us, ms;
	pid_t pid, sender = -1;
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	pid = bench_spawn(c->argv, out[1]);
	close(out[1]);
	net_hear(out[0], 'R'); /* a flood would starve the firmware */
	if (load->rx)
		sender = net_flood(load->size);
	net_hear(out[0], 'B');
	begin_ms = bench_now_ms();
	begin_us = net_cpu_us(pid);
	net_hear(out[0], 'E');
	ms = bench_now_ms() - begin_ms;
	bench_add(&f->rate, frames / ms);
	bench_add(&f->cpu, (net_cpu_us(pid) - begin_us) / frames);
	if (sender > 0) {
		kill(sender, SIGKILL);
		waitpid(sender, NULL, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
}

static void net_rows(const struct net_load *load, struct net_figure *f, bool peer)
{
	struct bench_row row = { .bench = "net", .floor = BENCH_NONE };
	char name[48];

	row.name = name;
	snprintf(name, sizeof(name), "%u bytes %s guest", load->size, load->rx ? "to" : "from");
	row.unit = "kpps";
	row.ours = bench_median(&f[NET_VMM].rate);
	row.peer = peer ? bench_median(&f[NET_QEMU].rate) : BENCH_NONE;
	/* the sender is what bounds the others: it costs as much as the monitor, on as few processors */
	row.against = load->rx ? BENCH_INFO : BENCH_PEER_LEAST;
	row.target = 1.2;
	bench_row(&row);
	snprintf(name, sizeof(name), "%u bytes %s guest, CPU a frame", load->size,
		 load->rx ? "to" : "from");
	row.unit = "us";
	row.ours = bench_median(&f[NET_VMM].cpu);
	row.peer = peer ? bench_median(&f[NET_QEMU].cpu) : BENCH_NONE;
	row.against = BENCH_PEER;
	row.target = 0.83; /* 1 / 1.2 */
	bench_row(&row);
}

static void net_measure(const struct net_load *load)
{
	unsigned int frames = bench_smoke() ? NET_SMOKE_FRAMES : NET_FRAMES,
		     rounds = bench_rounds();
	static struct net_figure figures[NET_MONITORS];
	struct bench_command c[NET_MONITORS] = { 0 };
	bool peer = bench_has_qemu() && (!bench_smoke() || load->rx);
	char cmdline[64];

	memset(figures, 0, sizeof(figures));
	snprintf(cmdline, sizeof(cmdline), "frames=%u size=%u rx=%d", frames, load->size, load->rx);
	net_vmm(&c[NET_VMM], cmdline);
	net_qemu(&c[NET_QEMU], cmdline);
	for (unsigned int r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < (peer ? NET_MONITORS : NET_QEMU); i++)
			net_round(&c[i], load, frames, &figures[i]);
	net_rows(load, figures, peer);
}

int main(void)
{
	static const struct net_load loads[] = {
		{ 64, false }, { 1500, false }, { 64, true }, { 1500, true }
	};

	if (!net_make_tap())
		err(1, "cannot make a tap in a network namespace (this takes root)");
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		net_measure(&loads[i]);
	return 0;
}
