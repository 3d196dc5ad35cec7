// SPDX-License-Identifier: MIT
/*
 * What stands on the picture of a console that a kernel draws: characters of 8 by 16 pixels, from the upper left corner on. Usage:
 * screentext FONT PICTURE.png, where FONT is 256 glyphs of 16 bytes, the leftmost pixel in bit 7. A '?' is what no character of
 * ASCII looks like, as the cursor.
 */
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_WIDTH 8
#define CELL_HEIGHT 16
#define FONT_SIZE (256 * CELL_HEIGHT)
#define RGB 3

struct screentext {
	uint8_t font[FONT_SIZE];
	png_image image;
	uint8_t *pixels; /* owned */
};

static int screentext_font(struct screentext *s, const char *path)
{
	FILE *f = fopen(path, "rbe");
	size_t n;

	if (!f) {
		perror(path);
		return -1;
	}
	n = fread(s->font, 1, sizeof(s->font), f);
	fclose(f);
	if (n == sizeof(s->font))
		return 0;
	fprintf(stderr, "%s: shorter than a font of %d bytes\n", path, FONT_SIZE);
	return -1;
}

static int screentext_picture(struct screentext *s, const char *path)
{
	s->image.version = PNG_IMAGE_VERSION;
	if (png_image_begin_read_from_file(&s->image, path)) {
		s->image.format = PNG_FORMAT_RGB;
		s->pixels = malloc(PNG_IMAGE_SIZE(s->image));
		if (s->pixels && png_image_finish_read(&s->image, NULL, s->pixels, 0, NULL))
			return 0;
	}
	fprintf(stderr, "%s: %s\n", path, s->image.message);
	png_image_free(&s->image);
	return -1;
}

/* The line of a cell as the font has it: a pixel that is not black is set. */
static uint8_t screentext_bits(const struct screentext *s, size_t x, size_t y)
{
	const uint8_t *p = s->pixels + (y * s->image.width + x) * RGB;
	unsigned int bits = 0;

	for (unsigned int i = 0; i < CELL_WIDTH; i++, p += RGB)
		bits = bits << 1 | (p[0] || p[1] || p[2]);
	return (uint8_t)bits;
}

static char screentext_char(const struct screentext *s, size_t x, size_t y)
{
	uint8_t glyph[CELL_HEIGHT];

	for (unsigned int i = 0; i < CELL_HEIGHT; i++)
		glyph[i] = screentext_bits(s, x, y + i);
	for (char c = ' '; c <= '~'; c++)
		if (!memcmp(s->font + (size_t)c * CELL_HEIGHT, glyph, CELL_HEIGHT))
			return c;
	return '?';
}

/* A line without the blanks at its end */
static void screentext_line(const struct screentext *s, size_t y)
{
	size_t blanks = 0;

	for (size_t x = 0; x + CELL_WIDTH <= s->image.width; x += CELL_WIDTH) {
		char c = screentext_char(s, x, y);

		if (c == ' ') {
			blanks++;
			continue;
		}
		printf("%*s%c", (int)blanks, "", c);
		blanks = 0;
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct screentext s = { 0 };

	if (argc != 3) {
		fputs("usage: screentext FONT PICTURE.png\n", stderr);
		return 2;
	}
	if (screentext_font(&s, argv[1]) || screentext_picture(&s, argv[2]))
		return 1;
	for (size_t y = 0; y + CELL_HEIGHT <= s.image.height; y += CELL_HEIGHT)
		screentext_line(&s, y);
	free(s.pixels);
	return fflush(stdout) ? 1 : 0;
}
