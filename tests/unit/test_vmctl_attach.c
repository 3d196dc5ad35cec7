// SPDX-License-Identifier: MIT
/* vmctl attach and detach against a scripted vmd: what is asked, what is printed, with which status. */
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "tests/lib/test.h"
#include "tests/unit/vmctl_peer.h"

#define VF_RESULT "{" VF_MEMBERS
#define VF_MEMBERS                                                                            \
	"\"name\":\"web\",\"device\":\"pci0\",\"type\":\"vfio-pci\",\"address\":\"00:05.0\"," \
	"\"pci\":\"0000:3b:10.2\",\"job\":\"j-1\",\"changed\":true}"

static void test_pci(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.attach",
		  "{\"passthrough\":{\"pci\":\"0000:3b:10.2\",\"id\":\"pci0\"},\"vm\":\"web\"}",
		  .result = VF_RESULT },
		{ 0 }
	};
	static const struct peer_row pool[] = { { "vm.attach",
						  "{\"passthrough\":{\"pool\":\"front\",\"mac\":"
						  "\"52:54:00:12:34:56\",\"vlan\":100},"
						  "\"vm\":\"web\",\"persist\":true,\"wait\":false}",
						  .result = VF_RESULT },
						{ 0 } };

	(void)state;
	peer_check(script, "attach web pci 0000:3b:10.2 --id pci0", NULL, 0,
		   "web: pci0 attached (0000:3b:10.2)\n", "");
	peer_check(script, "attach web pci 0000:3b:10.2 --id pci0 -q", NULL, 0, "pci0\n", "");
	peer_check(script, "attach web pci 0000:3b:10.2 --id pci0 --json", NULL, 0,
		   "{\"schema\":\"vmctl.attach/1\"," VF_MEMBERS "\n", "");
	peer_check(pool,
		   "attach web pci --pool front --mac 52:54:00:12:34:56 --vlan 100 --persist "
		   "--no-wait",
		   NULL, 0, "web: pci0 job j-1\n", "");
}

static void test_pci_settings(void **state)
{
	static const struct peer_row all[] = {
		{ "vm.attach",
		  "{\"passthrough\":{\"pci\":\"0000:3b:10.2\",\"vlan\":100,\"qos\":3,\"trust\":"
		  "true,"
		  "\"spoofchk\":false,\"rate\":{\"min\":100,\"max\":500}},\"vm\":\"web\"}",
		  .result = VF_RESULT },
		{ 0 }
	};
	static const struct peer_row most[] = {
		{ "vm.attach",
		  "{\"passthrough\":{\"pool\":\"p\",\"rate\":500},\"vm\":\"web\",\"dry_run\":true}",
		  .result = "{\"name\":\"web\",\"device\":\"pci0\",\"note\":\"would be attached\","
			    "\"changed\":false,\"plan\":{\"devices\":[{\"device\":\"pci0\",\"pci\":"
			    "\"0000:3b:10.2\",\"reason\":\"the only one\",\"steps\":[{\"do\":"
			    "\"unbind\",\"undo\":\"bind\"}]}],\"pinned\":1073741824,\"advice\":"
			    "\"huge pages\"}}" },
		{ 0 }
	};
	static const struct peer_row none[] = { { 0 } };
	static const char *const wrong[] = { "x",   "100-",  "-5",
					     "5-x", "1-2-3", "99999999999999999999" };

	(void)state;
	peer_check(all,
		   "attach web pci 0000:3b:10.2 --vlan 100 --qos 3 --trust on --spoofchk off "
		   "--rate 100-500",
		   NULL, 0, "web: pci0 attached (0000:3b:10.2)\n", "");
	peer_check(most, "attach web pci --pool p --rate 500 -n", NULL, 0,
		   "web: pci0 would be attached\n"
		   "  pci0: 0000:3b:10.2, the only one\n"
		   "    1. unbind\n"
		   "       undo: bind\n"
		   "  memory pinned: 1.0G\n"
		   "  huge pages\n",
		   "");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char command[100], said[200];

		snprintf(command, sizeof(command), "attach web pci --pool p --rate=%s", wrong[i]);
		snprintf(said, sizeof(said),
			 "vmctl: attach VM pci: --rate '%s' is not the most, or the least and the "
			 "most, in Mbit/s: 500, 100-500\n",
			 wrong[i]);
		peer_check(none, command, NULL, 2, "", said);
	}
}

