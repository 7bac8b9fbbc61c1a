"""One module for each protocol that is spoken over a link; each plugs into `p2p.ports.Reactor`."""
