"""Networks of real `cmt` processes on this machine, and what is done to them."""
