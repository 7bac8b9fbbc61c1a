"""Source verification: which sources a contract was compiled from, in the shape of Etherscan's `/api`.

    submission   what a tool posts, checked               comparison   compiled against on-chain code
    metadata     the hash solc leaves behind the code     compiler     solc in a bounded process
    creation     the transaction that made a contract     store        one JSON file a contract
    service      queue and verdicts                       api          the HTTP door

Nothing here is consensus data: a node without it, or with other contents, agrees on every block.
"""
