"""The wire in Wireshark and tshark: a dissector in Lua, made from the declarations of the messages [README.md]."""
