"""The messages, one module a family: request, reply, opcode, roles and layout side by side [SPEC 4, 6, 7]."""
