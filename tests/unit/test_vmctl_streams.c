// SPDX-License-Identifier: MIT
/* vmctl against a scripted vmd. What is read page by page: events, logs, timelines. */
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define EVENT(seq, type, data)                                                          \
	"{\"seq\":" seq ",\"time\":\"2026-01-31T12:00:0" seq ".000Z\",\"type\":\"" type \
	"\",\"vm\":"                                                                    \
	"\"0f3c\",\"data\":{\"name\":\"hello\"," data "}}"
#define EVENT7 EVENT("7", "vm.created", "\"revision\":1")
#define EVENT8                        \
	EVENT("8", "vm.state",        \
	      "\"from\":\"running\"," \
	      "\"to\":\"stopped\",\"exit\":{\"reason\":\"shutdown\"}")
#define NOTIFY(method, params) \
	"{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" params "}\n"
#define PHASE(name, at, took) "{\"phase\":\"" name "\",\"at_us\":" at ",\"took_us\":" took "}"
#define STAT(name, p50, p95) \
	"{\"phase\":\"" name "\",\"n\":4,\"p50_us\":" p50 ",\"p95_us\":" p95 "}"

static void test_events(void **state)
{
	static const struct peer_row script[] = {
		{ "event.list", "{\"since\":0,\"limit\":1000}",
		  .result =
			  "{\"events\":[" EVENT7 "],\"next\":7,\"more\":true,\"gone\":{\"from\":1,"
			  "\"to\":6}}" },
		{ "event.list", "{\"since\":7,\"limit\":1000}",
		  .result = "{\"events\":[" EVENT8 "],\"next\":8,\"more\":false}" },
		{ "event.list", "{\"since\":2,\"limit\":1000}",
		  .result =
			  "{\"events\":[],\"next\":8,\"more\":false,\"gone\":{\"from\":3,\"to\":6}"
			  "}" },
		{ 0 }
	};

	(void)state;
	peer_check(
		script, "events --no-header", NULL, 0,
		"     7  2026-01-31T12:00:07.000Z  vm.created    hello         revision=1\n"
		"     8  2026-01-31T12:00:08.000Z  vm.state      hello         running -> stopped "
		"(shutdown)\n",
		"");
	peer_check(script, "events -q", NULL, 0, "hello\nhello\n", "");
	peer_check(script, "events -q h*", NULL, 0, "hello\nhello\n", "");
	peer_check(script, "events -q 0f3", NULL, 0, "hello\nhello\n", "");
	peer_check(script, "events -q hell", NULL, 0, "", "");
	peer_check(script, "events -q --since 2", NULL, 0, "",
		   "events 3 to 6 are not kept any more\n");
}

/* vmd leaves events out for a reader that was slow: they are read again, each once and in order. */
static void test_events_follow_overflow(void **state)
{
	static const struct peer_row script[] = {
		{ "event.subscribe", "{}", .result = "{\"subscription\":1,\"seq\":6}",
		  .notify = NOTIFY("event", EVENT7)
			  NOTIFY("event.overflow", "{\"subscription\":1,\"from\":8,\"to\":8}")
				  NOTIFY("event", EVENT("9", "vm.updated", "\"revision\":2")) },
		{ "event.list", "{\"since\":7,\"limit\":1000}",
		  .result = "{\"events\":[" EVENT8 "," EVENT(
			  "9", "vm.updated", "\"revision\":2") "],"
							       "\"next\":9,\"more\":false}",
		  .notify = NOTIFY("event", EVENT("9", "vm.deleted", "\"n\":0"))
			  NOTIFY("event.overflow", "{\"subscription\":1,\"from\":10,\"to\":10}") },
		{ "event.list", "{\"since\":9,\"limit\":1000}", .after = PEER_INTERRUPT },
		{ 0 }
	};
	struct peer_run r;

	(void)state;
	peer_run(script, "events -f --no-header", NULL, &r);
	assert_string_equal(
		r.out,
		"     7  2026-01-31T12:00:07.000Z  vm.created    hello         revision=1\n"
		"     8  2026-01-31T12:00:08.000Z  vm.state      hello         running -> stopped "
		"(shutdown)\n"
		"     9  2026-01-31T12:00:09.000Z  vm.updated    hello         revision=2\n");
	assert_int_equal(r.status, 130);
	peer_run_free(&r);
}

