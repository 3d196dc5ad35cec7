// SPDX-License-Identifier: MIT
// The real-time clock with 128 bytes of CMOS RAM: Motorola MC146818A data sheet, and the PC's century byte.
// The time is the host's plus an offset that the guest sets; flags are worked out when they are looked at,
// and a timer runs only while an enabled interrupt could come. Not there: the square wave, which a PC has no pin
// for, and daylight saving (DSE), whose days are no more the law's; the bits are memory. Under machine.lock.
//
// "Guest time" below is nanoseconds since 1970 of the calendar that the registers show.
#include "vmm/dev/rtc.h"

#include <assert.h>
#include "vmm/dev/dev.h"

#include <time.h>
#include "vmm/dev/acpi_pm.h"
#include "vmm/x86/map.h"

#define RTC_NS 1000000000ull
/* MC146818A, figure 15: UIP rises 244 us before an update cycle of 1984 us (32.768 kHz) */
#define RTC_UIP_NS (244000 + 1984000)
#define RTC_DAY 86400

enum rtc_reg {
	RTC_SECONDS,
	RTC_SECONDS_ALARM,
	RTC_MINUTES,
	RTC_MINUTES_ALARM,
	RTC_HOURS,
	RTC_HOURS_ALARM,
	RTC_WEEKDAY,
	RTC_DAY_OF_MONTH,
	RTC_MONTH,
	RTC_YEAR,
	RTC_A,
	RTC_B,
	RTC_C,
	RTC_D,
	RTC_CENTURY = 0x32,
	RTC_CMOS_SIZE = 128,
};

#define RTC_A_UIP BIT(7)
#define RTC_A_DV_RESET 0x60 /* DV2 and DV1: the divider is held in reset */
#define RTC_B_SET BIT(7)
#define RTC_B_PIE BIT(6)
#define RTC_B_AIE BIT(5)
#define RTC_B_UIE BIT(4)
#define RTC_B_SQWE BIT(3)
#define RTC_B_BINARY BIT(2)
#define RTC_B_24H BIT(1)
#define RTC_C_IRQF BIT(7)
#define RTC_C_FLAGS (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE) /* PF, AF, UF are at the same places */
#define RTC_D_VRT BIT(7)
#define RTC_PM BIT(7) /* of the hours in 12-hour mode */
#define RTC_ANY 0xc0  /* an alarm byte with both bits matches every value */

struct rtc {
	struct device dev; /* first */
	struct region region;
	struct irq_line irq;
	struct board_timer timer;
	uint8_t index;
	uint8_t cmos[RTC_CMOS_SIZE];
	uint64_t offset; /* guest time = host time + offset, modulo 2^64 */
	uint64_t last;	 /* guest time up to which the flags are worked out */
};

struct rtc_date {
	int64_t days; /* since 1970-01-01 */
	unsigned int year, month, day, hour, minute, second;
};

static uint64_t rtc_host_ns(const struct rtc *r)
{
	const struct board *b = r->dev.board;
	struct timespec ts;

	if (b->ops->realtime_ns)
		return b->ops->realtime_ns(b->arg);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * RTC_NS + (uint64_t)ts.tv_nsec;
}

/* --- the calendar: proleptic Gregorian, in eras of 400 years that start on 1 March ---------------- */

static int64_t rtc_days(unsigned int year, unsigned int month, unsigned int day)
{
	unsigned int y = month <= 2 ? year + 399 : year + 400; /* not negative for year 0 */
	unsigned int era = y / 400, yoe = y % 400;
	unsigned int doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)(era - 1) * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct rtc_date rtc_date(uint64_t ns)
{
	uint64_t secs = ns / RTC_NS, sod = secs % RTC_DAY;
	uint64_t days = secs / RTC_DAY + 719468;
	unsigned int era = (unsigned int)(days / 146097), doe = (unsigned int)(days % 146097);
	unsigned int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned int doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	unsigned int month = mp < 10 ? mp + 3 : mp - 9;

	return (struct rtc_date){
		.days = (int64_t)(secs / RTC_DAY),
		.year = era * 400 + yoe + (month <= 2),
		.month = month,
		.day = doy - (153 * mp + 2) / 5 + 1,
		.hour = (unsigned int)(sod / 3600),
		.minute = (unsigned int)(sod / 60 % 60),
		.second = (unsigned int)(sod % 60),
	};
}

/* --- register formats: data sheet, "Time, calendar and alarm locations", table 3 ------------------- */

static uint8_t rtc_encode(const struct rtc *r, unsigned int val)
{
	if (r->cmos[RTC_B] & RTC_B_BINARY)
		return (uint8_t)val;
	return (uint8_t)(val / 10 << 4 | val % 10);
}

