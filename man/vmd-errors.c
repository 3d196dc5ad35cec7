// SPDX-License-Identifier: MIT
/* Writes vmd-errors(7), in mdoc, from the catalogue and schemas/error.json. Run by the build. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/schema.h"

static const char errors_begin[] =
	".\\\" SPDX-License-Identifier: MIT\n"
	".\\\" Made from lib/errcat.h and schemas/error.json by man/vmd-errors.c.\n"
	".Dd November 21, 2026\n"
	".Dt VMD-ERRORS 7\n"
	".Os\n"
	".Sh NAME\n"
	".Nm vmd-errors\n"
	".Nd errors of vmd, vmctl and vmm\n"
	".Sh DESCRIPTION\n"
	"An error has a number and a name, which stay what they are in all versions, so that "
	"programs\n"
	"can tell one from another.\n"
	"Its message is for people, and may change.\n"
	".Pp\n"
	".Xr vmctl 1\n"
	"prints number and name in its\n"
	".Ql code:\\&\n"
	"line, and ends with the error's exit status.\n"
	"In an answer of\n"
	".Xr vmd 8\n"
	"an error has the members\n"
	".Ql code ,\n"
	".Ql message\n"
	"and\n"
	".Ql data ,\n"
	"an object of these:\n"
	".Bl -tag -width retry_after_ms\n"
	".It Cm name\n"
	"The error's name.\n"
	".It Cm op , target\n"
	"The method that failed, and the VM that it was to be done to.\n"
	".It Cm cause\n"
	"The reasons behind the message, a list, the nearest first.\n"
	".It Cm hint\n"
	"What to do about it, where that is known.\n"
	".It Cm path\n"
	"A JSON Pointer into the parameters, where one of them is wrong.\n"
	".It Cm retryable\n"
	"Whether the same request may succeed later without anybody having changed it.\n"
	".It Cm retry_after_ms\n"
	"After this time, what is in the way is over, where that is known: a stop that the guest "
	"has been given some time for.\n"
	".It Cm doc\n"
	"The command that prints what follows here.\n"
	".El\n"
	".Sh CATALOGUE\n"
	".Bl -tag -width Ds\n";

static const char errors_end[] = ".El\n"
				 ".Sh SEE ALSO\n"
				 ".Xr vmctl 1 ,\n"
				 ".Xr vm.yaml 5 ,\n"
				 ".Xr vmd 8\n";

/* A line for each sentence; what roff would take for a request or an escape is not one. */
static void errors_text(const char *text)
{
	bool begin = true;

	for (const char *p = text; *p; p++) {
		if (begin && strchr(".'", *p))
			fputs("\\&", stdout);
		begin = false;
		if (*p == '\\') {
			fputs("\\e", stdout);
		} else if (*p == ' ' && p > text && p[-1] == '.' && isupper((unsigned char)p[1])) {
			putchar('\n');
			begin = true;
		} else {
			putchar(*p);
		}
	}
	putchar('\n');
}

static void errors_part(const char *title, const char *text)
{
	printf(".Pp\n.Em %s :\n", title);
	errors_text(text);
}

static int errors_page(const struct errcat_entry *entry, struct json_object *page)
{
	const char *summary = json_get_str(page, "summary", "");
	char label[16];

	if (!summary[0]) {
		fprintf(stderr, "schemas/error.json: nothing of '%s'\n", entry->name);
		return -1;
	}
	printf(".It Sy %s Cm %s\n%c%s.\n", errcat_label(entry->code, label), entry->name,
	       toupper((unsigned char)summary[0]), summary + 1);
	printf("Exit status %d%s.\n", (int)entry->exit,
	       entry->retryable ? "; may be tried again" : "");
	errors_part("Cause", json_get_str(page, "cause", ""));
	errors_part("Check", json_get_str(page, "check", ""));
	errors_part("Fix", json_get_str(page, "fix", ""));
	return 0;
}

int main(void)
{
	AUTO_JSON struct json_object *pages = NULL;
	struct err e;

	if (schema_json("error.json", &pages, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return EXIT_FAILURE;
	}
	fputs(errors_begin, stdout);
	for (const struct errcat_entry *entry = errcat_entries; entry->name; entry++)
		if (errors_page(entry, json_get(pages, entry->name)) < 0)
			return EXIT_FAILURE;
	fputs(errors_end, stdout);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
