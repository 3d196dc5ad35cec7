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
    External (P64B, IntObj)
    External (P64L, IntObj)

    // Soft off: SLP_TYP is MAP_S5_SLP_TYP
    Name (\_S5, Package () { 5, 5, 0, 0 })

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
                // GMEM_PCI_MMIO_START, GMEM_PCI_MMIO_SIZE
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
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
                IO (Decode16, 0x0600, 0x0600, 1, 0x0E)              // MAP_PM1_EVT to MAP_GPE0
                Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000)   // GMEM_ECAM_START
                Memory32Fixed (ReadWrite, 0xFEC00000, 0x00001000)   // GMEM_IOAPIC_BASE
                Memory32Fixed (ReadWrite, 0xFEE00000, 0x00001000)   // GMEM_LAPIC_BASE
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
