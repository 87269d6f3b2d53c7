"""Runs between `sluice up` and a child: changes who the process is, ties its life to its parent, becomes the child.

Usage: trampoline.py PARENT_PID IDENTITY SIGNAL PROGRAM ARGUMENT…   (IDENTITY: plain, userns or setuid:UID:GID)
Standard library only, started with `-I -S`: a fresh interpreter, so nothing runs between fork and exec of the gateway.
"""

import ctypes
import os
import sys

NO_NAMESPACE = 97
PARENT_GONE = 98
CANNOT_RUN = 99

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
INSIDE_UID = 65534


def enter_user_namespace(libc: ctypes.CDLL) -> None:
    """Root outside, an ordinary user inside: PostgreSQL sees no root, and every file stays root's."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        os._exit(NO_NAMESPACE)
    maps = (("setgroups", "deny"), ("uid_map", f"{INSIDE_UID} {uid} 1"), ("gid_map", f"{INSIDE_UID} {gid} 1"))
    try:
        for name, text in maps:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError:
        os._exit(NO_NAMESPACE)


def main() -> None:
    parent, identity, signal_number, program = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    libc = ctypes.CDLL(None, use_errno=True)
    if identity == "userns":
        enter_user_namespace(libc)
    elif identity.startswith("setuid:"):
        _, uid, gid = identity.split(":")
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if signal_number and sys.platform == "linux":
        # After the credentials, because changing them clears it. The parent may have died before the call.
        libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(PARENT_GONE)
    try:
        os.execv(program[0], program)  # noqa: S606
    except OSError as e:
        print(f"{program[0]}: {e.strerror}", file=sys.stderr)
        os._exit(CANNOT_RUN)


if __name__ == "__main__":
    main()
