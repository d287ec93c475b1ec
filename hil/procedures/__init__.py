"""Procedures of a clinic as exact computations: integers and fractions in and out, each with its rounding said.

`doses` rates, boluses and totals · `fluid_path` tubing and catheter, priming, bridges, the front of a new fluid ·
`reservoir` dates of low and empty, the check of a refill · `service_dates` when the pump must be replaced.
Nothing here talks to a pump or knows what time it is. Volumes in nL, rates in nL/day, doses in ng/day, concentrations
in ng/mL, times in ms unless the name says otherwise. 1 nL of c ng/mL holds c / 10^6 ng of drug.
"""
