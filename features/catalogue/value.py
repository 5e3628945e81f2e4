"""Value: what the purchase model expects of a customer in the horizon, in activity and in money."""
