// SPDX-License-Identifier: MIT
/*
 * VM files: see vmfile.h. libyaml's parser gives events; the tree is built from them without recursion.
 * Plain scalars are resolved by the core schema of YAML 1.2 (section 10.3.2): "yes", "on" and "no" stay
 * strings, 0x and 0o numbers are numbers. What YAML has beyond JSON (anchors, aliases, tags, documents)
 * is refused by name. A mark a value remembers its place; marks form the same tree as the values.
 * Any thread.
 */
#include "lib/vmfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/fdio.h"

#define VMFILE_SIZE_MAX (1024 * 1024)
#define VMFILE_VALUES_MAX 10000

struct vmfile_mark {
	size_t parent; /* index of the mark of what holds the value; the root is its own */
	char *token;   /* owned: key or index below it, as in a JSON Pointer without escapes */
	unsigned int line, column, key_line, key_column;
};

struct vmfile_level {
	struct json_object *container; /* borrowed from the tree */
	size_t mark;
	char *key; /* owned: of the member whose value comes next, or NULL */
	yaml_mark_t key_at;
};

struct vmfile_reader {
	yaml_parser_t parser;
	char name[sizeof(((struct vmfile *)0)->name)];
	struct vmfile *documents; /* owned */
	size_t n, max;
	struct vmfile *f; /* borrowed: the last of them */
	const char *text;
	size_t len;
	struct vmfile_level levels[JSON_DEPTH_MAX];
	unsigned int depth;
	struct err *e;
};

PRINTF_LIKE(4, 5)
static int vmfile_fail(struct vmfile_reader *r, size_t line, size_t column, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_SYNTAX, "%s:%zu:%zu: %s", r->name, line + 1, column + 1, what);
}

#define vmfile_fail_at(r, at, ...) vmfile_fail(r, (at).line, (at).column, __VA_ARGS__)

/* --- libyaml's own errors ------------------------------------------------------------------------- */

/* What cannot be read has an offset only. */
static int vmfile_fail_offset(struct vmfile_reader *r, size_t offset, const char *what)
{
	size_t line = 0, start = 0;

	for (size_t i = 0; i < offset && i < r->len; i++)
		if (r->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	return vmfile_fail(r, line, offset - start, "%s", what);
}

static int vmfile_fail_parser(struct vmfile_reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR)
		return err_set(r->e, ENOMEM, "%s: no memory", r->name);
	if (p->error == YAML_READER_ERROR)
		return vmfile_fail_offset(r, p->problem_offset, p->problem);
	for (size_t i = at.index; i > 0 && i < r->len && strchr(" \t", r->text[i - 1]); i--)
		if (r->text[i - 1] == '\t')
			return vmfile_fail_at(r, at, "a tab before this; YAML wants spaces here");
	if (at.index < r->len && r->text[at.index] == '\t')
		return vmfile_fail_at(r, at, "a tab; YAML wants spaces here");
	if (p->context && p->context_mark.index != at.index)
		return vmfile_fail_at(r, at, "%s %s that starts at %zu:%zu", p->problem, p->context,
				      p->context_mark.line + 1, p->context_mark.column + 1);
	return vmfile_fail_at(r, at, "%s", p->problem);
}

static int vmfile_plain(struct vmfile_reader *r, const char *text, yaml_mark_t at,
			struct json_object **ret_value)
{
	if (vmfile_scalar(text, ret_value) < 0)
		return vmfile_fail_at(r, at, "number %.40s is out of range", text);
	return 0;
}

/* --- the tree -------------------------------------------------------------------------------------- */

static int vmfile_add_mark(struct vmfile_reader *r, const char *token, size_t parent,
			   yaml_mark_t at, yaml_mark_t key_at)
{
	struct vmfile *f = r->f;
	struct vmfile_mark *m;

	if (f->nmarks == VMFILE_VALUES_MAX)
		return vmfile_fail_at(r, at, "more than %d values", VMFILE_VALUES_MAX);
	if (!(f->nmarks & (f->nmarks - 1))) { /* full at 0, 1, 2, 4, 8, … */
		size_t room = f->nmarks ? f->nmarks * 2 : 1;

		m = realloc(f->marks, room * sizeof(*m));
		if (!m)
			return err_set(r->e, ENOMEM, "%s: no memory", f->name);
		f->marks = m;
	}
	m = &f->marks[f->nmarks];
	*m = (struct vmfile_mark){ .parent = parent,
				   .token = strdup(token),
				   .line = (unsigned int)at.line + 1,
				   .column = (unsigned int)at.column + 1,
				   .key_line = (unsigned int)key_at.line + 1,
				   .key_column = (unsigned int)key_at.column + 1 };
	if (!m->token)
		return err_set(r->e, ENOMEM, "%s: no memory", f->name);
	f->nmarks++;
	return 0;
}

