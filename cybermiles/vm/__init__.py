"""The EVM behind a narrow protocol; `vm.pyevm` is the only package that imports `eth`."""
