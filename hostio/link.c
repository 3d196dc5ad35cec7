// SPDX-License-Identifier: MIT
/*
 * A PF's network interface, and what its driver keeps of its VFs. Property by property, so that an error names the one;
 * a driver is busy while its VF resets, so those errors are tried again for a while; what a driver says it has done is
 * read back.
 */
#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <string.h>

#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"

#define LINK_RETRY_MS 1500    /* of HOSTIO_MS */
#define LINK_CARRIER_MS 5000  /* two ends agree upon a speed */
#define LINK_PAUSE_MS 10      /* doubled each time, */
#define LINK_PAUSE_MAX_MS 640 /* up to this */
#define LINK_MACS_MAX 2048    /* more than the kernel tells of */
#define LINK_VFS_MAX 65535

/* Flags of an interface, as /sys has them: "0x1003". */
static int link_is_up(struct kernel *k, const char *netdev, bool *ret_up, struct err *e)
{
	char path[STEP_PATH], text[32];
	unsigned int flags;
	ssize_t n;

	snprintf(path, sizeof(path), "sys/class/net/%s/flags", netdev);
	n = hostfs_read(&k->fs, path, text, sizeof(text), e);
	if (n < 0)
		return (int)n;
	if (sscanf(text, "%x", &flags) != 1)
		return err_set(e, ERR_HOST_WRITE, "'/%s' holds no flags", path);
	*ret_up = flags & IFF_UP;
	return 0;
}

static int link_set(struct kernel *k, bool up, struct json_object **ret_result, struct err *e)
{
	char netdev[STEP_NAME];
	struct err why = { 0 };
	bool was = false;
	int ret = step_netdev(k, k->device, netdev, e);

	if (ret >= 0)
		ret = link_is_up(k, netdev, &was, e);
	if (ret < 0)
		return ret;
	if (was != up)
		ret = k->ops->link(k, netdev, up, &why);
	if (ret == -EPERM)
		return err_set(e, ERR_DENIED,
			       "vmd may not change network interfaces (CAP_NET_ADMIN)");
	if (ret < 0)
		return err_set(e, ERR_HOST_WRITE, "%s (%s) does not go %s: %s", netdev, k->device,
			       up ? "up" : "down", why.msg);
	*ret_result = json_add_str(json_new(), "was", was ? "up" : "down");
	return 0;
}

int step_link_up(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e)
{
	(void)step;
	return link_set(k, true, ret_result, e);
}

int step_link_down(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		   struct err *e)
{
	(void)step;
	return link_set(k, false, ret_result, e);
}

int step_vf_read(struct kernel *k, const char *pf, unsigned int n, struct vf *ret_vf, struct err *e)
{
	char netdev[STEP_NAME];
	struct err why = { 0 };
	int ret = step_netdev(k, pf, netdev, e);

	if (ret < 0)
		return ret;
	ret = k->ops->vf_get(k, netdev, n, ret_vf, &why);
	if (ret == -ENODEV)
		return err_set(e, ERR_HOST_GONE, "%s (%s) has no VF %u", netdev, pf, n);
	if (ret < 0)
		return err_set(e, ERR_HOST_WRITE, "cannot read VF %u of %s (%s): %s", n, netdev, pf,
			       why.msg);
	return 0;
}

int step_vf_get(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e)
{
	struct vf vf = { 0 };
	unsigned int n;
	int ret = step_uint(step, "vf", LINK_VFS_MAX, &n, e);

	if (ret >= 0)
		ret = step_vf_read(k, k->device, n, &vf, e);
	if (ret >= 0)
		*ret_result = vf_json(&vf);
	return ret;
}

static int link_add_mac(void *arg, unsigned int vf, const uint8_t mac[static 6])
{
	struct json_object *macs = arg;
	char text[18] = "";

	if (vf >= LINK_MACS_MAX)
		return -E2BIG;
	/* what the kernel leaves out has none */
	while (json_object_array_length(macs) < vf)
		json_object_array_add(macs, json_object_new_string(""));
	if (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5])
		snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			 mac[2], mac[3], mac[4], mac[5]);
	json_object_array_put_idx(macs, vf, json_object_new_string(text));
	return 0;
}

int step_vf_macs(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		 struct err *e)
{
	AUTO_JSON struct json_object *macs = json_object_new_array();
	char netdev[STEP_NAME];
	struct err why = { 0 };
	int ret = step_netdev(k, k->device, netdev, e);

	(void)step;
	if (ret < 0)
		return ret;
	if (k->ops->vf_macs(k, netdev, link_add_mac, macs, &why) < 0)
		return err_set(e, ERR_HOST_WRITE, "cannot read the VFs of %s (%s): %s", netdev,
			       k->device, why.msg);
	*ret_result = json_add(json_new(), "macs", TAKE_PTR(macs));
	return 0;
}

