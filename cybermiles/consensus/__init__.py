"""Agreement on one block per height. The engine sees opaque values and validator sets only."""
