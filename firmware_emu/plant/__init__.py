"""What is physically so, whatever the pump believes; README.md has the numbers with their sources.

`plant` all of it, of `rotor`, `reservoir`, `catheter`, `battery`, `crystal`, `flash`, `entropy`, `body`, `sounder` ·
`component`, `components` how a part is made and chosen · `truth` what a rig reads · `fault_records` faults that last.
"""
