"""The world around a pump: time, bytes, files and rigs.

`emulator` puts it together · `runner` its loop · `virtual` the same without a loop · `pump_host` the pump in it ·
`clock`, `time_run` its time · `ports` its line · `rig` what rigs do · `image_file` memory on file · `profile_file`.
"""
