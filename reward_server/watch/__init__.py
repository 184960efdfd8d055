"""Is the judge, or the policy, drifting? Monitors, alarms, canary solutions."""
