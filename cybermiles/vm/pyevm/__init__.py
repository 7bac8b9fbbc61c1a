"""py-evm behind the node's own protocol: the only package that imports `eth`.

backend.py      a transaction or call: checks, gas purchase, frames, settlement
frame.py        one call frame: py-evm's computation with our state, gas and child bookkeeping
dispatch.py     the loop that runs a frame's code
program.py      code translated once into steps (steps.py) for that loop
fusion.py       paths through code as Python functions: which way (path.py), the function as it is written
                (symbolic.py), words (arithmetic.py), what it calls (host.py)
opcodes.py      opcodes of our own: storage, hashing, logs, self-destruct, CLZ; calls.py: calls
message.py      what a frame is called with
precompiles.py  overridden and additional precompiles
state.py        py-evm's state over `WorldState`
startup.py      what the process must satisfy before it executes anything
"""
