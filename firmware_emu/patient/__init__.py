"""The patient outside the pump: what the drug that leaves the catheter's tip would do. It never reaches the pump."""