static unsigned int rtc_decode(const struct rtc *r, uint8_t val)
{
	if (r->cmos[RTC_B] & RTC_B_BINARY)
		return val;
	return (val >> 4) * 10u + (val & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *r, unsigned int hour)
{
	if (r->cmos[RTC_B] & RTC_B_24H)
		return rtc_encode(r, hour);
	return rtc_encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? RTC_PM : 0);
}

static unsigned int rtc_decode_hour(const struct rtc *r, uint8_t val)
{
	if (r->cmos[RTC_B] & RTC_B_24H)
		return rtc_decode(r, val);
	return rtc_decode(r, val & ~RTC_PM) % 12 + (val & RTC_PM ? 12 : 0);
}

/* --- time ------------------------------------------------------------------------------------------ */

/* The divider in reset: nothing happens */
static bool rtc_held(const struct rtc *r)
{
	return (r->cmos[RTC_A] & RTC_A_DV_RESET) == RTC_A_DV_RESET;
}

/* That, or SET: no updates. The registers stand still and hold what the guest wrote. */
static bool rtc_stopped(const struct rtc *r)
{
	return r->cmos[RTC_B] & RTC_B_SET || rtc_held(r);
}

static uint64_t rtc_now(const struct rtc *r)
{
	return rtc_host_ns(r) + r->offset;
}

static void rtc_show(struct rtc *r)
{
	struct rtc_date d = rtc_date(rtc_now(r));

	r->cmos[RTC_SECONDS] = rtc_encode(r, d.second);
	r->cmos[RTC_MINUTES] = rtc_encode(r, d.minute);
	r->cmos[RTC_HOURS] = rtc_encode_hour(r, d.hour);
	r->cmos[RTC_WEEKDAY] = rtc_encode(r, (unsigned int)((d.days + 4) % 7) + 1);
	r->cmos[RTC_DAY_OF_MONTH] = rtc_encode(r, d.day);
	r->cmos[RTC_MONTH] = rtc_encode(r, d.month);
	r->cmos[RTC_YEAR] = rtc_encode(r, d.year % 100);
	r->cmos[RTC_CENTURY] = rtc_encode(r, d.year / 100 % 100);
}

/*
 * Go on from what the registers say, with the given fraction of a second. Values out of range are the
 * guest's folly: they are brought into it, and days beyond a month's end become the next month's.
 */
static void rtc_take(struct rtc *r, uint64_t fraction_ns)
{
	unsigned int year = rtc_decode(r, r->cmos[RTC_CENTURY]) % 100 * 100 +
			    rtc_decode(r, r->cmos[RTC_YEAR]) % 100;
	unsigned int month = MIN(MAX(rtc_decode(r, r->cmos[RTC_MONTH]), 1u), 12u);
	unsigned int day = MIN(MAX(rtc_decode(r, r->cmos[RTC_DAY_OF_MONTH]), 1u), 31u);
	unsigned int hour = rtc_decode_hour(r, r->cmos[RTC_HOURS]) % 24;
	unsigned int minute = rtc_decode(r, r->cmos[RTC_MINUTES]) % 60;
	unsigned int second = rtc_decode(r, r->cmos[RTC_SECONDS]) % 60;
	/* the clock counts in 64 bits of nanoseconds from 1970: up to the year 2554 */
	int64_t days = rtc_days(MIN(MAX(year, 1970u), 2500u), month, day);
	uint64_t secs = (uint64_t)days * RTC_DAY + hour * 3600 + minute * 60 + second;

	r->offset = secs * RTC_NS + fraction_ns - rtc_host_ns(r);
	r->last = rtc_now(r);
}

/* --- interrupts -------------------------------------------------------------------------------------- */

/* An alarm byte matches when it is equal or says "any" */
static bool rtc_alarm_byte(const struct rtc *r, enum rtc_reg reg, unsigned int now)
{
	uint8_t val = r->cmos[reg];

	if ((val & RTC_ANY) == RTC_ANY)
		return true;
	return (reg == RTC_HOURS_ALARM ? rtc_decode_hour(r, val) : rtc_decode(r, val)) == now;
}

/* The first second after `secs` at which the alarm matches, or 0. At most 24 + 60 + 60 steps. */
static uint64_t rtc_next_alarm(const struct rtc *r, uint64_t secs)
{
	uint64_t t = secs + 1;

	while (t <= secs + RTC_DAY) {
		if (!rtc_alarm_byte(r, RTC_HOURS_ALARM, (unsigned int)(t / 3600 % 24)))
			t = t / 3600 * 3600 + 3600;
		else if (!rtc_alarm_byte(r, RTC_MINUTES_ALARM, (unsigned int)(t / 60 % 60)))
			t = t / 60 * 60 + 60;
		else if (!rtc_alarm_byte(r, RTC_SECONDS_ALARM, (unsigned int)(t % 60)))
			t++;
		else
			return t;
	}
	return 0;
}

