"""What a rig can break: `catalogue` has a row for each fault; the effect lives in the plant."""
