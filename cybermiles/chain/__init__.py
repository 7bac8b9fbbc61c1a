"""Which chain this is: parameters, genesis, fee rules and issuance; pure."""
