"""GSM septets packed into octets (3GPP TS 23.038, 6.1.2.1), behind a user data header or not.

In: codes, one octet a septet, and the header's size. Out: packed octets, and back. Never: characters.
"""

from __future__ import annotations

from typing import Final

_CR: Final = 0x0D
_BITS: Final = tuple(f"{code & 0x7F:07b}" for code in range(256))


def fill_bits(header_bytes: int) -> int:
    """Bits between a header of so many octets and the first septet, which begins on a border of septets."""
    return -header_bytes * 8 % 7


def pack(codes: bytes, header_bytes: int = 0) -> bytes:
    """Codes as octets. Where seven bits would be left over, a carriage return fills them: zeros would read as `@`."""
    if not codes:
        return b""
    fill = fill_bits(header_bytes)
    if (len(codes) * 7 + fill) % 8 == 1:
        codes += bytes((_CR,))
    number = int("".join([_BITS[code] for code in reversed(codes)]), 2) << fill
    return number.to_bytes((len(codes) * 7 + fill + 7) // 8, "little")


def unpack(octets: bytes, header_bytes: int = 0) -> bytes:
    """Inverse of `pack`: as many codes as there is room for, without a carriage return that only fills the last
    octet."""
    fill = fill_bits(header_bytes)
    count = max(0, (len(octets) * 8 - fill) // 7)
    number = int.from_bytes(octets, "little") >> fill
    codes = bytes([number >> 7 * place & 0x7F for place in range(count)])
    full = (count * 7 + fill) % 8 == 0
    return codes[:-1] if full and codes.endswith(b"\r") else codes
