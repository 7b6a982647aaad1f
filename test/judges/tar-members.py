"""Prints one line of JSON for each member of the tar archive on standard input: an independent
reader, so that two archives can be compared by what they mean."""

import hashlib
import json
import sys
import tarfile

# Who and when GNU tar ran, and names of owners that an image does not have.
IGNORED = {"path", "linkpath", "size", "uid", "gid", "uname", "gname", "atime", "ctime", "mtime"}


def text(value):
    return value.encode("utf-8", "surrogateescape").decode("latin-1")


with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", errors="surrogateescape") as archive:
    for member in archive:
        content = None
        if member.isreg():
            content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
        print(
            json.dumps(
                {
                    "name": text(member.name),
                    "type": member.type.decode("latin-1"),
                    "mode": oct(member.mode),
                    "owner": [member.uid, member.gid],
                    "size": member.size,
                    "mtime": member.pax_headers.get("mtime", str(member.mtime)),
                    "link": text(member.linkname),
                    "device": [member.devmajor, member.devminor] if member.isdev() else None,
                    "pax": {
                        text(key): text(value)
                        for key, value in sorted(member.pax_headers.items())
                        if key not in IGNORED
                    },
                    "sha256": content,
                },
                sort_keys=True,
            )
        )
