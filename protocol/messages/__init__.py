"""The messages, one module a family: request, reply, opcode, roles and layout side by side [SPEC 4, 6, 7].

Their annotations are values, not text (`from __future__ import annotations`): `typing` compiles each text, which costs
4 ms at every start.
"""
