"""Bounded fuzzing by command: each module runs a stated number of cases from a seed and fails on the first surprise."""
