"""The lines on which a client reaches the pump.

`port` what they share · `schemes` their kinds · `pty`, `tcp` those of ours · `accepting` of connections.
"""
