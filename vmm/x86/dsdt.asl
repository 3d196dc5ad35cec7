// SPDX-License-Identifier: MIT
//
// The part of the ACPI namespace that is the same in every machine (ACPI 6.4, chapters 5 and 6). What
// depends on the definition is asked through integers that an SSDT made at boot brings: acpi.c,
// acpi_ssdt(); each is 1 where the device is there. Addresses: map.h and gmem.h.
//
// Processors are in the MADT alone.
DefinitionBlock ("", "DSDT", 2, "VMD   ", "VMM     ", 1)
{
    External (HCM1, IntObj)
    External (HCM2, IntObj)
    External (HCM3, IntObj)
    External (HCM4, IntObj)
    External (HRTC, IntObj)
    External (HKBD, IntObj)
    External (HECM, IntObj)
    External (HFDC, IntObj)
    External (HPVP, IntObj)
    External (P32B, IntObj)
    External (P32L, IntObj)
    External (P64B, IntObj)
    External (P64L, IntObj)

    // Suspend to RAM: SLP_TYP is MAP_S3_SLP_TYP
    Name (\_S3, Package () { 3, 3, 0, 0 })

    // Soft off: SLP_TYP is MAP_S5_SLP_TYP
    Name (\_S5, Package () { 5, 5, 0, 0 })

    // MAP_GPE_PCI; its status bit is cleared before: what comes meanwhile runs it again
    Scope (\_GPE)
    {
        Method (_E01, 0, Serialized)
        {
            \_SB.PCI0.PHPE ()
        }
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))     // PCI Express host bridge
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_SEG, 0)
            Name (_BBN, 0)
            Name (CRES, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x00FF, 0x0000, 0x0100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                // P32L bytes from P32B on: _CRS
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000, , , W32)
            })

            // The window of 64 bits, P64L bytes from P64B on, where there is one; not said to be
            // prefetchable, which would keep BARs out that are not
            Name (CR64, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                    0x0000000000000000, 0x0000000100000000, 0x00000001FFFFFFFF,
                    0x0000000000000000, 0x0000000100000000, , , W64)
            })

            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (CRES, \_SB.PCI0.W32._MIN, VMIN)
                CreateDWordField (CRES, \_SB.PCI0.W32._MAX, VMAX)
                CreateDWordField (CRES, \_SB.PCI0.W32._LEN, VLEN)
                Store (\P32B, VMIN)
                Add (\P32B, Subtract (\P32L, 1), VMAX)
                Store (\P32L, VLEN)
                If (LEqual (\P64L, 0))
                {
                    Return (CRES)
                }
                CreateQWordField (CR64, \_SB.PCI0.W64._MIN, WMIN)
                CreateQWordField (CR64, \_SB.PCI0.W64._MAX, WMAX)
                CreateQWordField (CR64, \_SB.PCI0.W64._LEN, WLEN)
                Store (\P64B, WMIN)
                Add (\P64B, Subtract (\P64L, 1), WMAX)
                Store (\P64L, WLEN)
                Return (ConcatenateResTemplate (CRES, CR64))
            }

            // Section 6.2.13: where pci/intx.c routes the pins of each slot; level, active low as PCI has it
            Name (_PRT, Package ()
            {
                Package () { 0x0000FFFF, 0, 0, 16 }, Package () { 0x0000FFFF, 1, 0, 17 },
                Package () { 0x0000FFFF, 2, 0, 18 }, Package () { 0x0000FFFF, 3, 0, 19 },
                Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0001FFFF, 1, 0, 18 },
                Package () { 0x0001FFFF, 2, 0, 19 }, Package () { 0x0001FFFF, 3, 0, 20 },
                Package () { 0x0002FFFF, 0, 0, 18 }, Package () { 0x0002FFFF, 1, 0, 19 },
                Package () { 0x0002FFFF, 2, 0, 20 }, Package () { 0x0002FFFF, 3, 0, 21 },
                Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0003FFFF, 1, 0, 20 },
                Package () { 0x0003FFFF, 2, 0, 21 }, Package () { 0x0003FFFF, 3, 0, 22 },
                Package () { 0x0004FFFF, 0, 0, 20 }, Package () { 0x0004FFFF, 1, 0, 21 },
                Package () { 0x0004FFFF, 2, 0, 22 }, Package () { 0x0004FFFF, 3, 0, 23 },
                Package () { 0x0005FFFF, 0, 0, 21 }, Package () { 0x0005FFFF, 1, 0, 22 },
                Package () { 0x0005FFFF, 2, 0, 23 }, Package () { 0x0005FFFF, 3, 0, 16 },
                Package () { 0x0006FFFF, 0, 0, 22 }, Package () { 0x0006FFFF, 1, 0, 23 },
                Package () { 0x0006FFFF, 2, 0, 16 }, Package () { 0x0006FFFF, 3, 0, 17 },
                Package () { 0x0007FFFF, 0, 0, 23 }, Package () { 0x0007FFFF, 1, 0, 16 },
                Package () { 0x0007FFFF, 2, 0, 17 }, Package () { 0x0007FFFF, 3, 0, 18 },
                Package () { 0x0008FFFF, 0, 0, 16 }, Package () { 0x0008FFFF, 1, 0, 17 },
                Package () { 0x0008FFFF, 2, 0, 18 }, Package () { 0x0008FFFF, 3, 0, 19 },
                Package () { 0x0009FFFF, 0, 0, 17 }, Package () { 0x0009FFFF, 1, 0, 18 },
                Package () { 0x0009FFFF, 2, 0, 19 }, Package () { 0x0009FFFF, 3, 0, 20 },
                Package () { 0x000AFFFF, 0, 0, 18 }, Package () { 0x000AFFFF, 1, 0, 19 },
                Package () { 0x000AFFFF, 2, 0, 20 }, Package () { 0x000AFFFF, 3, 0, 21 },
                Package () { 0x000BFFFF, 0, 0, 19 }, Package () { 0x000BFFFF, 1, 0, 20 },
                Package () { 0x000BFFFF, 2, 0, 21 }, Package () { 0x000BFFFF, 3, 0, 22 },
                Package () { 0x000CFFFF, 0, 0, 20 }, Package () { 0x000CFFFF, 1, 0, 21 },
                Package () { 0x000CFFFF, 2, 0, 22 }, Package () { 0x000CFFFF, 3, 0, 23 },
                Package () { 0x000DFFFF, 0, 0, 21 }, Package () { 0x000DFFFF, 1, 0, 22 },
                Package () { 0x000DFFFF, 2, 0, 23 }, Package () { 0x000DFFFF, 3, 0, 16 },
                Package () { 0x000EFFFF, 0, 0, 22 }, Package () { 0x000EFFFF, 1, 0, 23 },
                Package () { 0x000EFFFF, 2, 0, 16 }, Package () { 0x000EFFFF, 3, 0, 17 },
                Package () { 0x000FFFFF, 0, 0, 23 }, Package () { 0x000FFFFF, 1, 0, 16 },
                Package () { 0x000FFFFF, 2, 0, 17 }, Package () { 0x000FFFFF, 3, 0, 18 },
                Package () { 0x0010FFFF, 0, 0, 16 }, Package () { 0x0010FFFF, 1, 0, 17 },
                Package () { 0x0010FFFF, 2, 0, 18 }, Package () { 0x0010FFFF, 3, 0, 19 },
                Package () { 0x0011FFFF, 0, 0, 17 }, Package () { 0x0011FFFF, 1, 0, 18 },
                Package () { 0x0011FFFF, 2, 0, 19 }, Package () { 0x0011FFFF, 3, 0, 20 },
                Package () { 0x0012FFFF, 0, 0, 18 }, Package () { 0x0012FFFF, 1, 0, 19 },
                Package () { 0x0012FFFF, 2, 0, 20 }, Package () { 0x0012FFFF, 3, 0, 21 },
                Package () { 0x0013FFFF, 0, 0, 19 }, Package () { 0x0013FFFF, 1, 0, 20 },
                Package () { 0x0013FFFF, 2, 0, 21 }, Package () { 0x0013FFFF, 3, 0, 22 },
                Package () { 0x0014FFFF, 0, 0, 20 }, Package () { 0x0014FFFF, 1, 0, 21 },
                Package () { 0x0014FFFF, 2, 0, 22 }, Package () { 0x0014FFFF, 3, 0, 23 },
                Package () { 0x0015FFFF, 0, 0, 21 }, Package () { 0x0015FFFF, 1, 0, 22 },
                Package () { 0x0015FFFF, 2, 0, 23 }, Package () { 0x0015FFFF, 3, 0, 16 },
                Package () { 0x0016FFFF, 0, 0, 22 }, Package () { 0x0016FFFF, 1, 0, 23 },
                Package () { 0x0016FFFF, 2, 0, 16 }, Package () { 0x0016FFFF, 3, 0, 17 },
                Package () { 0x0017FFFF, 0, 0, 23 }, Package () { 0x0017FFFF, 1, 0, 16 },
                Package () { 0x0017FFFF, 2, 0, 17 }, Package () { 0x0017FFFF, 3, 0, 18 },
                Package () { 0x0018FFFF, 0, 0, 16 }, Package () { 0x0018FFFF, 1, 0, 17 },
                Package () { 0x0018FFFF, 2, 0, 18 }, Package () { 0x0018FFFF, 3, 0, 19 },
                Package () { 0x0019FFFF, 0, 0, 17 }, Package () { 0x0019FFFF, 1, 0, 18 },
                Package () { 0x0019FFFF, 2, 0, 19 }, Package () { 0x0019FFFF, 3, 0, 20 },
                Package () { 0x001AFFFF, 0, 0, 18 }, Package () { 0x001AFFFF, 1, 0, 19 },
                Package () { 0x001AFFFF, 2, 0, 20 }, Package () { 0x001AFFFF, 3, 0, 21 },
                Package () { 0x001BFFFF, 0, 0, 19 }, Package () { 0x001BFFFF, 1, 0, 20 },
                Package () { 0x001BFFFF, 2, 0, 21 }, Package () { 0x001BFFFF, 3, 0, 22 },
                Package () { 0x001CFFFF, 0, 0, 20 }, Package () { 0x001CFFFF, 1, 0, 21 },
                Package () { 0x001CFFFF, 2, 0, 22 }, Package () { 0x001CFFFF, 3, 0, 23 },
                Package () { 0x001DFFFF, 0, 0, 21 }, Package () { 0x001DFFFF, 1, 0, 22 },
                Package () { 0x001DFFFF, 2, 0, 23 }, Package () { 0x001DFFFF, 3, 0, 16 },
                Package () { 0x001EFFFF, 0, 0, 22 }, Package () { 0x001EFFFF, 1, 0, 23 },
                Package () { 0x001EFFFF, 2, 0, 16 }, Package () { 0x001EFFFF, 3, 0, 17 },
                Package () { 0x001FFFFF, 0, 0, 23 }, Package () { 0x001FFFFF, 1, 0, 16 },
                Package () { 0x001FFFFF, 2, 0, 17 }, Package () { 0x001FFFFF, 3, 0, 18 }
            })

            // Hot-plug, pci/hotplug.h: a bit a slot. A device check (section 5.6.6) has the guest look at
            // a slot, an eject request has it let the function go and run _EJ0 (section 6.3.3)
            OperationRegion (PCHP, SystemIO, 0x0610, 0x10)
            Field (PCHP, DWordAcc, NoLock, WriteAsZeros)
            {
                PCIU, 32,       // has come; write 1 to clear
                PCID, 32,       // is to go; write 1 to clear
                PCIP, 32,       // is there
                PCIE, 32        // written: the guest has let it go
            }

            Method (PSTA, 1, NotSerialized)
            {
                If (And (ShiftRight (PCIP, Arg0), 1))
                {
                    Return (0x0F)
                }
                Return (0)
            }

            Method (PEJT, 1, NotSerialized)
            {
                Store (ShiftLeft (1, Arg0), PCIE)
            }

            Device (S001)
            {
                Name (_ADR, 0x00010000)
                Name (_SUN, 1)
                Method (_STA) { Return (PSTA (1)) }
                Method (_EJ0, 1) { PEJT (1) }
            }
            Device (S002)
            {
                Name (_ADR, 0x00020000)
                Name (_SUN, 2)
                Method (_STA) { Return (PSTA (2)) }
                Method (_EJ0, 1) { PEJT (2) }
            }
            Device (S003)
            {
                Name (_ADR, 0x00030000)
                Name (_SUN, 3)
                Method (_STA) { Return (PSTA (3)) }
                Method (_EJ0, 1) { PEJT (3) }
            }
            Device (S004)
            {
                Name (_ADR, 0x00040000)
                Name (_SUN, 4)
                Method (_STA) { Return (PSTA (4)) }
                Method (_EJ0, 1) { PEJT (4) }
            }
            Device (S005)
            {
                Name (_ADR, 0x00050000)
                Name (_SUN, 5)
                Method (_STA) { Return (PSTA (5)) }
                Method (_EJ0, 1) { PEJT (5) }
            }
            Device (S006)
            {
                Name (_ADR, 0x00060000)
                Name (_SUN, 6)
                Method (_STA) { Return (PSTA (6)) }
                Method (_EJ0, 1) { PEJT (6) }
            }
            Device (S007)
            {
                Name (_ADR, 0x00070000)
                Name (_SUN, 7)
                Method (_STA) { Return (PSTA (7)) }
                Method (_EJ0, 1) { PEJT (7) }
            }
            Device (S008)
            {
                Name (_ADR, 0x00080000)
                Name (_SUN, 8)
                Method (_STA) { Return (PSTA (8)) }
                Method (_EJ0, 1) { PEJT (8) }
            }
            Device (S009)
            {
                Name (_ADR, 0x00090000)
                Name (_SUN, 9)
                Method (_STA) { Return (PSTA (9)) }
                Method (_EJ0, 1) { PEJT (9) }
            }
            Device (S010)
            {
                Name (_ADR, 0x000A0000)
                Name (_SUN, 10)
                Method (_STA) { Return (PSTA (10)) }
                Method (_EJ0, 1) { PEJT (10) }
            }
            Device (S011)
            {
                Name (_ADR, 0x000B0000)
                Name (_SUN, 11)
                Method (_STA) { Return (PSTA (11)) }
                Method (_EJ0, 1) { PEJT (11) }
            }
            Device (S012)
            {
                Name (_ADR, 0x000C0000)
                Name (_SUN, 12)
                Method (_STA) { Return (PSTA (12)) }
                Method (_EJ0, 1) { PEJT (12) }
            }
            Device (S013)
            {
                Name (_ADR, 0x000D0000)
                Name (_SUN, 13)
                Method (_STA) { Return (PSTA (13)) }
                Method (_EJ0, 1) { PEJT (13) }
            }
            Device (S014)
            {
                Name (_ADR, 0x000E0000)
                Name (_SUN, 14)
                Method (_STA) { Return (PSTA (14)) }
                Method (_EJ0, 1) { PEJT (14) }
            }
            Device (S015)
            {
                Name (_ADR, 0x000F0000)
                Name (_SUN, 15)
                Method (_STA) { Return (PSTA (15)) }
                Method (_EJ0, 1) { PEJT (15) }
            }
            Device (S016)
            {
                Name (_ADR, 0x00100000)
                Name (_SUN, 16)
                Method (_STA) { Return (PSTA (16)) }
                Method (_EJ0, 1) { PEJT (16) }
            }
            Device (S017)
            {
                Name (_ADR, 0x00110000)
                Name (_SUN, 17)
                Method (_STA) { Return (PSTA (17)) }
                Method (_EJ0, 1) { PEJT (17) }
            }
            Device (S018)
            {
                Name (_ADR, 0x00120000)
                Name (_SUN, 18)
                Method (_STA) { Return (PSTA (18)) }
                Method (_EJ0, 1) { PEJT (18) }
            }
            Device (S019)
            {
                Name (_ADR, 0x00130000)
                Name (_SUN, 19)
                Method (_STA) { Return (PSTA (19)) }
                Method (_EJ0, 1) { PEJT (19) }
            }
            Device (S020)
            {
                Name (_ADR, 0x00140000)
                Name (_SUN, 20)
                Method (_STA) { Return (PSTA (20)) }
                Method (_EJ0, 1) { PEJT (20) }
            }
            Device (S021)
            {
                Name (_ADR, 0x00150000)
                Name (_SUN, 21)
                Method (_STA) { Return (PSTA (21)) }
                Method (_EJ0, 1) { PEJT (21) }
            }
            Device (S022)
            {
                Name (_ADR, 0x00160000)
                Name (_SUN, 22)
                Method (_STA) { Return (PSTA (22)) }
                Method (_EJ0, 1) { PEJT (22) }
            }
            Device (S023)
            {
                Name (_ADR, 0x00170000)
                Name (_SUN, 23)
                Method (_STA) { Return (PSTA (23)) }
                Method (_EJ0, 1) { PEJT (23) }
            }
            Device (S024)
            {
                Name (_ADR, 0x00180000)
                Name (_SUN, 24)
                Method (_STA) { Return (PSTA (24)) }
                Method (_EJ0, 1) { PEJT (24) }
            }
            Device (S025)
            {
                Name (_ADR, 0x00190000)
                Name (_SUN, 25)
                Method (_STA) { Return (PSTA (25)) }
                Method (_EJ0, 1) { PEJT (25) }
            }
            Device (S026)
            {
                Name (_ADR, 0x001A0000)
                Name (_SUN, 26)
                Method (_STA) { Return (PSTA (26)) }
                Method (_EJ0, 1) { PEJT (26) }
            }
            Device (S027)
            {
                Name (_ADR, 0x001B0000)
                Name (_SUN, 27)
                Method (_STA) { Return (PSTA (27)) }
                Method (_EJ0, 1) { PEJT (27) }
            }
            Device (S028)
            {
                Name (_ADR, 0x001C0000)
                Name (_SUN, 28)
                Method (_STA) { Return (PSTA (28)) }
                Method (_EJ0, 1) { PEJT (28) }
            }
            Device (S029)
            {
                Name (_ADR, 0x001D0000)
                Name (_SUN, 29)
                Method (_STA) { Return (PSTA (29)) }
                Method (_EJ0, 1) { PEJT (29) }
            }
            Device (S030)
            {
                Name (_ADR, 0x001E0000)
                Name (_SUN, 30)
                Method (_STA) { Return (PSTA (30)) }
                Method (_EJ0, 1) { PEJT (30) }
            }
            Device (S031)
            {
                Name (_ADR, 0x001F0000)
                Name (_SUN, 31)
                Method (_STA) { Return (PSTA (31)) }
                Method (_EJ0, 1) { PEJT (31) }
            }

            Method (PNTF, 2, NotSerialized)
            {
                If (And (Arg0, 0x00000002)) { Notify (S001, Arg1) }
                If (And (Arg0, 0x00000004)) { Notify (S002, Arg1) }
                If (And (Arg0, 0x00000008)) { Notify (S003, Arg1) }
                If (And (Arg0, 0x00000010)) { Notify (S004, Arg1) }
                If (And (Arg0, 0x00000020)) { Notify (S005, Arg1) }
                If (And (Arg0, 0x00000040)) { Notify (S006, Arg1) }
                If (And (Arg0, 0x00000080)) { Notify (S007, Arg1) }
                If (And (Arg0, 0x00000100)) { Notify (S008, Arg1) }
                If (And (Arg0, 0x00000200)) { Notify (S009, Arg1) }
                If (And (Arg0, 0x00000400)) { Notify (S010, Arg1) }
                If (And (Arg0, 0x00000800)) { Notify (S011, Arg1) }
                If (And (Arg0, 0x00001000)) { Notify (S012, Arg1) }
                If (And (Arg0, 0x00002000)) { Notify (S013, Arg1) }
                If (And (Arg0, 0x00004000)) { Notify (S014, Arg1) }
                If (And (Arg0, 0x00008000)) { Notify (S015, Arg1) }
                If (And (Arg0, 0x00010000)) { Notify (S016, Arg1) }
                If (And (Arg0, 0x00020000)) { Notify (S017, Arg1) }
                If (And (Arg0, 0x00040000)) { Notify (S018, Arg1) }
                If (And (Arg0, 0x00080000)) { Notify (S019, Arg1) }
                If (And (Arg0, 0x00100000)) { Notify (S020, Arg1) }
                If (And (Arg0, 0x00200000)) { Notify (S021, Arg1) }
                If (And (Arg0, 0x00400000)) { Notify (S022, Arg1) }
                If (And (Arg0, 0x00800000)) { Notify (S023, Arg1) }
                If (And (Arg0, 0x01000000)) { Notify (S024, Arg1) }
                If (And (Arg0, 0x02000000)) { Notify (S025, Arg1) }
                If (And (Arg0, 0x04000000)) { Notify (S026, Arg1) }
                If (And (Arg0, 0x08000000)) { Notify (S027, Arg1) }
                If (And (Arg0, 0x10000000)) { Notify (S028, Arg1) }
                If (And (Arg0, 0x20000000)) { Notify (S029, Arg1) }
                If (And (Arg0, 0x40000000)) { Notify (S030, Arg1) }
                If (And (Arg0, 0x80000000)) { Notify (S031, Arg1) }
            }

            Method (PHPE, 0, Serialized)
            {
                Store (PCIU, Local0)
                Store (Local0, PCIU)
                PNTF (Local0, 1)
                Store (PCID, Local0)
                Store (Local0, PCID)
                PNTF (Local0, 3)
            }

            // PCI Firmware 3.2, section 4.5.1: the guest may have what PCI Express offers
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (LEqual (Arg0, ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")))
                {
                    CreateDWordField (Arg3, 8, CDW3)
                    Store (CDW3, Local0)
                    And (Local0, 0x1F, Local0)
                    If (LNotEqual (Arg1, 1))
                    {
                        Or (CDW1, 0x08, CDW1)   // unknown revision
                    }
                    If (LNotEqual (CDW3, Local0))
                    {
                        Or (CDW1, 0x10, CDW1)   // capabilities masked
                    }
                    Store (Local0, CDW3)
                }
                Else
                {
                    Or (CDW1, 0x04, CDW1)       // unknown UUID
                }
                Return (Arg3)
            }
        }

        // What no device claims and nobody else may take
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0600, 0x0600, 1, 0x20)              // MAP_PM1_EVT to MAP_PCI_HOTPLUG
                Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)   // GMEM_IOAPIC_BASE
                Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000)   // GMEM_LAPIC_BASE
            })
        }

        // GMEM_ECAM_START, where the host bridge has it
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 1)
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HECM, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000)
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 1)
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HCM1, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }

        Device (COM2)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 2)
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HCM2, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                IRQNoFlags () { 3 }
            })
        }

        Device (COM3)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 3)
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HCM3, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03E8, 0x03E8, 1, 8)
                IRQNoFlags () { 5 }
            })
        }

        Device (COM4)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 4)
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HCM4, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02E8, 0x02E8, 1, 8)
                IRQNoFlags () { 7 }
            })
        }

        // With its DMA controllers: dev/i8237.h
        Device (DMAC)
        {
            Name (_HID, EisaId ("PNP0200"))
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HFDC, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0000, 0x0000, 1, 0x10)
                IO (Decode16, 0x0080, 0x0080, 1, 0x10)
                IO (Decode16, 0x00C0, 0x00C0, 1, 0x20)
                DMA (Compatibility, NotBusMaster, Transfer8) { 4 }
            })
        }

        Device (FDC0)
        {
            Name (_HID, EisaId ("PNP0700"))
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HFDC, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F2, 0x03F2, 1, 4)
                IO (Decode16, 0x03F7, 0x03F7, 1, 1)
                IRQNoFlags () { 6 }
                DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
            })
        }

        Device (RTC0)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HRTC, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
                IRQNoFlags () { 8 }
            })
        }

        Device (KBD0)
        {
            Name (_HID, EisaId ("PNP0303"))     // PS/2 keyboard
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HKBD, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0060, 0x0060, 1, 1)
                IO (Decode16, 0x0064, 0x0064, 1, 1)
                IRQNoFlags () { 1 }
            })
        }

        // The panic port: docs/specs/pvpanic of QEMU
        Device (PEVT)
        {
            Name (_HID, "QEMU0001")
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HPVP, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0505, 0x0505, 1, 1)
            })
            OperationRegion (PEOR, SystemIO, 0x0505, 1)
            Field (PEOR, ByteAcc, NoLock, Preserve)
            {
                PEPT, 8
            }
            Method (RDPT, 0, NotSerialized)
            {
                Return (PEPT)
            }
            Method (WRPT, 1, NotSerialized)
            {
                PEPT = Arg0
            }
        }

        Device (MOU0)
        {
            Name (_HID, EisaId ("PNP0F13"))     // PS/2 mouse
            Method (_STA, 0, NotSerialized)
            {
                Return (Multiply (\HKBD, 0x0F))
            }
            Name (_CRS, ResourceTemplate ()
            {
                IRQNoFlags () { 12 }
            })
        }
    }
}
