// SPDX-License-Identifier: MIT
// The PC's serial port: a PC16550D (National Semiconductor data sheet, June 1995; section numbers below
// are its). What is sent goes to the console at once, so the transmitter is always empty, or to what else the
// cable leads to (serial_host.h), which may hold it up; what that has is taken as the receiver FIFO drains, so
// nothing is lost. Under machine.lock.
#include "vmm/dev/dev.h"

#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/dev/serial_host.h"
#include "vmm/x86/map.h"

#define SERIAL_FIFO_SIZE 16
#define SERIAL_CLOCK_HZ 1843200ull
/* a guest that has not set the divisor must not wait for a character time of seconds */
#define SERIAL_TIMEOUT_MAX_NS 5000000ull

enum serial_reg {
	SERIAL_DATA, /* RBR, THR, DLL */
	SERIAL_IER,  /* DLM */
	SERIAL_IIR,  /* FCR */
	SERIAL_LCR,
	SERIAL_MCR,
	SERIAL_LSR,
	SERIAL_MSR,
	SERIAL_SCR,
	SERIAL_NREGS,
};

#define IER_RX BIT(0)
#define IER_THRE BIT(1)
#define IER_LINE BIT(2)
#define IER_MODEM BIT(3)
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_RX 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0
#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define LCR_DLAB BIT(7)
#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define LSR_DR BIT(0)
#define LSR_OE BIT(1)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)
#define MSR_TERI BIT(2)
#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

struct serial {
	struct device dev; /* first */
	struct region region;
	struct irq_line irq;
	struct console *console;    /* borrowed; NULL: another backend */
	struct serial_host *host;   /* owned; NULL: another backend */
	struct board_timer timeout; /* four character times after the last one was read */
	uint64_t last_read_ns;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t modem;	      /* MSR bits 7:4 */
	uint8_t modem_deltas; /* MSR bits 3:0 */
	bool overrun;
	bool thre_pending;
	bool blocked; /* the transmitter is full: THRE comes with room */
	bool timeout_pending;
	bool irq_level;
	uint8_t fifo[SERIAL_FIFO_SIZE];
	unsigned int fifo_start, fifo_len;
};

/* 8.6.2: bytes in the FIFO at which data becomes "available" */
static unsigned int serial_trigger(const struct serial *s)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

static unsigned int serial_capacity(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? SERIAL_FIFO_SIZE : 1;
}

