"""Where everything lies: workspace, request, key slots, numbers of the link. docs/chip.md shows the same map.

Logical addresses, as the programs use them: a slot's own 2,048 bytes at 0x0000 (of the slot selected), globals and
scratch from 0x1000, the request being executed from 0x2000.
"""

from __future__ import annotations

# -- limits -------------------------------------------------------------------------------------------------------
SLOTS = 4
TCS_PER_SLOT = 4
MAX_CONTENTS = 4608

# -- a slot: the SECS in its own layout, then what the architecture leaves undocumented -------------------------
SECS_SIZE = 0x000
SECS_BASEADDR = 0x008
SECS_SSAFRAMESIZE = 0x010
SECS_MISCSELECT = 0x014
SECS_CET_LEG_BITMAP = 0x018
SECS_CET_ATTRIBUTES = 0x020
SECS_ATTRIBUTES = 0x030
SECS_XFRM = 0x038
SECS_MRENCLAVE = 0x040
SECS_MRSIGNER = 0x080
SECS_CONFIGID = 0x0C0
SECS_ISVPRODID = 0x100
SECS_ISVSVN = 0x102
SECS_CONFIGSVN = 0x104
SECS_BYTES = 4096
#: 0 free, 1 building, 2 initialised
STATE = 0x108
FREE, BUILDING, INITIALISED = 0, 1, 2
#: page type of the open page, 0: none
OPEN_TYPE = 0x109
PT_SECS, PT_TCS, PT_REG = 0, 1, 2
#: chunks with an entry key that were extended: 0, 1, 2 for more
ENTRY_KEYS = 0x10A
EID = 0x110
#: address of the open page
OPEN_PAGE = 0x118
#: state of the measurement, and how many blocks went into it
MEASUREMENT = 0x120
BLOCKS = 0x140
ISVFAMILYID = 0x150
ISVEXTPRODID = 0x160
#: the first bytes of the open page when it is a TCS; the rest of a TCS is zero
TCS_COPY = 0x170
TCS_COPY_BYTES = 80
#: SHA-256 of the modulus of the entry key, the open challenge, and whether there is one
ENTRY_HASH = 0x1C0
NONCE = 0x1E0
NONCE_SET = 0x1F0
#: one record of 64 bytes a TCS
TCS = 0x200
TCS_LINADDR = 0
TCS_OENTRY = 8
TCS_NSSA = 16
TCS_CSSA = 20
#: 0 none, 1 inactive, 2 active
TCS_STATE = 24
TCS_NONE, TCS_INACTIVE, TCS_ACTIVE = 0, 1, 2
TCS_TICKET = 32
TCS_BYTES = 64
PADDING = 0x300
PADDING_BYTES = 352
#: the link expected next in the entry of each TCS, 32 bytes every 64
CHAIN_LINKS = 0x480
SLOT_BYTES = 2048

# -- globals ------------------------------------------------------------------------------------------------------
GLOBALS = 0x1000
LEPUBKEYHASH = 0x1000
OWNEREPOCH = 0x1020
CPUSVN = 0x1030
REPORT_KEYID = 0x1040
NEXT_EID = 0x1060
DEVICE_ID = 0x1068
LAST_SEQ = 0x1078
OWNEREPOCH_SET = 0x1079
#: the chip has booted as locked
READY = 0x107A
LIFE_CYCLE = 0x107B
#: of the fuses: generations bit mask, options, map version
GENERATIONS = 0x107C
OPTIONS = 0x107D
MAP_VERSION = 0x107E
BOOT_FAILED = 0x107F
#: bytes of the kept answer; 0: none
KEPT_LENGTH = 0x1080
CPUSVN_GENERATIONS = 8
LIFE_BLANK, LIFE_MANUFACTURED, LIFE_LOCKED, LIFE_SCRAPPED = 0x00, 0x01, 0x03, 0x80
OPTION_LEPUBKEYHASH_LOCKED, OPTION_P256 = 1, 2