/* Put a value where the next one belongs. Takes it over. */
static int vmfile_put(struct vmfile_reader *r, struct json_object *take_value, yaml_mark_t at)
{
	AUTO_JSON struct json_object *value = take_value;
	struct vmfile_level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
	char index[24];
	int ret;

	if (!level) {
		ret = vmfile_add_mark(r, "", 0, at, at);
		if (ret < 0)
			return ret;
		r->f->root = TAKE_PTR(value);
		return 0;
	}
	if (level->key) {
		ret = vmfile_add_mark(r, level->key, level->mark, at, level->key_at);
		if (ret < 0)
			return ret;
		json_object_object_add(level->container, level->key, TAKE_PTR(value));
		free(TAKE_PTR(level->key));
		return 0;
	}
	snprintf(index, sizeof(index), "%zu", json_object_array_length(level->container));
	ret = vmfile_add_mark(r, index, level->mark, at, at);
	if (ret < 0)
		return ret;
	json_object_array_add(level->container, TAKE_PTR(value));
	return 0;
}

/* Is the next scalar a key? */
static bool vmfile_wants_key(const struct vmfile_reader *r)
{
	const struct vmfile_level *level = r->depth ? &r->levels[r->depth - 1] : NULL;

	return level && !level->key && json_object_is_type(level->container, json_type_object);
}

static int vmfile_on_key(struct vmfile_reader *r, const char *text, yaml_mark_t at)
{
	struct vmfile_level *level = &r->levels[r->depth - 1];

	if (json_object_object_get_ex(level->container, text, NULL))
		return vmfile_fail_at(r, at, "duplicate key '%.80s'", text);
	level->key = strdup(text);
	level->key_at = at;
	return level->key ? 0 : err_set(r->e, ENOMEM, "%s: no memory", r->name);
}

static int vmfile_on_scalar(struct vmfile_reader *r, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	struct json_object *value = NULL;
	yaml_mark_t at = ev->start_mark;
	int ret;

	if (ev->data.scalar.anchor)
		return vmfile_fail_at(r, at, "anchors are not supported");
	if (ev->data.scalar.tag)
		return vmfile_fail_at(r, at, "tags are not supported");
	if (strlen(text) != ev->data.scalar.length)
		return vmfile_fail_at(r, at, "a NUL character in a string is not supported");
	if (vmfile_wants_key(r))
		return vmfile_on_key(r, text, at);
	if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
		value = json_object_new_string(text);
	} else {
		ret = vmfile_plain(r, text, at, &value);
		if (ret < 0)
			return ret;
	}
	return vmfile_put(r, value, at);
}

static int vmfile_on_start(struct vmfile_reader *r, const yaml_event_t *ev)
{
	bool list = ev->type == YAML_SEQUENCE_START_EVENT;
	const yaml_char_t *anchor =
		list ? ev->data.sequence_start.anchor : ev->data.mapping_start.anchor;
	const yaml_char_t *tag = list ? ev->data.sequence_start.tag : ev->data.mapping_start.tag;
	struct json_object *container;
	int ret;

	if (anchor)
		return vmfile_fail_at(r, ev->start_mark, "anchors are not supported");
	if (tag)
		return vmfile_fail_at(r, ev->start_mark, "tags are not supported");
	if (vmfile_wants_key(r))
		return vmfile_fail_at(r, ev->start_mark, "a key must be a string");
	if (r->depth == JSON_DEPTH_MAX)
		return vmfile_fail_at(r, ev->start_mark, "more than %d levels", JSON_DEPTH_MAX);
	container = list ? json_object_new_array() : json_object_new_object();
	ret = vmfile_put(r, container, ev->start_mark);
	if (ret < 0)
		return ret;
	r->levels[r->depth++] =
		(struct vmfile_level){ .container = container, .mark = r->f->nmarks - 1 };
	return 0;
}