/* Whether the interface has a link: a file that cannot be read while it is down. */
static bool link_has_carrier(struct kernel *k, const char *netdev)
{
	char path[STEP_PATH], text[8];

	snprintf(path, sizeof(path), "sys/class/net/%s/carrier", netdev);
	return hostfs_read(&k->fs, path, text, sizeof(text), NULL) > 0 && text[0] == '1';
}

struct link_change {
	struct kernel *k;
	char netdev[STEP_NAME];
	unsigned int vf;
	int64_t until_ms, carrier_ms;
	struct vf want;
};

/* Drivers divide the speed of the link (igb, ixgbe): without one, as just after "up", they call a rate invalid. */
static bool link_needs_carrier(enum vf_part part, int ret)
{
	return part == VF_RATE && ret == -EINVAL;
}

/* What is refused: which property, of which VF, by which driver, and why. */
static int link_refused(struct link_change *c, enum vf_part part, const struct err *why, int ret,
			struct err *e)
{
	char text[96], driver[STEP_NAME];

	if (ret == -EPERM || ret == -EACCES)
		return err_set(e, ERR_DENIED, "vmd may not set up VFs (CAP_NET_ADMIN)");
	step_driver_name(c->k, c->k->device, driver);
	err_set(e, ERR_HOST_VF, "driver %s refuses %s for VF %u of %s (%s): %s",
		driver[0] ? driver : "(none)", vf_part_text(part, &c->want, text, sizeof(text)),
		c->vf, c->k->device, c->netdev, why->msg);
	if (ret == -EOPNOTSUPP) /* as a VM file names it */
		return err_hint(e, "it does not have this property: leave '%s' out",
				part == VF_RATE ? "rate" : vf_part_name(part));
	if (ret == -EBUSY || ret == -EAGAIN)
		return err_hint(e,
				"it was tried for %d ms; the VF may still be resetting: try again",
				LINK_RETRY_MS);
	if (link_needs_carrier(part, ret) && !link_has_carrier(c->k, c->netdev))
		return err_hint(e,
				"%s has no link, and a rate is a share of its speed: plug in the "
				"cable, or leave '%s' out",
				c->netdev, vf_part_name(part));
	return err_hint(e, "dmesg | grep %s", c->k->device);
}

static int link_set_part(struct link_change *c, enum vf_part part, struct err *e)
{
	unsigned int pause_ms = LINK_PAUSE_MS;
	int64_t until_ms = c->until_ms;
	struct err why;
	bool carrier;
	int ret;

	do {
		why = (struct err){ 0 };
		carrier = link_has_carrier(c->k, c->netdev);
		ret = c->k->ops->vf_set(c->k, c->netdev, c->vf, part, &c->want, &why);
		if (link_needs_carrier(part, ret) && !carrier)
			until_ms = c->carrier_ms;
		else if (ret != -EBUSY && ret != -EAGAIN)
			break;
		pause_ms = MIN(pause_ms * 2, LINK_PAUSE_MAX_MS);
	} while (step_pause(until_ms, pause_ms / 2));
	return ret < 0 ? link_refused(c, part, &why, ret, e) : 0;
}

static int link_compare(struct link_change *c, struct err *e)
{
	char want[96], have[96];
	struct vf now = { 0 };
	int ret = step_vf_read(c->k, c->k->device, c->vf, &now, e);

	for (enum vf_part part = 0; ret >= 0 && part < VF_PARTS; part++)
		if ((c->want.has & now.has & BIT(part)) && !vf_part_equal(part, &c->want, &now))
			return err_set(e, ERR_HOST_VF,
				       "VF %u of %s (%s) has %s after %s was set without an error",
				       c->vf, c->k->device, c->netdev,
				       vf_part_text(part, &now, have, sizeof(have)),
				       vf_part_text(part, &c->want, want, sizeof(want)));
	return ret;
}

int step_vf_set(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e)
{
	struct link_change c = { .k = k,
				 .until_ms = step_now_ms() + LINK_RETRY_MS,
				 .carrier_ms = step_now_ms() + LINK_CARRIER_MS };
	struct vf now = { 0 };
	int ret = step_uint(step, "vf", LINK_VFS_MAX, &c.vf, e);

	(void)ret_result;
	if (ret >= 0)
		ret = step_netdev(k, k->device, c.netdev, e);
	if (ret >= 0)
		ret = step_vf_read(k, k->device, c.vf, &now, e);
	if (ret >= 0)
		ret = vf_parse(json_get(step, "set"), &now, &c.want, e);
	/* what is as wanted is left alone: a driver without a property refuses its default, too */
	for (enum vf_part part = 0; ret >= 0 && part < VF_PARTS; part++)
		if ((c.want.has & BIT(part)) &&
		    (!(now.has & BIT(part)) || !vf_part_equal(part, &c.want, &now)))
			ret = link_set_part(&c, part, e);
	return ret < 0 ? ret : link_compare(&c, e);
}