/* Table V: the pending interrupt of the highest priority that is enabled */
static uint8_t serial_iir(const struct serial *s)
{
	if (s->ier & IER_LINE && s->overrun)
		return IIR_LINE;
	if (s->ier & IER_RX && s->fifo_len >= serial_trigger(s))
		return IIR_RX;
	if (s->ier & IER_RX && s->fifo_len && s->timeout_pending)
		return IIR_TIMEOUT;
	if (s->ier & IER_THRE && s->thre_pending)
		return IIR_THRE;
	if (s->ier & IER_MODEM && s->modem_deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

/* On a PC OUT2 drives the gate of the line; in loopback the pin is inactive (8.6.7) */
static void serial_update(struct serial *s)
{
	bool gate = s->mcr & MCR_OUT2 && !(s->mcr & MCR_LOOP);
	bool level = gate && serial_iir(s) != IIR_NONE;

	if (level == s->irq_level)
		return;
	s->irq_level = level;
	irq_line_set(&s->irq, level);
}

/* 8.4.1: four character times; a character is start, 5 to 8 data, parity and stop bits */
static uint64_t serial_timeout_ns(const struct serial *s)
{
	unsigned int divisor = s->dlm << 8 | s->dll;
	unsigned int bits = 1 + 5 + (s->lcr & 3) + !!(s->lcr & BIT(3)) + 1 + !!(s->lcr & BIT(2));
	uint64_t ns = 4ull * bits * 16 * MAX(divisor, 1u) * 1000000000ull / SERIAL_CLOCK_HZ;

	return MIN(ns, SERIAL_TIMEOUT_MAX_NS);
}

static void serial_push(struct serial *s, uint8_t byte)
{
	if (s->fifo_len == serial_capacity(s)) {
		s->overrun =
			true; /* a full FIFO keeps what it has, the holding register does not */
		if (!(s->fcr & FCR_ENABLE))
			s->fifo[s->fifo_start] = byte;
		return;
	}
	s->fifo[(s->fifo_start + s->fifo_len++) % SERIAL_FIFO_SIZE] = byte;
}

static size_t serial_pull(struct serial *s, uint8_t *bytes, size_t len)
{
	if (s->host)
		return serial_host_take(s->host, bytes, len);
	return s->console ? console_pull(s->console, bytes, len) : 0;
}

/* Take from the other end what fits. It has waited there: the timeout is over as soon as it arrives. */
static void serial_fill(struct serial *s)
{
	uint8_t bytes[SERIAL_FIFO_SIZE];
	size_t n;

	if (s->mcr & MCR_LOOP || s->fifo_len == serial_capacity(s))
		return;
	n = serial_pull(s, bytes, serial_capacity(s) - s->fifo_len);
	for (size_t i = 0; i < n; i++)
		serial_push(s, bytes[i]);
	if (n)
		s->timeout_pending = true;
}

static void serial_input_ready(void *arg)
{
	struct serial *s = arg;

	serial_fill(s);
	serial_update(s);
}

static const struct console_guest_ops serial_console_ops = {
	.input_ready = serial_input_ready,
};

/* Armed at most once a burst: a later read only moves last_read_ns. */
static void serial_timeout(void *arg)
{
	struct serial *s = arg;
	uint64_t due = s->last_read_ns + serial_timeout_ns(s);

	if (!s->fifo_len)
		return;
	if (board_now_ns(s->dev.board) < due) {
		board_timer_arm(s->dev.board, &s->timeout, due);
		return;
	}
	s->timeout_pending = true;
	serial_update(s);
}

static uint8_t serial_read_data(struct serial *s)
{
	uint8_t byte;

	if (!s->fifo_len)
		serial_fill(s);
	if (!s->fifo_len)
		return 0;
	byte = s->fifo[s->fifo_start];
	s->fifo_start = (s->fifo_start + 1) % SERIAL_FIFO_SIZE;
	s->fifo_len--;
	s->timeout_pending = false; /* 8.4.1: a read restarts the timeout */
	if (!s->fifo_len) {
		serial_update(s); /* down before it goes up again: the line is edge-triggered */
		serial_fill(s);
	} else if (s->fcr & FCR_ENABLE) {
		s->last_read_ns = board_now_ns(s->dev.board);
		if (!s->timeout.armed)
			board_timer_arm(s->dev.board, &s->timeout,
					s->last_read_ns + serial_timeout_ns(s));
	}
	serial_update(s);
	return byte;
}

static uint8_t serial_read_iir(struct serial *s)
{
	uint8_t iir = serial_iir(s);

	if (iir == IIR_THRE) { /* Table V: reading it as the source resets it */
		s->thre_pending = false;
		serial_update(s);
	}
	return iir | (s->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

/* There may be room again */
static void serial_unblock(struct serial *s)
{
	if (!s->blocked || !serial_host_has_room(s->host))
		return;
	s->blocked = false;
	s->thre_pending = true;
}

static uint8_t serial_read_lsr(struct serial *s)
{
	uint8_t lsr = 0;

	serial_unblock(s);
	if (!s->blocked)
		lsr |= LSR_THRE | LSR_TEMT;
	if (s->fifo_len)
		lsr |= LSR_DR;
	if (s->overrun)
		lsr |= LSR_OE;
	s->overrun = false; /* 8.6.4: reading clears the error indicators */
	serial_update(s);
	return lsr;
}

static uint8_t serial_read_msr(struct serial *s)
{
	uint8_t msr = s->modem | s->modem_deltas;

	s->modem_deltas = 0;
	serial_update(s);
	return msr;
}

static uint64_t serial_read(void *dev, uint64_t off, unsigned int size)
{
	struct serial *s = dev;

	(void)size;
	switch ((enum serial_reg)off) {
	case SERIAL_DATA:
		return s->lcr & LCR_DLAB ? s->dll : serial_read_data(s);
	case SERIAL_IER:
		return s->lcr & LCR_DLAB ? s->dlm : s->ier;
	case SERIAL_IIR:
		return serial_read_iir(s);
	case SERIAL_LCR:
		return s->lcr;
	case SERIAL_MCR:
		return s->mcr;
	case SERIAL_LSR:
		return serial_read_lsr(s);
	case SERIAL_MSR:
		return serial_read_msr(s);
	case SERIAL_SCR:
		return s->scr;
	case SERIAL_NREGS:
		break;
	}
	return 0xff;
}

/* The modem inputs: at a console there is always somebody */
static uint8_t serial_lines(const struct serial *s)
{
	uint8_t lines;

	if (!s->host)
		return MSR_CTS | MSR_DSR | MSR_DCD;
	lines = serial_host_is_there(s->host) ? MSR_DSR | MSR_DCD : 0;
	return lines | (serial_host_is_ready(s->host) ? MSR_CTS : 0);
}

/* 8.6.7: in loopback the four modem inputs are the four modem outputs */
static void serial_update_modem(struct serial *s)
{
	uint8_t modem = serial_lines(s), changed;

	if (s->mcr & MCR_LOOP) {
		modem = s->mcr & MCR_RTS ? MSR_CTS : 0;
		modem |= s->mcr & MCR_DTR ? MSR_DSR : 0;
		modem |= s->mcr & MCR_OUT1 ? MSR_RI : 0;
		modem |= s->mcr & MCR_OUT2 ? MSR_DCD : 0;
	}
	changed = modem ^ s->modem;
	if (!(changed & MSR_RI) || modem & MSR_RI) /* 8.6.8: only the trailing edge of RI counts */
		changed &= ~MSR_RI;
	s->modem_deltas |= changed >> 4;
	s->modem = modem;
}

static void serial_transmit(struct serial *s, uint8_t byte)
{
	s->thre_pending = false;
	serial_update(s);
	if (s->mcr & MCR_LOOP) {
		serial_push(s, byte);
		s->timeout_pending = true;
	} else if (s->host) {
		serial_host_send(s->host, byte);
		s->blocked = !serial_host_has_room(s->host);
		serial_update_modem(s); /* CTS */
	} else if (s->console) {
		console_write(s->console, &byte, 1);
	}
	s->thre_pending = !s->blocked;
	serial_update(s);
}

static void serial_write_ier(struct serial *s, uint8_t val)
{
	uint8_t set = val & ~s->ier;

	s->ier = val & (IER_RX | IER_THRE | IER_LINE | IER_MODEM);
	if (set & IER_THRE && !s->blocked)
		s->thre_pending = true; /* the holding register is empty */
	serial_update(s);
}

/* 8.6.2: a change of bit 0 clears the FIFOs; the other bits count only with bit 0 */
static void serial_write_fcr(struct serial *s, uint8_t val)
{
	if ((val ^ s->fcr) & FCR_ENABLE || (val & FCR_ENABLE && val & FCR_CLEAR_RX)) {
		s->fifo_len = 0;
		s->timeout_pending = false;
	}
	s->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | 0xc0) : 0;
	serial_update(s);
	serial_fill(s);
	serial_update(s);
}

static void serial_write_mcr(struct serial *s, uint8_t val)
{
	s->mcr = val & 0x1f;
	serial_update_modem(s);
	serial_fill(s); /* loopback may have ended */
	serial_update(s);
}

static void serial_host_changed(void *arg)
{
	struct serial *s = arg;

	serial_unblock(s);
	serial_update_modem(s);
	serial_fill(s);
	serial_update(s);
}

static void serial_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct serial *s = dev;
	uint8_t byte = (uint8_t)val;

	(void)size;
	switch ((enum serial_reg)off) {
	case SERIAL_DATA:
		if (s->lcr & LCR_DLAB)
			s->dll = byte;
		else
			serial_transmit(s, byte);
		break;
	case SERIAL_IER:
		if (s->lcr & LCR_DLAB)
			s->dlm = byte;
		else
			serial_write_ier(s, byte);
		break;
	case SERIAL_IIR:
		serial_write_fcr(s, byte);
		break;
	case SERIAL_LCR:
		s->lcr = byte; /* break (bit 6) has nobody to see it */
		break;
	case SERIAL_MCR:
		serial_write_mcr(s, byte);
		break;
	case SERIAL_SCR:
		s->scr = byte;
		break;
	case SERIAL_LSR: /* both are for factory tests */
	case SERIAL_MSR:
	case SERIAL_NREGS:
		break;
	}
}

static const struct region_ops serial_ops = {
	.read = serial_read,
	.write = serial_write,
	.min_size = 1,
	.max_size = 1,
};

/* Table III: master reset */
static void serial_reset(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	board_timer_cancel(d->board, &s->timeout);
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = 0;
	s->dll = 1; /* 115200: the data sheet leaves it undefined, firmware leaves this */
	s->dlm = 0;
	s->overrun = s->thre_pending = s->timeout_pending = s->blocked = false;
	s->fifo_len = 0;
	s->modem = serial_lines(s);
	s->modem_deltas = 0;
	serial_update(s);
	serial_fill(s); /* what waited in the console offers itself only once */
}

static int serial_init_host(struct serial *s, const struct serial_cfg *cfg, struct err *e)
{
	struct serial_host_cfg *port = cfg->ports.items;

	if (!cfg->ports.n || port->fd < 0)
		return err_set(e, ERR_INVALID, "it leads nowhere: the backend needs its port");
	return serial_host_new(s->dev.board, port, serial_host_changed, s, &s->host, e);
}

static int serial_init(struct device *d, struct err *e)
{
	static const struct {
		uint16_t port;
		uint8_t gsi;
	} ports[] = {
		[SERIAL_COM1] = { MAP_COM1, MAP_GSI_COM1 },
		[SERIAL_COM2] = { MAP_COM2, MAP_GSI_COM2 },
		[SERIAL_COM3] = { MAP_COM3, MAP_GSI_COM3 },
		[SERIAL_COM4] = { MAP_COM4, MAP_GSI_COM4 },
	};
	struct serial *s = container_of(d, struct serial, dev);
	const struct serial_cfg *cfg = d->cfg;
	int ret = 0;

	s->irq = (struct irq_line){ .board = d->board, .gsi = ports[cfg->port].gsi };
	s->timeout = (struct board_timer){ .fire = serial_timeout, .arg = s };
	s->region = (struct region){
		.name = d->id,
		.base = ports[cfg->port].port,
		.size = SERIAL_NREGS,
		.ops = &serial_ops,
		.dev = s,
	};
	if (cfg->backend == SERIAL_BACKEND_CONSOLE) {
		s->console = d->board->ops->console(d->board->arg, d->id, e);
		if (!s->console)
			return -ERR_FAILED;
		console_set_guest(s->console, &serial_console_ops, s);
	} else if (cfg->backend != SERIAL_BACKEND_NONE) {
		ret = serial_init_host(s, cfg, e);
	}
	return ret < 0 ? ret : bus_add(d->board->pio, &s->region, e);
}

static void serial_start(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	if (s->host)
		serial_host_start(s->host);
}

static void serial_stop(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	if (s->host)
		serial_host_stop(s->host);
}

static void serial_fini(struct device *d)
{
	struct serial *s = container_of(d, struct serial, dev);

	if (s->console)
		console_set_guest(s->console, NULL, NULL);
	serial_host_free(s->host);
	board_timer_cancel(d->board, &s->timeout);
	bus_del(d->board->pio, &s->region);
}

static const char *const serial_ports[] = { "com1", "com2", "com3", "com4", NULL };
static const char *const serial_backends[] = { "console", "none", "socket", "pty", "file", NULL };

static const struct field serial_host_fields[] = {
	FIELD_STR("name", struct serial_host_cfg, name),
	FIELD_ENUM("backend", struct serial_host_cfg, kind, port_kinds),
	FIELD_FD("path", struct serial_host_cfg, fd),
	FIELD_FD("hold", struct serial_host_cfg, hold),
	FIELD_U64("limit", struct serial_host_cfg, limit),
	FIELD_END,
};

static const struct field serial_fields[] = {
	FIELD_ENUM("port", struct serial_cfg, port, serial_ports),
	FIELD_ENUM("backend", struct serial_cfg, backend, serial_backends),
	FIELD_LIST("ports", struct serial_cfg, ports, struct serial_host_cfg, serial_host_fields,
		   1),
	FIELD_END,
};

const struct device_class serial_class = {
	.type = "serial",
	.size = sizeof(struct serial),
	.cfg_size = sizeof(struct serial_cfg),
	.cfg_fields = serial_fields,
	.init = serial_init,
	.start = serial_start,
	.stop = serial_stop,
	.reset = serial_reset,
	.fini = serial_fini,
};
