// SPDX-License-Identifier: MIT
/* vmctl completion: the scripts of completions/, for who has no package that installs them. */
#include "vmctl/completion.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/embed.h"
#include "lib/errcat.h"
#include "vmctl/vmctl.h"

const struct completion completions[] = {
	{ "bash", "vmctl.bash" },
	{ "zsh", "_vmctl" },
	{ "fish", "vmctl.fish" },
	{ NULL, NULL },
};

static const struct embed *completion_find(const char *shell)
{
	const struct embed *f = embed_completions;

	for (const struct completion *c = completions; c->shell; c++) {
		if (strcmp(c->shell, shell) != 0)
			continue;
		while (f->name && strcmp(f->name, c->file) != 0)
			f++;
		return f->name ? f : NULL;
	}
	return NULL;
}

int cmd_completion(struct vmctl *v)
{
	const char *shell = v->args.operands[0];
	const struct embed *f = completion_find(shell);

	if (!f)
		return vmctl_usage(v, "no completion for '%s': bash, zsh or fish", shell);
	if (v->out.format == OUTPUT_JSON) {
		AUTO_JSON struct json_object *doc =
			json_add_str(json_add_str(json_new(), "shell", shell), "script", f->data);

		output_json(&v->out, "completion", doc);
	} else {
		fwrite(f->data, 1, f->size, v->out.out);
	}
	return EXIT_OK;
}
