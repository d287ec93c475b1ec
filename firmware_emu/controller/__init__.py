"""The program in the pump: what it believes and does. It reaches the plant through `pins` alone.

`controller` all of it · `boot` a start · `timers` what falls due · `commands` requests · `therapy` what is delivered ·
`memory` what lasts · `alarms` and their tones · `link_host`, `link_log` the link · `damage` · `wall_clock`.
"""
