"""Domain parameters of Intel EPID 2.0: one Barreto-Naehrig curve (EPID spec section 1).

Intel's names are kept: ``P`` is the *order* of the groups, ``Q`` the *field*. Everything else follows from
the curve parameter ``U``.
"""

from __future__ import annotations

#: Curve parameter (Intel stores its absolute value t and a sign flag).
U = -0x6882F5C030B0A801
#: Order of G1, G2 and GT, 256 bits.
P = 36 * U**4 + 36 * U**3 + 18 * U**2 + 6 * U + 1
#: Base field, 256 bits, 3 mod 4.
Q = 36 * U**4 + 36 * U**3 + 24 * U**2 + 6 * U + 1
#: G1 is y^2 = x^3 + CURVE_B over Fq, cofactor 1.
CURVE_B = 3
#: Fq2 = Fq[i]/(i^2 + 1), Fq12 = Fq2[w]/(w^6 - XI).
XI = (2, 1)
#: G2 is y^2 = x^3 + TWIST_B over Fq2: 3 / XI.
TWIST_B = (
    0x999999999997C3AE5DBD2B05C2442F92A15109FD0B28064E7EB24EB7027EB673,
    0x333333333332968F749463AC9616BA8635C5ADFF03B8021A2A3B6F92562A3CD0,
)

SCALAR_SIZE = 32
G1_SIZE = 64
G2_SIZE = 128
GT_SIZE = 384

#: Encodings of the order, the generators and the identities (EPID spec section 2).
P_BYTES = P.to_bytes(32, "big")
G1_GENERATOR = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
G2_GENERATOR = bytes.fromhex(
    "E20171C54AA3DA0521670413743CCF22D25D52683D32470EF6021343BF282394"
    "592D1EF653A85A8046CCDC254FBB565643433BF6289653E27DF7B212BAA189BE"
    "AE60A4E751FFD350C621E703312826BD55E8B59A4D916838414DB822DD2335AE"
    "1AB442F989AFE5ADF80274F87645E2532CDC61819093D6132C90FE8951B92421"
)
G1_IDENTITY = bytes(G1_SIZE)
G2_IDENTITY = bytes(G2_SIZE)
