"""TARGETINFO and REPORT: local attestation (instruction notes 1.5, 1.6, 4)."""

from __future__ import annotations

from fusequote.arch.attributes import Attributes, MiscSelect
from fusequote.arch.layout import U8, U16, U32, Bytes, Reserved, Struct, Sub


class TargetInfo(Struct, size=512, align=512):
    """TARGETINFO: for whom EREPORT makes a report. MRSIGNER and SVNs of the target are not in it."""

    mrenclave = Bytes(0, 32, "MEASUREMENT of the target")
    attributes = Sub(32, Attributes, "ATTRIBUTES of the target")
    cet_attributes = U8(48)
    reserved1 = Reserved(49, 1)
    configsvn = U16(50)
    miscselect = U32(52, enum=MiscSelect)
    reserved2 = Reserved(56, 8)
    configid = Bytes(64, 64)
    reserved3 = Reserved(128, 384)


class ReportBody(Struct, size=384, title="REPORT body"):
    """The part of a REPORT that its MAC covers and that goes into a QUOTE."""

    cpusvn = Bytes(0, 16, "security versions of the CPU, one byte per component")
    miscselect = U32(16, "MISC region of the SSA", enum=MiscSelect)
    cet_attributes = U8(20)
    reserved1 = Reserved(21, 11)
    isvextprodid = Bytes(32, 16, "extended product id, KSS")
    attributes = Sub(48, Attributes)
    mrenclave = Bytes(64, 32, "measurement of the enclave")
    reserved2 = Reserved(96, 32)
    mrsigner = Bytes(128, 32, "hash of the signer's modulus")
    reserved3 = Reserved(160, 32)
    configid = Bytes(192, 64, "KSS")
    isvprodid = U16(256, "product id")
    isvsvn = U16(258, "security version of the enclave")
    configsvn = U16(260, "KSS")
    reserved4 = Reserved(262, 42)
    isvfamilyid = Bytes(304, 16, "KSS")
    reportdata = Bytes(320, 64, "chosen by the enclave")

    def target(self) -> TargetInfo:
        """TARGETINFO that makes the enclave of this report the target, for an answer to it."""
        return TargetInfo(
            mrenclave=self.mrenclave,
            attributes=self.attributes,
            cet_attributes=self.cet_attributes,
            configsvn=self.configsvn,
            miscselect=self.miscselect,
            configid=self.configid,
        )


class Report(Struct, size=432, align=512):
    """REPORT, EREPORT's answer. KEYID and MAC are not under the MAC."""

    COVER = ((0, 384, "MAC"),)

    body = Sub(0, ReportBody)
    keyid = Bytes(384, 32, "CR_REPORT_KEYID of the boot that made it")
    mac = Bytes(416, 16, "AES-128-CMAC(report key of the target, body)")