# -- scratch, wiped after each command ----------------------------------------------------------------------------
SCRATCH = 0x1100
SCRATCH_BYTES = 0x400
#: what a key depends on, in the order of KD1 (notes 5.2), as far as it is not taken from elsewhere
KD = 0x1100
KD_KEYNAME = KD + 0
KD_KEYPOLICY = KD + 2
KD_ISVPRODID = KD + 4
KD_ISVSVN = KD + 6
KD_CONFIGSVN = KD + 8
KD_CET = KD + 10
KD_CETMASK = KD + 11
KD_MISCSELECT = KD + 12
KD_MISCMASK = KD + 16
KD_ATTRIBUTES = KD + 32
KD_ATTRIBUTEMASK = KD + 48
KD_OWNEREPOCH = KD + 64
KD_CPUSVN = KD + 80
KD_MRENCLAVE = KD + 96
KD_MRSIGNER = KD + 128
KD_KEYID = KD + 160
KD_CONFIGID = KD + 192
KD_ISVFAMILYID = KD + 256
KD_ISVEXTPRODID = KD + 272
KD_BYTES = 288
#: 0: the sealing fuses enter as zeros
KD_WITH_FUSES = 0x1220
#: 0: PADDING is the constant, else the slot's own
KD_OWN_PADDING = 0x1221
FOUND_SLOT = 0x1228
FOUND_TCS = 0x1229
FOUND = 0x122A
TEMP = 0x1240
TEMP_BYTES = 64
STEPS = 0x1280
OPEN_LENGTH = 0x1290
#: of a command with a ticket: its length, by how much it is longer than without ``next``, and its bits in the link
TICKETED_LENGTH = 0x1292
TICKETED_EXTRA = 0x1294
TICKETED_BITS = 0x1296
RANDOM = 0x12A0
GENERATIONS_NOW = 0x12B0
SVN_NOW = 0x1310
#: walking over the generations: number of the last burnt one, bit of the one looked at, its row
SVN_NUMBER = 0x1320
SVN_BIT = 0x1321
SVN_ROW = 0x1330
TMP_MRENCLAVE = 0x12C0
TMP_MRSIGNER = 0x12E0
#: what a signature recovered, high byte first, and the hash that it should end in
RECOVERED = 0x1340
RECOVERED_BYTES = 384
TMP_HASH = 0x14C0
#: ``next`` of a chained command
NEXT_LINK = 0x14E0

# -- answers ------------------------------------------------------------------------------------------------------
#: the answer being made, then kept: op, seq, status, body
OUT = 0x1800
OUT_STATUS = OUT + 2
OUT_BODY = OUT + 4
OUT_BYTES = 4 + 432
#: answers of unnumbered commands, NAKs and refusals of the link, which must not touch the kept one
SIDE = 0x1A00
SIDE_BYTES = 4 + 64

# -- the request ----------------------------------------------------------------------------------------------------
REQUEST = 0x2000
OP = REQUEST
SEQ = REQUEST + 1
BODY = REQUEST + 2
HANDLE_BYTES = 9
TICKET_BYTES = 16
#: bytes of a bank that a damaged frame may have written
BANK_WIPE = MAX_CONTENTS

# -- key slots ------------------------------------------------------------------------------------------------------
#: the 16 chains of the CPUSVN ratchet, at the current CPUSVN
CHAIN = 0
#: the same, walked to the CPUSVN asked for
WALKED = 16
KEY_RNG = 32
KEY_TEMP = 33
CHAINS = 16
#: K(CPUSVN) for the current CPUSVN
KEY_CURRENT = 34
#: what the maker authorises with
KEY_MAKER = 35
KEY_SLOT_COUNT = 36

# -- the link -------------------------------------------------------------------------------------------------------
OP_ANSWER = 0x80
LINK_VERSION = 1
BLOCK_VERSION = 2
FUSE_MAP_VERSION = 1
KD_PROFILE_KD1 = 1
WINDOW = 2

#: What the top of the recovered SIGSTRUCT block has to be.
PADDING_CONSTANT = (b"\x00\x01" + b"\xff" * 330 + b"\x00"
                    + bytes.fromhex("3031300d060960864801650304020105000420"))