/*
 * The periodic rate as a shift of the 32.768 kHz clock (table 5: 1 and 2 stand for 256 and 128 Hz);
 * 0: none.
 */
static unsigned int rtc_period_shift(const struct rtc *r)
{
	unsigned int rate = r->cmos[RTC_A] & 15;

	if (!rate)
		return 0;
	return rate <= 2 ? rate + 6 : rate - 1;
}

static uint64_t rtc_ticks(uint64_t ns)
{
	return ns / RTC_NS * 32768 + ns % RTC_NS * 32768 / RTC_NS;
}

/* The first nanosecond of a tick */
static uint64_t rtc_tick_ns(uint64_t tick)
{
	return tick / 32768 * RTC_NS + (tick % 32768 * RTC_NS + 32767) / 32768;
}

/* Set the flags of what happened since the last look, enabled or not (register C) */
static void rtc_catch_up(struct rtc *r)
{
	uint64_t now = rtc_now(r), last = r->last;
	unsigned int shift = rtc_period_shift(r);
	uint64_t alarm;

	r->last = now;
	if (rtc_held(r) || now <= last)
		return;
	if (shift && rtc_ticks(now) >> shift != rtc_ticks(last) >> shift)
		r->cmos[RTC_C] |= RTC_B_PIE;
	if (rtc_stopped(r) || now / RTC_NS == last / RTC_NS)
		return;
	r->cmos[RTC_C] |= RTC_B_UIE;
	alarm = rtc_next_alarm(r, last / RTC_NS);
	if (alarm && alarm <= now / RTC_NS)
		r->cmos[RTC_C] |= RTC_B_AIE;
}

/* Guest time of the next event that an enabled interrupt waits for; 0: none */
static uint64_t rtc_next_event(const struct rtc *r)
{
	uint8_t enabled = r->cmos[RTC_B];
	unsigned int shift = rtc_period_shift(r);
	uint64_t next = UINT64_MAX, alarm;

	if (rtc_held(r))
		return 0;
	if (enabled & RTC_B_PIE && shift)
		next = rtc_tick_ns(((rtc_ticks(r->last) >> shift) + 1) << shift);
	if (rtc_stopped(r))
		return next == UINT64_MAX ? 0 : next;
	if (enabled & RTC_B_UIE)
		next = MIN(next, (r->last / RTC_NS + 1) * RTC_NS);
	alarm = enabled & RTC_B_AIE ? rtc_next_alarm(r, r->last / RTC_NS) : 0;
	if (alarm)
		next = MIN(next, alarm * RTC_NS);
	return next == UINT64_MAX ? 0 : next;
}

/* The line follows the flags; while it is up nothing new can be seen, so no timer runs then. */
static void rtc_update(struct rtc *r)
{
	uint64_t next;

	rtc_catch_up(r);
	r->cmos[RTC_C] &= ~RTC_C_IRQF;
	if (r->cmos[RTC_C] & r->cmos[RTC_B] & RTC_C_FLAGS)
		r->cmos[RTC_C] |= RTC_C_IRQF;
	irq_line_set(&r->irq, r->cmos[RTC_C] & RTC_C_IRQF);
	if (r->cmos[RTC_C] & RTC_C_IRQF && r->dev.board->acpi_pm)
		acpi_pm_rtc(r->dev.board->acpi_pm);
	next = r->cmos[RTC_C] & RTC_C_IRQF ? 0 : rtc_next_event(r);
	if (next)
		board_timer_arm(r->dev.board, &r->timer,
				board_now_ns(r->dev.board) + (next - r->last));
	else
		board_timer_cancel(r->dev.board, &r->timer);
}

static void rtc_fire(void *arg)
{
	rtc_update(arg);
}

/* --- registers --------------------------------------------------------------------------------------- */

static bool rtc_is_time(unsigned int reg)
{
	return (reg <= RTC_YEAR && reg != RTC_SECONDS_ALARM && reg != RTC_MINUTES_ALARM &&
		reg != RTC_HOURS_ALARM) ||
	       reg == RTC_CENTURY;
}

static uint8_t rtc_read_a(const struct rtc *r)
{
	bool uip = !rtc_stopped(r) && rtc_now(r) % RTC_NS >= RTC_NS - RTC_UIP_NS;

	return r->cmos[RTC_A] | (uip ? RTC_A_UIP : 0);
}

static uint8_t rtc_read_c(struct rtc *r)
{
	uint8_t val;

	rtc_update(r);
	val = r->cmos[RTC_C];
	r->cmos[RTC_C] = 0;
	/* the next event may be due by now: without an edge of its own an 8259A would never see it */
	irq_line_set(&r->irq, false);
	rtc_update(r);
	return val;
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned int size)
{
	struct rtc *r = dev;

	(void)size;
	if (off == 0)
		return 0xff; /* the index is write-only */
	if (r->index == RTC_A)
		return rtc_read_a(r);
	if (r->index == RTC_C)
		return rtc_read_c(r);
	if (rtc_is_time(r->index) && !rtc_stopped(r))
		rtc_show(r);
	return r->cmos[r->index];
}

