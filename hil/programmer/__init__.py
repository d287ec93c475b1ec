"""The programmer of a pump: `Programmer`, blocking, one method a command, made of parts that know nothing of it.

`client_session` one session · `requester` what may be asked again · `recognition` which pump and memory it is ·
`command_ledger` what must never happen twice · `staging`, `log_reading`, `verdicts` what the commands stand on.
"""
