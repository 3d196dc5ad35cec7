/* SPDX-License-Identifier: MIT */
/* The PC's fixed ports, interrupts and low memory: what ACPI tables, dsdt.asl and devices agree on. */
#ifndef VMM_X86_MAP_H
#define VMM_X86_MAP_H

/* Low guest memory, written at boot */
#define MAP_GDT 0x500
#define MAP_PVH_START_INFO 0x6000
#define MAP_BOOT_PARAMS 0x7000 /* Linux zero page */
#define MAP_PAGE_TABLES 0x9000 /* 3 levels with 2 MiB pages, identity, first 4 GiB: up to 0xf000 */
#define MAP_BOOT_STACK 0x8ff0
#define MAP_CMDLINE 0x20000	/* up to 2 KiB */
#define MAP_EBDA 0x9fc00	/* end of usable low memory */
#define MAP_ACPI_RSDP 0xe0000	/* found by scan too: ACPI 6.4, section 5.2.5.1 */
#define MAP_ACPI_TABLES 0xe0040 /* up to 0x100000 */
#define MAP_ACPI_FACS 0xe0040	/* the first table: read again when the guest wakes */
#define MAP_KERNEL 0x100000

/* ACPI fixed hardware: ACPI 6.4, section 4.8 */
#define MAP_PM1_EVT 0x600   /* PM1a_EVT_BLK, 4 bytes */
#define MAP_PM1_CNT 0x604   /* PM1a_CNT_BLK, 2 bytes */
#define MAP_PM_TMR 0x608    /* PM_TMR_BLK, 4 bytes, 3.579545 MHz, 32 bits wide */
#define MAP_GPE0 0x60c	    /* GPE0_BLK, 2 bytes: status and enable of 8 events */
#define MAP_RESET_REG 0xcf9 /* RESET_REG; RESET_VALUE 6 */
#define MAP_RESET_VALUE 6
#define MAP_S3_SLP_TYP 3 /* \_S3: suspend to RAM */
#define MAP_S5_SLP_TYP 5 /* \_S5: what SLP_TYP means soft off */
#define MAP_GPE_PCI 1	 /* \_GPE._E01: a PCI function comes or is to go */

/* Ports */
#define MAP_COM1 0x3f8
#define MAP_PCI_HOTPLUG 0x610 /* 16 bytes: pci/hotplug.h */
#define MAP_COM2 0x2f8
#define MAP_COM3 0x3e8
#define MAP_COM4 0x2e8
#define MAP_DMA1 0x00 /* 16 bytes: dev/i8237.h */
#define MAP_DMA2 0xc0 /* 32 bytes */
#define MAP_DMA_PAGES 0x80
#define MAP_FLOPPY 0x3f0     /* 6 bytes */
#define MAP_FLOPPY_DIR 0x3f7 /* 3F6h is the IDE controller's */
#define MAP_RTC 0x70
#define MAP_I8042_DATA 0x60
#define MAP_I8042_CMD 0x64
#define MAP_PORT92 0x92
#define MAP_VGA_MONO 0x3b0
#define MAP_VGA_COLOR 0x3c0
#define MAP_VGA_DISPI 0x1ce /* index; the data are at the odd port behind it */
#define MAP_PCI_ADDR 0xcf8
#define MAP_PCI_DATA 0xcfc
#define MAP_DEBUG_CONSOLE 0x402
#define MAP_PVPANIC 0x505
#define MAP_FW_CFG 0x510 /* 12 bytes: dev/fw_cfg.h */
#define MAP_DEBUG_TEXT 0xe9
#define MAP_DEBUG_EXIT 0xf4

/* Global system interrupts. ISA ones are edge, active high; the SCI is level, active high. */
#define MAP_GSI_PIT 2 /* ISA IRQ 0 by the MADT override */
#define MAP_GSI_KBD 1
#define MAP_GSI_AUX 12
#define MAP_GSI_COM2 3
#define MAP_GSI_COM1 4
#define MAP_GSI_COM3 5
#define MAP_GSI_COM4 7
#define MAP_GSI_FLOPPY 6
#define MAP_GSI_RTC 8
#define MAP_GSI_SCI 9
#define MAP_GSI_PCI 16	/* the pins of PCI functions: level, active low, shared */
#define MAP_GSI_PCI_N 8 /* MAP_GSI_PCI + (slot + pin - 1) % MAP_GSI_PCI_N; pin 1 is INTA# */
#define MAP_IOAPIC_PINS 24

#endif