static void test_disk_and_rng(void **state)
{
	static const struct peer_row disk[] = {
		{ "vm.attach",
		  "{\"device\":{\"type\":\"virtio-blk\",\"serial\":\"s\",\"readonly\":true,"
		  "\"path\":\"/d.img\"},\"vm\":\"web\",\"persist\":true}",
		  .result = "{\"name\":\"web\",\"device\":\"disk1\",\"revision\":4,\"changed\":"
			    "true}" },
		{ 0 }
	};
	static const struct peer_row dry[] = {
		{ "vm.attach",
		  "{\"device\":{\"type\":\"virtio-rng\"},\"vm\":\"web\",\"dry_run\":true}",
		  .result = "{\"name\":\"web\",\"device\":\"rng1\",\"note\":\"would be attached\","
			    "\"changed\":false}" },
		{ 0 }
	};

	static const struct peer_row scsi[] = {
		{ "vm.attach",
		  "{\"disk\":{\"lun\":7,\"path\":\"/d.img\"},\"controller\":\"scsi0\",\"vm\":"
		  "\"web\"}",
		  .result = "{\"name\":\"web\",\"device\":\"scsi0.7\",\"changed\":true}" },
		{ 0 }
	};
	static const struct peer_row ahci[] = {
		{ "vm.attach",
		  "{\"disk\":{\"unit\":3,\"path\":\"/d.img\"},\"controller\":\"ahci0\",\"vm\":"
		  "\"web\"}",
		  .result = "{\"name\":\"web\",\"device\":\"ahci0.3\",\"changed\":true}" },
		{ 0 }
	};
	static const struct peer_row cdrom[] = {
		{ "vm.attach",
		  "{\"disk\":{\"kind\":\"cdrom\",\"id\":\"cd\"},\"controller\":\"scsi0\",\"vm\":"
		  "\"web\"}",
		  .result = "{\"name\":\"web\",\"device\":\"cd\",\"changed\":true}" },
		{ 0 }
	};

	static const struct peer_row real[] = {
		{ "vm.attach",
		  "{\"disk\":{\"kind\":\"passthrough\",\"id\":\"tape\",\"lun\":2,\"path\":"
		  "\"/dev/sg2\"},\"controller\":\"scsi0\",\"vm\":\"web\",\"persist\":true}",
		  .result = "{\"name\":\"web\",\"device\":\"tape\",\"revision\":4,\"changed\":"
			    "true}" },
		{ 0 }
	};

	(void)state;
	peer_check(real, "attach web scsi /dev/sg2 --scsi scsi0 --lun 2 --id tape --persist", NULL,
		   0, "web: tape attached\n", "written into the definition: revision 4\n");
	peer_check(scsi, "attach web disk /d.img --scsi scsi0 --lun 7", NULL, 0,
		   "web: scsi0.7 attached\n", "");
	peer_check(ahci, "attach web disk /d.img --ahci ahci0 --unit 3", NULL, 0,
		   "web: ahci0.3 attached\n", "");
	peer_check(cdrom, "attach web cdrom --scsi scsi0 --id cd", NULL, 0, "web: cd attached\n",
		   "");
	peer_check(disk, "attach web disk /d.img -r --serial s --persist", NULL, 0,
		   "web: disk1 attached\n", "written into the definition: revision 4\n");
	peer_check(dry, "attach web rng -n", NULL, 0, "web: rng1 would be attached\n", "");
}