static void test_logs(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.logs", "{\"vm\":\"hello\"}",
		  .result = "{\"records\":[{\"time\":\"2026-01-31T12:00:00.000Z\",\"kind\":"
			    "\"begin\"},{\"time\":\"2026-01-31T12:00:00.001Z\",\"kind\":\"part\","
			    "\"text\":\"\\u001b[31mo\"},{\"time\":\"2026-01-31T12:00:00.002Z\","
			    "\"kind\":\"line\",\"text\":\"ne\\r\"},{\"time\":"
			    "\"2026-01-31T12:00:00.003Z\",\"kind\":\"lost\",\"bytes\":7}],"
			    "\"next\":99,\"more\":true}" },
		{ "vm.logs", "{\"vm\":\"hello\",\"after\":99}",
		  .result =
			  "{\"records\":[{\"time\":\"2026-01-31T12:00:01.000Z\",\"kind\":"
			  "\"line\",\"text\":\"\xef\xbf\xbd\",\"data_base64\":\"/w==\"}],\"next\":"
			  "120,\"more\":false}" },
		{ "vm.logs", "{\"vm\":\"hello\",\"after\":120,\"timeout_ms\":30000}",
		  .after = PEER_INTERRUPT },
		{ "vm.logs", "{\"vm\":\"hello\",\"last\":0,\"console\":\"com2\"}",
		  .result = "{\"records\":[],\"next\":0,\"more\":false}" },
		{ 0 }
	};

	(void)state;
	/* elsewhere than on a terminal, every byte is the guest's */
	peer_check(script, "logs hello", NULL, 0, "\033[31mone\r\n\xff\n",
		   "(started, 2026-01-31T12:00:00.000Z)\n"
		   "(7 bytes are missing here, 2026-01-31T12:00:00.003Z)\n");
	peer_check(script, "logs hello -fT", NULL, 130,
		   "2026-01-31T12:00:00.001Z \033[31mone\r\n2026-01-31T12:00:01.000Z \xff\n",
		   "(started, 2026-01-31T12:00:00.000Z)\n"
		   "(7 bytes are missing here, 2026-01-31T12:00:00.003Z)\n");
	peer_check(script, "logs hello --lines 0 --console com2", NULL, 0, "", "");
	peer_check(script, "logs hello --since yesterday", NULL, 2, "",
		   "vmctl: --since: 'yesterday' is no time (2026-01-31T12:00:00Z, or 10m for ten "
		   "minutes ago)\n");
	peer_check(script, "logs hello --monitor --console com1", NULL, 2, "",
		   "vmctl: --console and --monitor exclude each other\n");
	peer_check_requests(script, "logs a --since 2026-01-31T12:00:00Z --monitor",
			    "vm.logs {\"vm\":\"a\",\"monitor\":true,\"since\":"
			    "\"2026-01-31T12:00:00Z\"}\n");
}

static void test_events_of_jobs(void **state)
{
	static const struct peer_row script[] = {
		{ "event.list",
		  .result =
			  "{\"events\":[{\"seq\":9,\"time\":\"2026-01-31T12:00:00.000Z\",\"type\":"
			  "\"job.done\",\"vm\":\"0f3c\",\"data\":" PEER_JOB_FAILED
			  "}],\"next\":9,\"more\":false}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "events --no-header", NULL, 0,
		   "     9  2026-01-31T12:00:00.000Z  job.done      a             stop failed, "
		   "j-1a2b3c4d: VM 'a' did not stop\n",
		   "");
}

static void test_timeline(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.timeline",
		  .result =
			  "{\"name\":\"hello\",\"starts\":[{\"time\":\"2026-01-31T12:00:00.000Z\","
			  "\"revision\":3,\"ok\":true,\"slow\":true,\"total_us\":52000,\"phases\":"
			  "[" PHASE("plan", "900", "900") "," PHASE("start", "52000", "51100") "," PHASE(
				  "console", "2052000",
				  "2000000") "]}],\"stats\":[" STAT("plan", "800",
								    "950") "," STAT("start", "9000",
										    "51100") "],"
											     "\"med"
											     "ian_"
											     "us\":"
											     "10000"
											     "}" },
		{ 0 }
	};
	static const struct peer_row none[] = {
		{ "vm.timeline", .result = "{\"name\":\"hello\",\"starts\":[],\"stats\":[]}" },
		{ 0 }
	};
	static const char slow[] =
		"hello: this start took 52.0ms to the first instruction; the median is 10.0ms\n";

	(void)state;
	peer_check(script, "timeline hello", NULL, 0,
		   "PHASE        AT    TOOK     P50     P95  SHARE\n"
		   "plan     0.90ms  0.90ms  0.80ms  0.95ms  .\n"
		   "start    52.0ms  51.1ms  9.00ms  51.1ms  .\n"
		   "console   2.05s   2.00s       -       -  ####################\n",
		   slow);
	peer_check(script, "timeline hello --all", NULL, 0,
		   "TIME                      REVISION  RESULT  HELLO  MACHINE   START  CONSOLE  "
		   "KICK\n"
		   "2026-01-31T12:00:00.000Z         3  slow        -        -  52.0ms    2.05s    "
		   " -\n",
		   slow);
	peer_check_requests(script, "timeline hello",
			    "vm.timeline {\"vm\":\"hello\",\"limit\":1}\n");
	peer_check(none, "timeline hello", NULL, 0, "", "hello: no start is known\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),	 cmocka_unit_test(test_events_follow_overflow),
		cmocka_unit_test(test_logs),	 cmocka_unit_test(test_events_of_jobs),
		cmocka_unit_test(test_timeline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
