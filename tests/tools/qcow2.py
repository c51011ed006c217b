"""Writes the disk in a qcow2 image as it is: qcow2.py IMAGE RAW (QEMU, docs/interop/qcow2.txt)."""

import struct
import sys
import zlib


def convert(source, target):
    with open(source, "rb") as image, open(target, "wb") as disk:
        magic, version, backing, _, bits, size, _, entries, tables = struct.unpack(">4sIQIIQIIQ", image.read(48))
        if magic != b"QFI\xfb" or version not in (2, 3) or backing:
            raise SystemExit(f"{source} is no qcow2 image that stands alone")
        cluster = 1 << bits
        disk.truncate(size)
        image.seek(tables)
        for table, entry in enumerate(struct.unpack(f">{entries}Q", image.read(entries * 8))):
            place = entry & 0x00FF_FFFF_FFFF_FE00
            if not place:
                continue
            image.seek(place)
            for number, entry in enumerate(struct.unpack(f">{cluster // 8}Q", image.read(cluster))):
                content = read(image, entry, cluster, bits)
                if content:
                    disk.seek((table * (cluster // 8) + number) * cluster)
                    disk.write(content)


def read(image, entry, cluster, bits):
    if entry & 1 << 62:
        split = 62 - (bits - 8)
        place = entry & (1 << split) - 1
        sectors = (entry & (1 << 62) - 1) >> split
        image.seek(place)
        packed = image.read((sectors + 1) * 512 - place % 512)
        return zlib.decompressobj(-12).decompress(packed, cluster)
    place = entry & 0x00FF_FFFF_FFFF_FE00
    if not place or entry & 1:
        return None
    image.seek(place)
    return image.read(cluster)


convert(*sys.argv[1:])