static void test_disk_options(void **state)
{
	static const struct peer_row all[] = {
		{ "vm.attach",
		  "{\"device\":{\"type\":\"virtio-blk\",\"format\":\"qcow2\",\"cache\":\"direct\","
		  "\"on_error\":\"stop\",\"bytes_per_second\":\"20MiB\",\"queues\":2,"
		  "\"ops_per_second\":500,\"burst_ms\":2000,\"share\":true,\"path\":\"/d.qcow2\","
		  "\"backing\":[\"/one\",\"/two\"]},\"vm\":\"web\"}",
		  .result = "{\"name\":\"web\",\"device\":\"disk1\",\"changed\":true}" },
		{ 0 }
	};
	static const struct peer_row none[] = { { 0 } };

	(void)state;
	peer_check(all,
		   "attach web disk /d.qcow2 --format qcow2 --backing /one --backing /two "
		   "--cache direct --on-error stop --share --queues 2 --bytes 20MiB --ops 500 "
		   "--burst 2s",
		   NULL, 0, "web: disk1 attached\n", "");
	peer_check(none, "attach web nic user --cache direct", NULL, 2, "",
		   "vmctl: attach VM nic: --cache goes with disk\n");
}

static void test_usage(void **state)
{
	static const struct peer_row none[] = { { 0 } };

	(void)state;
	peer_check(none, "attach web usb", NULL, 2, "",
		   "vmctl: attach: 'usb' is not pci, scsi, disk, cdrom, nic or rng\n");
	peer_check(none, "attach web pci", NULL, 2, "",
		   "vmctl: attach VM pci: give the ADDRESS of a device, or --pool\n");
	peer_check(none, "attach web pci 3b:10.2 --pool p", NULL, 2, "",
		   "vmctl: attach VM pci: give the ADDRESS of a device, or --pool\n");
	peer_check(none, "attach web disk", NULL, 2, "",
		   "vmctl: attach VM disk: give the PATH of its image\n");
	peer_check(none, "attach web disk /d --lun 1", NULL, 2, "",
		   "vmctl: attach VM disk: --lun goes with --scsi\n");
	peer_check(none, "attach web cdrom", NULL, 2, "",
		   "vmctl: attach VM cdrom: give its controller: --scsi ID, --ahci ID\n");
	peer_check(none, "attach web disk /d --scsi scsi0 --unit 1", NULL, 2, "",
		   "vmctl: attach VM disk: --unit goes with --ahci\n");
	peer_check(none, "attach web cdrom --scsi scsi0 --ahci ahci0", NULL, 2, "",
		   "vmctl: attach VM cdrom: --scsi and --ahci are two controllers\n");
	peer_check(none, "attach web scsi", NULL, 2, "",
		   "vmctl: attach VM scsi: give the PATH of a SCSI device of the host: /dev/sg2\n");
	peer_check(none, "attach web scsi /dev/sg2 --lun 1", NULL, 2, "",
		   "vmctl: attach VM scsi: give its controller: --scsi ID\n");
	peer_check(none, "attach web scsi /dev/sg2 --ahci ahci0", NULL, 2, "",
		   "vmctl: attach VM scsi: --ahci goes with disk\n");
	peer_check(none, "attach web disk /d --mac 1", NULL, 2, "",
		   "vmctl: attach VM disk: --mac goes with pci\n");
	peer_check(none, "attach web rng x", NULL, 2, "", "vmctl: attach VM rng: what is 'x'?\n");
}

static void test_detach(void **state)
{
	static const struct peer_row script[] = {
		{ "vm.detach", "{\"device\":\"pci0\",\"timeout_ms\":5000,\"vm\":\"web\"}",
		  .result = VF_RESULT },
		{ 0 }
	};
	static const struct peer_row note[] = {
		{ "vm.detach",
		  .result = "{\"name\":\"web\",\"device\":\"pci0\",\"note\":\"0000:3b:10.2 is in "
			    "quarantine: why\",\"changed\":true}" },
		{ 0 }
	};

	(void)state;
	peer_check(script, "detach web pci0 -t 5", NULL, 0, "web: pci0 detached (0000:3b:10.2)\n",
		   "");
	peer_check(note, "detach web pci0", NULL, 0, "web: pci0 detached\n",
		   "0000:3b:10.2 is in quarantine: why\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci),	     cmocka_unit_test(test_pci_settings),
		cmocka_unit_test(test_disk_and_rng), cmocka_unit_test(test_disk_options),
		cmocka_unit_test(test_usage),	     cmocka_unit_test(test_detach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
