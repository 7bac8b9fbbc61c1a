"""JSON-RPC over HTTP and WebSocket: how wallets, tools and contracts' front ends reach the node.

    aiohttp ─► server ─► dispatcher ─► namespaces ─► ports (chain, executor, pool, events)
                 │           │
              access      jsonrpc (sans-IO)      types/events ─► hub ─► filters, subscriptions

Nothing here decides anything about the chain: it reads through the ports, and hands transactions on.
"""
