"""Run a command to which the kernel denies the extended registers of the processes that it traces.

    python deny.py COMMAND...

User-mode Linux keeps a copy of each process's registers in a buffer of fixed size. On CPUs with AMX they do not fit,
and its kernel stops at the first process. Where asking for them fails it takes the classic ones, which always fit.
"""

import ctypes
import errno
import os
import struct
import sys

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

_PTRACE, _GETREGSET, _NT_X86_XSTATE = 101, 0x4204, 0x202  # of x86-64
_NUMBER, _FIRST, _THIRD = 0, 16, 32  # where the call's number and arguments are


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def deny_extended_registers() -> None:
    """Let ptrace(GETREGSET, ..., NT_X86_XSTATE) fail in this process and in all that it starts."""
    steps = [
        *((_LOAD, 0, 0, _NUMBER), (_JUMP_IF_EQUAL, 0, 5, _PTRACE)),
        *((_LOAD, 0, 0, _FIRST), (_JUMP_IF_EQUAL, 0, 3, _GETREGSET)),
        *((_LOAD, 0, 0, _THIRD), (_JUMP_IF_EQUAL, 0, 1, _NT_X86_XSTATE)),
        (_RETURN, 0, 0, _FAIL | errno.EINVAL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    instructions = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    deny_extended_registers()
    os.execvp(sys.argv[1], sys.argv[1:])