static int vmfile_on_document(struct vmfile_reader *r, const yaml_event_t *ev)
{
	struct vmfile *documents;

	if (r->n == r->max && r->max == 1)
		return vmfile_fail_at(r, ev->start_mark, "a second document; a file holds one");
	if (r->n == r->max)
		return vmfile_fail_at(r, ev->start_mark, "more than %zu documents", r->max);
	if (ev->data.document_start.tag_directives.start !=
	    ev->data.document_start.tag_directives.end)
		return vmfile_fail_at(r, ev->start_mark, "tags are not supported");
	documents = realloc(r->documents, (r->n + 1) * sizeof(*documents));
	if (!documents)
		return err_set(r->e, ENOMEM, "%s: no memory", r->name);
	r->documents = documents;
	r->f = &documents[r->n++];
	*r->f = (struct vmfile){ 0 };
	memcpy(r->f->name, r->name, sizeof(r->name));
	return 0;
}

static int vmfile_on_event(struct vmfile_reader *r, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return vmfile_on_document(r, ev);
	case YAML_ALIAS_EVENT:
		return vmfile_fail_at(r, ev->start_mark, "aliases are not supported");
	case YAML_SCALAR_EVENT:
		return vmfile_on_scalar(r, ev);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return vmfile_on_start(r, ev);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	default:
		return 0;
	}
}

static int vmfile_read_events(struct vmfile_reader *r)
{
	for (;;) {
		yaml_event_t ev;
		bool end;
		int ret;

		if (!yaml_parser_parse(&r->parser, &ev))
			return vmfile_fail_parser(r);
		end = ev.type == YAML_STREAM_END_EVENT;
		ret = vmfile_on_event(r, &ev);
		yaml_event_delete(&ev);
		if (ret < 0)
			return ret;
		if (end)
			return r->n ? 0 : vmfile_fail(r, 0, 0, "the file is empty");
	}
}

void vmfile_free_all(struct vmfile *files, size_t n)
{
	for (size_t i = 0; files && i < n; i++)
		vmfile_fini(&files[i]);
	free(files);
}

/* All documents of a text, at most max of them. */
static int vmfile_parse_all(const char *name, const char *text, size_t len, size_t max,
			    struct vmfile **ret_files, size_t *ret_n, struct err *e)
{
	struct vmfile_reader r = { .text = text, .len = len, .max = max, .e = e };
	int ret;

	snprintf(r.name, sizeof(r.name), "%s", name);
	if (len > VMFILE_SIZE_MAX)
		return err_set(e, ERR_SYNTAX, "%s: larger than %d bytes", r.name, VMFILE_SIZE_MAX);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(e, ENOMEM, "%s: no memory", r.name);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	ret = vmfile_read_events(&r);
	yaml_parser_delete(&r.parser);
	for (unsigned int i = 0; i < JSON_DEPTH_MAX; i++)
		free(r.levels[i].key);
	if (ret < 0) {
		vmfile_free_all(r.documents, r.n);
		return ret;
	}
	*ret_files = r.documents;
	*ret_n = r.n;
	return 0;
}

int vmfile_parse(const char *name, const char *text, size_t len, struct vmfile *ret_file,
		 struct err *e)
{
	struct vmfile *files;
	size_t n;
	int ret = vmfile_parse_all(name, text, len, 1, &files, &n, e);

	if (ret < 0)
		return ret;
	*ret_file = files[0];
	free(files);
	return 0;
}

/* --- files ----------------------------------------------------------------------------------------- */

static int vmfile_read(const char *path, char **ret_text, size_t *ret_len, struct err *e)
{
	bool standard = !strcmp(path, "-");
	AUTO_CLOSE int own = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct err why = { 0 };

	if (!standard && own < 0)
		return err_set(e, ERR_FILE, "cannot open '%s': %s", path, strerror(errno));
	if (fdio_read_file(standard ? STDIN_FILENO : own, VMFILE_SIZE_MAX, ret_text, ret_len,
			   &why) < 0)
		return err_set(e, ERR_FILE, "%s: %s", standard ? "<stdin>" : path, why.msg);
	return 0;
}

