"""What a rig can do to a pump on the bench, in process and over HTTP.

`actions` as functions · `api` over HTTP, with the bodies of `models` and the
stream of `event_stream` · `server` its thread · `guard` who may ask ·
`connections` how many may. Who alone may change something is `bench/lease`.
"""
