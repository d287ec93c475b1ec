"""What is delivered and why: modes, programs, the basal rate and the bolus, stalls, and the belief of the reservoir."""
