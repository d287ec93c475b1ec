"""One frame without meaning: framing, header and check, and the limits of the wire [SPEC 2, 3]."""
