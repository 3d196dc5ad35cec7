/* SPDX-License-Identifier: MIT */
/*
 * Entry by PVH (Xen docs/misc/pvh.pandoc): 32-bit, no paging, EBX = start info; from there to long mode
 * with an identity map of 5 GiB, and to guest_main(start_info), whose result is the exit status. Other
 * vCPUs come from the trampoline at the end (smp_start copies it) to smp_main(index).
 */
	.set CODE64, 0x08
	.set DATA, 0x10
	.set CODE32, 0x18
	.set TRAMPOLINE, 0x8000

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start32

	.macro enter_long target
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax
	mov %eax, %cr0
	ljmp $CODE64, $\target
	.endm

	.text
	.code32
	.globl start32
start32:
	cli
	mov %ebx, %ebp
	lgdt gdt_desc
	enter_long start64
ap32:
	enter_long ap64

	.code64
start64:
	mov $stack_top, %rsp
	mov %ebp, %edi
	call guest_main
	mov %eax, %edi
	call guest_exit
ap64:
	mov $1, %eax
	lock xadd %eax, smp_started
	inc %eax
	mov %eax, %edi
	shl $12, %eax
	lea ap_stacks(%rax), %rsp
	call smp_main
1:	cli
	hlt
	jmp 1b

	.globl interrupt_stubs
	.balign 16
interrupt_stubs:
	.set i, 0
	.rept 256
	.balign 16
	push $i
	jmp interrupt_common
	.set i, i + 1
	.endr
interrupt_common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov 72(%rsp), %rdi
	lea 80(%rsp), %rsi
	cld
	call interrupt
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $8, %rsp
	iretq

	.globl interrupt_wakes
interrupt_wakes:
	push %rax
	mov $0xfee000b0, %eax	/* LAPIC_EOI */
	movl $0, (%rax)
	pop %rax
	iretq

	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + ap_gdt_desc - trampoline
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $CODE32, $ap32
	.balign 4
ap_gdt_desc:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.data
	.balign 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_end:
gdt_desc:
	.word gdt_end - gdt - 1
	.long gdt

	.balign 4096
pml4:	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:	.set i, 0
	.rept 5
	.quad pd + i * 0x1000 + 3
	.set i, i + 1
	.endr
	.fill 507, 8, 0
pd:	.set i, 0
	.rept 5 * 512
	.quad (i << 21) + 0x83
	.set i, i + 1
	.endr

	.bss
	.balign 16
	.globl smp_started
smp_started: .skip 16
ap_stacks: .skip 32 * 4096
	.skip 16384
stack_top:
	.section .note.GNU-stack, "", @progbits
