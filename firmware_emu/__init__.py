"""The emulated pump and the bench around it; DESIGN.md says why it is made so.

`plant` what is physically so · `faults` what a rig can break · `controller` what the pump's program believes and does ·
`pump` both as a function of time · `bench` the world around it · `cli` `pumpbench emulate` · `profile` kinds of pump.
"""
