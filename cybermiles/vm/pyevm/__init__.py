"""py-evm behind the node's own protocol: the only package that imports `eth`.

backend.py      a transaction or call: checks, gas purchase, frames, settlement
frame.py        one call frame: py-evm's computation with our state, gas and child bookkeeping
dispatch.py     the loop that runs a frame's code
program.py      code translated once into steps for that loop
opcodes.py      opcodes of our own: storage, hashing, logs, self-destruct, CLZ
precompiles.py  overridden and additional precompiles
state.py        py-evm's state over `WorldState`
startup.py      what the process must satisfy before it executes anything
"""