/* A and B can stop and start the clock: around a change its time is fetched before or taken after. */
static void rtc_write_control(struct rtc *r, enum rtc_reg reg, uint8_t val)
{
	bool stopped = rtc_stopped(r);
	bool held = rtc_held(r);

	rtc_catch_up(r);
	if (!stopped)
		rtc_show(r);
	if (reg == RTC_A) {
		r->cmos[RTC_A] = val & ~RTC_A_UIP;
	} else {
		if (val & RTC_B_SET)
			val &= ~RTC_B_UIE;
		r->cmos[RTC_B] = val;
	}
	/* after a divider reset the first update comes half a second later; else the phase is kept */
	if (stopped && !rtc_stopped(r))
		rtc_take(r, held ? RTC_NS / 2 : rtc_now(r) % RTC_NS);
	rtc_update(r);
}

static void rtc_write_time(struct rtc *r, uint8_t val)
{
	if (rtc_stopped(r)) {
		r->cmos[r->index] = val;
		return;
	}
	rtc_catch_up(r);
	rtc_show(r);
	r->cmos[r->index] = val;
	rtc_take(r, rtc_now(r) % RTC_NS);
	rtc_update(r);
}

static void rtc_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct rtc *r = dev;

	(void)size;
	if (off == 0) {
		r->index = val & 0x7f; /* bit 7 gates NMI, of which there is none */
		return;
	}
	if (rtc_is_time(r->index)) {
		rtc_write_time(r, (uint8_t)val);
	} else if (r->index == RTC_A || r->index == RTC_B) {
		rtc_write_control(r, r->index, (uint8_t)val);
	} else if (r->index != RTC_C && r->index != RTC_D) { /* read-only */
		rtc_catch_up(r); /* an alarm that is moved has been missed or met by now */
		r->cmos[r->index] = (uint8_t)val;
		rtc_update(r);
	}
}

static const struct region_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
	.min_size = 1,
	.max_size = 1,
};

/* The RESET pin: data sheet, signal descriptions. Time and RAM go on. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	r->index = 0;
	r->cmos[RTC_B] &= ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
	rtc_catch_up(r);
	r->cmos[RTC_C] = 0;
	rtc_update(r);
}

/* A pause stops the timers and not the time: what it was armed for may have passed. */
static void rtc_start(struct device *d)
{
	rtc_update(container_of(d, struct rtc, dev));
}

void rtc_set_cmos(struct device *d, unsigned int reg, uint8_t val)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	assert(reg > RTC_D && reg < RTC_CMOS_SIZE && reg != RTC_CENTURY);
	r->cmos[reg] = val;
}

static int rtc_init(struct device *d, struct err *e)
{
	struct rtc *r = container_of(d, struct rtc, dev);
	const struct rtc_cfg *cfg = d->cfg;
	struct tm tm;

	r->irq = (struct irq_line){ .board = d->board, .gsi = MAP_GSI_RTC };
	r->timer = (struct board_timer){ .fire = rtc_fire, .arg = r };
	r->region = (struct region){
		.name = d->id,
		.base = MAP_RTC,
		.size = 2,
		.ops = &rtc_ops,
		.dev = r,
	};
	if (cfg->base == RTC_BASE_LOCAL &&
	    localtime_r(&(time_t){ (time_t)(rtc_host_ns(r) / RTC_NS) }, &tm))
		r->offset = (uint64_t)((int64_t)tm.tm_gmtoff * (int64_t)RTC_NS);
	r->cmos[RTC_A] = 0x26; /* 32.768 kHz, 1024 Hz: what every PC's firmware leaves */
	r->cmos[RTC_B] = RTC_B_24H;
	r->cmos[RTC_D] = RTC_D_VRT;
	r->last = rtc_now(r);
	return bus_add(d->board->pio, &r->region, e);
}

static void rtc_fini(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	board_timer_cancel(d->board, &r->timer);
	bus_del(d->board->pio, &r->region);
}

static const char *const rtc_bases[] = { "utc", "local", NULL };

static const struct field rtc_fields[] = {
	FIELD_ENUM("base", struct rtc_cfg, base, rtc_bases),
	FIELD_END,
};

const struct device_class rtc_class = {
	.type = "rtc",
	.standby = true,
	.size = sizeof(struct rtc),
	.cfg_size = sizeof(struct rtc_cfg),
	.cfg_fields = rtc_fields,
	.init = rtc_init,
	.start = rtc_start,
	.reset = rtc_reset,
	.fini = rtc_fini,
};
