// SPDX-License-Identifier: MIT
/* JSON values as YAML, by libyaml's emitter: see vmfile.h. Any thread. */
#include "lib/vmfile.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "lib/auto.h"

struct vmfile_writer {
	yaml_emitter_t emitter;
	FILE *out; /* borrowed */
};

static int vmfile_flush(void *arg, unsigned char *data, size_t size)
{
	struct vmfile_writer *w = arg;

	return fwrite(data, 1, size, w->out) == size;
}

/* libyaml takes the event over, also when it fails */
static bool vmfile_emit(struct vmfile_writer *w, yaml_event_t *event, int ready)
{
	return ready && yaml_emitter_emit(&w->emitter, event);
}

/*
 * Would a reader of YAML 1.1 take it for something else? Those know "yes" and numbers like 00:03.0, and
 * people use them on what we write.
 */
static bool vmfile_looks_different(const char *text)
{
	static const char *const words[] = { "y", "n", "yes", "no", "on", "off" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(text, words[i]))
			return true;
	return text[0] && strchr("0123456789+-.", text[0]) &&
	       !text[strspn(text, "0123456789_:.,+-eExXoObB")];
}

static bool vmfile_write_text(struct vmfile_writer *w, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t ev;

	return vmfile_emit(w, &ev,
			   yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)text,
							(int)strlen(text), 1, 1, style));
}

static bool vmfile_is_string(const char *text)
{
	AUTO_JSON struct json_object *value = NULL;

	return vmfile_scalar(text, &value) >= 0 && json_object_is_type(value, json_type_string);
}

static bool vmfile_write_string(struct vmfile_writer *w, const char *text)
{
	if (strchr(text, '\n'))
		return vmfile_write_text(w, text, YAML_LITERAL_SCALAR_STYLE);
	if (!vmfile_is_string(text) || vmfile_looks_different(text))
		return vmfile_write_text(w, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
	return vmfile_write_text(w, text, YAML_ANY_SCALAR_STYLE);
}

static bool vmfile_write_value(struct vmfile_writer *w, struct json_object *value);

static bool vmfile_write_list(struct vmfile_writer *w, struct json_object *list)
{
	yaml_event_t ev;
	bool ok = vmfile_emit(w, &ev,
			      yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
								   YAML_BLOCK_SEQUENCE_STYLE));

	for (size_t i = 0; ok && i < json_object_array_length(list); i++)
		ok = vmfile_write_value(w, json_object_array_get_idx(list, i));
	return ok && vmfile_emit(w, &ev, yaml_sequence_end_event_initialize(&ev));
}

static bool vmfile_write_map(struct vmfile_writer *w, struct json_object *map)
{
	yaml_event_t ev;
	bool ok = vmfile_emit(w, &ev,
			      yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1,
								  YAML_BLOCK_MAPPING_STYLE));

	json_object_object_foreach(map, key, value) {
		ok = ok && vmfile_write_string(w, key) && vmfile_write_value(w, value);
	}
	return ok && vmfile_emit(w, &ev, yaml_mapping_end_event_initialize(&ev));
}

/* As deep as the reader reads (JSON_DEPTH_MAX). */
static bool vmfile_write_value(struct vmfile_writer *w, struct json_object *value)
{
	if (json_object_is_type(value, json_type_object))
		return vmfile_write_map(w, value);
	if (json_object_is_type(value, json_type_array))
		return vmfile_write_list(w, value);
	if (json_object_is_type(value, json_type_string))
		return vmfile_write_string(w, json_object_get_string(value));
	return vmfile_write_text(w, json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN),
				 YAML_PLAIN_SCALAR_STYLE);
}

static bool vmfile_write_document(struct vmfile_writer *w, struct json_object *value, bool first)
{
	yaml_event_t ev;

	return vmfile_emit(w, &ev,
			   yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, first)) &&
	       vmfile_write_value(w, value) &&
	       vmfile_emit(w, &ev, yaml_document_end_event_initialize(&ev, 1));
}

int vmfile_write(FILE *out, struct json_object *const *documents, size_t n, struct err *e)
{
	struct vmfile_writer w = { .out = out };
	yaml_event_t ev;
	bool ok;

	if (!yaml_emitter_initialize(&w.emitter))
		return err_ret(e, -ENOMEM, "cannot write YAML");
	yaml_emitter_set_output(&w.emitter, vmfile_flush, &w);
	yaml_emitter_set_unicode(&w.emitter, 1);
	yaml_emitter_set_width(&w.emitter, -1); /* no folding */
	ok = vmfile_emit(&w, &ev, yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING));
	for (size_t i = 0; ok && i < n; i++)
		ok = vmfile_write_document(&w, documents[i], i == 0);
	ok = ok && vmfile_emit(&w, &ev, yaml_stream_end_event_initialize(&ev));
	ok = ok && yaml_emitter_flush(&w.emitter);
	if (!ok)
		err_set(e, EIO, "cannot write YAML: %s",
			w.emitter.problem ? w.emitter.problem : "no memory");
	yaml_emitter_delete(&w.emitter);
	return ok ? 0 : -EIO;
}
