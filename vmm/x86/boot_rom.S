/* SPDX-License-Identifier: MIT */
/*
 * The option ROM by which a BIOS starts a kernel: BIOS Boot Specification 1.01, section 3.3 (a bootstrap entry vector), with
 * the expansion header of the Plug and Play BIOS Specification 1.0A, section 3.2. Real mode. It has what boot_rom_items
 * names read to memory by fw_cfg's DMA, and begins there: "Running the Kernel" of Documentation/arch/x86/boot.rst.
 * boot_bios.c fills in the items and the sum.
 */
	.set FW_CFG_DMA, 0x514
	.set SCRATCH, 0x7c00	/* where a boot sector would be */
	.set SETUP, 0x1000	/* boot_bios.c: BIOS_SETUP, a segment */
	.set STACK, 0xfff0	/* in it, below the command line */

	.section .rodata
	.code16
	.balign 16
	.globl boot_rom
boot_rom:
	.short 0xaa55
	.byte 1			/* of 512 bytes */
	xor %ax, %ax
	lret
	.org boot_rom + 0x1a
	.short pnp - boot_rom

pnp:
	.ascii "$PnP"
	.byte 1, 2		/* revision, 16 bytes each */
	.short 0		/* no other header */
	.byte 0, 0		/* reserved, a sum that nobody looks at */
	.long 0
	.short name - boot_rom	/* manufacturer */
	.short name - boot_rom
	.byte 0, 0, 0		/* kind of device */
	.byte 0
	.short 0, 0		/* no disk, nothing to disconnect */
	.short start - boot_rom
	.short 0, 0

name:
	.asciz "kernel"

	.balign 16
boot_rom_items:			/* as the device takes them */
	.zero 32

start:
	cli
	cld
	xor %ax, %ax
	mov %ax, %es
	mov %cs, %ax
	mov %ax, %ds
	mov $(boot_rom_items - boot_rom), %si
	mov $2, %bx
next:
	mov $SCRATCH, %di
	mov $8, %cx
	rep movsw
	xor %eax, %eax
	mov $FW_CFG_DMA, %dx
	outl %eax, %dx
	mov $((SCRATCH & 0xff) << 24 | (SCRATCH & 0xff00) << 8), %eax
	mov $(FW_CFG_DMA + 4), %dx
	outl %eax, %dx
wait:
	mov %es:SCRATCH, %eax
	test $0x01000000, %eax	/* the error bit, big endian */
	jnz failed
	test %eax, %eax
	jnz wait
	dec %bx
	jnz next

	mov $SETUP, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov $STACK, %sp
	ljmp $(SETUP + 0x20), $0
failed:
	int $0x18		/* what the BIOS would start from next */

	.org boot_rom + 512

	/* for boot_bios.c, behind what is the guest's */
	.balign 2
	.globl boot_rom_items_at
boot_rom_items_at:
	.short boot_rom_items - boot_rom

	.section .note.GNU-stack, "", @progbits