/* The folder of path, absolute. */
static int vmfile_dir(const char *path, char *out, size_t out_size, struct err *e)
{
	AUTO_FREE char *cwd = NULL;
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0, n;

	if (path[0] == '/') {
		n = (size_t)snprintf(out, out_size, "%.*s", (int)MAX(len, (size_t)1), path);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return err_errno(e, "cannot tell the current folder");
		n = (size_t)snprintf(out, out_size, "%s%s%.*s", cwd, len ? "/" : "", (int)len,
				     path);
	}
	return n < out_size ? 0 : err_set(e, ERR_FILE, "path too long: '%.80s...'", path);
}

static int vmfile_load_max(const char *path, size_t max, struct vmfile **ret_files, size_t *ret_n,
			   struct err *e)
{
	AUTO_FREE char *text = NULL;
	char dir[sizeof((*ret_files)->dir)];
	size_t len = 0;
	int ret;

	ret = vmfile_dir(path, dir, sizeof(dir), e);
	if (ret < 0)
		return ret;
	ret = vmfile_read(path, &text, &len, e);
	if (ret < 0)
		return ret;
	ret = vmfile_parse_all(strcmp(path, "-") ? path : "<stdin>", text, len, max, ret_files,
			       ret_n, e);
	for (size_t i = 0; ret >= 0 && i < *ret_n; i++)
		memcpy((*ret_files)[i].dir, dir, sizeof(dir));
	return ret;
}

int vmfile_load(const char *path, struct vmfile *ret_file, struct err *e)
{
	struct vmfile *files;
	size_t n;
	int ret = vmfile_load_max(path, 1, &files, &n, e);

	if (ret < 0)
		return ret;
	*ret_file = files[0];
	free(files);
	return 0;
}

/* "---" at the end of a file, or two in a row, hold nothing. */
static size_t vmfile_drop_empty(struct vmfile *files, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (files[i].root || n == 1)
			files[kept++] = files[i];
		else
			vmfile_fini(&files[i]);
	}
	return kept;
}

int vmfile_load_all(const char *path, struct vmfile **ret_files, size_t *ret_n, struct err *e)
{
	int ret = vmfile_load_max(path, VMFILE_DOCUMENTS_MAX, ret_files, ret_n, e);

	if (ret < 0)
		return ret;
	*ret_n = vmfile_drop_empty(*ret_files, *ret_n);
	if (*ret_n)
		return 0;
	free(*ret_files);
	return err_set(e, ERR_SYNTAX, "%s:1:1: the file is empty",
		       strcmp(path, "-") ? path : "<stdin>");
}

void vmfile_fini(struct vmfile *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nmarks; i++)
		free(f->marks[i].token);
	free(TAKE_PTR(f->marks));
	f->nmarks = 0;
	json_object_put(TAKE_PTR(f->root));
}

/* --- places ---------------------------------------------------------------------------------------- */

/* The token that p stands at, without its escapes; returns what follows it. NULL: it does not fit. */
static const char *vmfile_token(const char *p, char *out, size_t out_size)
{
	size_t n = 0;

	for (p++; *p && *p != '/'; p++) {
		if (n + 1 == out_size)
			return NULL;
		if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
			out[n++] = *++p == '0' ? '~' : '/';
		else
			out[n++] = *p;
	}
	out[n] = '\0';
	return p;
}

static size_t vmfile_child(const struct vmfile *f, size_t parent, const char *token)
{
	for (size_t i = parent + 1; i < f->nmarks; i++)
		if (f->marks[i].parent == parent && !strcmp(f->marks[i].token, token))
			return i;
	return 0; /* the root is nobody's child */
}

int vmfile_locate(const struct vmfile *f, const char *pointer, bool key, unsigned int *ret_line,
		  unsigned int *ret_column)
{
	const struct vmfile_mark *m;
	char token[256];
	size_t at = 0;

	if (!f->nmarks)
		return 0;
	for (const char *p = pointer; *p;) {
		p = *p == '/' ? vmfile_token(p, token, sizeof(token)) : NULL;
		at = p ? vmfile_child(f, at, token) : 0;
		if (!at)
			return 0;
	}
	m = &f->marks[at];
	*ret_line = key ? m->key_line : m->line;
	*ret_column = key ? m->key_column : m->column;
	return 1;
}
