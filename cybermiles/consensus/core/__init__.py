"""The BFT core: functions and values, verified inputs in, effects out. It reads no clock and waits for nothing."""
