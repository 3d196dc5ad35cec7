// SPDX-License-Identifier: MIT
/* Lines in, lines out: see step.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"
#include "lib/rpc.h"

static int serve_answer(struct json_object *take_answer, struct err *e)
{
	AUTO_JSON struct json_object *answer = take_answer;
	AUTO_FREE char *line = NULL;
	int len =
		asprintf(&line, "%s\n",
			 json_object_to_json_string_ext(
				 answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	ssize_t n;

	if (len < 0)
		return err_set(e, ENOMEM, "no memory for an answer");
	n = fdio_write(STDOUT_FILENO, line, (size_t)len);
	return n < 0 ? err_ret(e, (int)n, "cannot answer") : 0;
}

static int serve_line(struct kernel *k, const char *text, size_t len, struct err *e)
{
	AUTO_JSON struct json_object *step = NULL;
	struct json_object *result = NULL;
	struct err why = { 0 };
	int ret = json_parse(text, len, &step, &why);

	if (ret >= 0)
		ret = step_run(k, step, &result, &why);
	return serve_answer(ret < 0 ? rpc_error(NULL, &why, NULL)
				    : rpc_result(NULL, result ? result : json_new()),
			    e);
}

int step_serve(struct kernel *k, struct err *e)
{
	AUTO_FREE char *line = malloc(STEP_LINE_MAX);
	size_t have = 0;

	if (!line)
		return err_set(e, ENOMEM, "no memory for a line");
	for (;;) {
		char *end = memchr(line, '\n', have);
		ssize_t n;

		if (end) {
			size_t len = (size_t)(end - line);
			int ret = serve_line(k, line, len, e);

			if (ret < 0)
				return ret;
			have -= len + 1;
			memmove(line, end + 1, have);
			continue;
		}
		if (have == STEP_LINE_MAX)
			return err_set(e, EMSGSIZE, "a step of more than %d bytes", STEP_LINE_MAX);
		n = read(STDIN_FILENO, line + have, STEP_LINE_MAX - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "cannot read a step");
		if (!n)
			return have ? err_set(e, EPIPE, "the input ended inside of a line") : 0;
		have += (size_t)n;
	}
}
