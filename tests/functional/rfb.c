// SPDX-License-Identifier: MIT
/* See rfb.h. */
#include "tests/functional/rfb.h"

#include <stdlib.h>
#include <string.h>

#include "tests/functional/harness.h"

#define RFB_TURN_US 100000

static const char *rfb_password; /* the library asks without saying for whom it is */

static char *rfb_get_password(rfbClient *client)
{
	(void)client;
	return rfb_password ? strdup(rfb_password) : NULL;
}

static struct rfb *rfb_of(rfbClient *client)
{
	return rfbClientGetClientData(client, rfb_of);
}

static void rfb_finished(rfbClient *client)
{
	rfb_of(client)->nupdates++;
}

static rfbBool rfb_resized(rfbClient *client)
{
	struct rfb *r = rfb_of(client);
	size_t size = (size_t)client->width * (size_t)client->height * 4;

	free(r->pixels);
	client->frameBuffer = r->pixels = calloc(1, size);
	client->updateRect =
		(typeof(client->updateRect)){ .w = client->width, .h = client->height };
	r->nresized++;
	return client->frameBuffer != NULL;
}

bool rfb_connect(struct rfb *r, const char *host, int port, const char *encodings,
		 const char *password)
{
	*r = (struct rfb){ .client = rfbGetClient(8, 3, 4) };
	rfbEnableClientLogging = getenv("RFBLOG") != NULL;
	rfbClientSetClientData(r->client, rfb_of, r);
	rfb_password = password;
	r->client->GetPassword = rfb_get_password;
	r->client->MallocFrameBuffer = rfb_resized;
	r->client->FinishedFrameBufferUpdate = rfb_finished;
	r->client->canHandleNewFBSize = TRUE;
	r->client->appData.encodingsString = encodings;
	r->client->appData.useRemoteCursor = FALSE;
	r->client->appData.enableJPEG = FALSE; /* pictures are exact without */
	free(r->client->serverHost);
	r->client->serverHost = strdup(host);
	r->client->serverPort = port;
	if (rfbInitClient(r->client, NULL, NULL))
		return true;
	r->client = NULL; /* it has freed it, but not what was allocated here */
	free(r->pixels);
	return false;
}

void rfb_close(struct rfb *r)
{
	if (!r->client)
		return;
	r->client->frameBuffer = NULL;
	rfbClientCleanup(r->client);
	free(r->pixels);
	r->client = NULL;
}

uint32_t rfb_pixel(const struct rfb *r, unsigned int x, unsigned int y)
{
	const rfbClient *c = r->client;
	uint32_t val;

	memcpy(&val, c->frameBuffer + 4 * ((size_t)y * (size_t)c->width + x), sizeof(val));
	return (val >> c->format.redShift & 0xff) << 16 |
	       (val >> c->format.greenShift & 0xff) << 8 | (val >> c->format.blueShift & 0xff);
}

bool rfb_until(struct rfb *r, bool (*done)(struct rfb *r, const void *arg), const void *arg)
{
	int64_t end = harness_now_ms() + HARNESS_WAIT_MS;

	while (!done(r, arg)) {
		int n = WaitForMessage(r->client, RFB_TURN_US);

		if (n < 0 || (n > 0 && !HandleRFBServerMessage(r->client)))
			return false;
		if (harness_now_ms() > end)
			fail_msg("a viewer has waited in vain");
	}
	return true;
}

static bool rfb_more(struct rfb *r, const void *arg)
{
	return r->nupdates > *(const unsigned int *)arg;
}

void rfb_update(struct rfb *r)
{
	unsigned int had = r->nupdates;

	assert_true(rfb_until(r, rfb_more, &had));
}

struct rfb_picture {
	unsigned int width, height;
	const uint8_t *rgb;
};

static bool rfb_is(struct rfb *r, const void *arg)
{
	const struct rfb_picture *p = arg;
	const uint8_t *at = p->rgb;

	if (r->client->width != (int)p->width || r->client->height != (int)p->height)
		return false;
	for (unsigned int y = 0; y < p->height; y++)
		for (unsigned int x = 0; x < p->width; x++, at += 3)
			if (rfb_pixel(r, x, y) !=
			    ((uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2]))
				return false;
	return true;
}

void rfb_expect(struct rfb *r, unsigned int width, unsigned int height, const uint8_t *rgb)
{
	const struct rfb_picture p = { width, height, rgb };

	assert_true(rfb_until(r, rfb_is, &p));
}

void rfb_key(struct rfb *r, uint32_t keysym, bool down)
{
	assert_true(SendKeyEvent(r->client, keysym, down));
}
